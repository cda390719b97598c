"""Make this checkout ready: system packages, virtual environment, ROS 2, generated interfaces.

Run as `make setup`; needs nothing but a Python. Whatever is in place is left alone, and what an
interrupted run or a deleted file left broken is put back. With a ROS 2 distribution sourced it is
used; otherwise ROS 2 comes from wheels into `.venv`.
"""

import argparse
import fcntl
from pathlib import Path
import sys
import time

from environment import Environment
from host import choose_python, install_packages, missing_packages
import ros
from shell import say, SetupError
from workspace import Workspace

ROOT = Path(__file__).resolve().parent.parent.parent


def main():
    """Run every step that is needed; return the exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prog='make setup', description=__doc__)
    parser.add_argument('--python', help='Python to build on, such as python3.12')
    parser.add_argument('--for-tests', action='store_true',
                        help='also install the optional packages that tests use')
    arguments = parser.parse_args()
    logs = ROOT / '.setup'
    logs.mkdir(exist_ok=True)
    with (logs / 'lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say('another set-up of this checkout is running: waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(arguments.python, logs, for_tests=arguments.for_tests)
        except SetupError as error:
            print(f'[setup] error: {error}', file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print('[setup] interrupted; go on with: make setup', file=sys.stderr)
            return 130
    return 0


def set_up(wanted_python, logs, *, for_tests=False):
    """Bring system packages, environment and workspace up to date, in this order."""
    start = time.monotonic()
    python = choose_python(wanted_python)
    distribution = ros.sourced_distribution(python)
    environment = Environment(ROOT, python, exact=wanted_python is not None,
                              distribution=distribution)
    if not environment.works():
        if distribution is None:
            ros.check_wheel_platform()
        say(f'Python: {python}; ROS 2: {distribution or "from wheels (none is sourced)"}')
    missing = missing_packages(python)
    if missing:
        install_packages(missing, logs / 'apt.log')
    changed = environment.ensure(for_tests=for_tests)
    changed = Workspace(ROOT, environment).ensure() or changed
    if changed:
        say(f'ready after {time.monotonic() - start:.0f} s')


if __name__ == '__main__':
    sys.exit(main())
