"""Walk all robots of the zoo, one after the other, and write the table.

    python -m lewm_ros.trials.zoo --only 4 --only pair

Interrupted, the same command goes on; `--fresh` begins anew. Exit status 0: no check failed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import signal
import subprocess
import sys

from lewm_ros.trials.program import INTERRUPTED, run_program
from lewm_ros.trials.zoo.results import report
from lewm_ros.trials.zoo.results.rows import Rows, STEPS
from lewm_ros.trials.zoo.robots.table import ROBOTS, zoo_robot


def main(args: list[str] | None = None) -> int:
    """Walk; return 1 if a check failed."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='zoo', description=__doc__.splitlines()[0])
    parser.add_argument('--only', action='append', metavar='ROBOT', help='name or number; repeat')
    parser.add_argument('--out', type=Path, default=Path('out/zoo'), help='(%(default)s)')
    parser.add_argument('--results', type=Path,
                        help='folder of zoo.json and zoo.md (that of --out)')
    parser.add_argument('--fresh', action='store_true', help='take every step anew')
    parser.add_argument('--live', action='store_true', help='take the live steps anew')
    parser.add_argument('--until', choices=STEPS, default=STEPS[-1],
                        help='the last step that is taken; train: end with the models')
    parser.add_argument('--tries', type=int, default=1, help='of live steps that failed while '
                        'the machine was too busy; the table has the last one (%(default)s)')
    parser.add_argument('--short', action='store_true', help='fewer seconds and steps')
    options = parser.parse_args(args)
    return run_program('zoo', lambda: _walk_all(options), interrupted='the same command goes on')


def _walk_one(robot: str, out: Path, passed_on: list[str]) -> int:
    """Walk in a process of its own: middleware, domain and memory of a robot end with it."""
    walk = subprocess.Popen([sys.executable, '-m', 'lewm_ros.trials.zoo.walk', robot,
                             '--out', str(out), *passed_on], start_new_session=True)
    try:
        return walk.wait()
    except KeyboardInterrupt:
        walk.send_signal(signal.SIGINT)   # in a session of its own, it hears Ctrl-C only once
        walk.wait()
        raise


def _walk_all(options: argparse.Namespace) -> int:
    robots = [zoo_robot(name) for name in options.only] if options.only else ROBOTS
    passed_on = [f'--{name}' for name in ('fresh', 'live', 'short') if getattr(options, name)]
    passed_on += ['--until', options.until, '--tries', str(options.tries)]
    walked = []
    for robot in robots:
        print(f'--- {robot.number} of {len(ROBOTS)}: {robot.name}, {robot.about}', flush=True)
        if _walk_one(robot.name, options.out, passed_on) == INTERRUPTED:
            raise KeyboardInterrupt
        walked += Rows(robot.name, (options.out / robot.name).with_suffix('.json')).all
        folder = options.results or options.out
        rows = report.write(walked, folder)
    failed = [row for row in rows if not row.passed]
    print(f'{len(rows)} checks, {len(failed)} failed: {folder / "zoo.md"}')
    for row in failed:
        print(row.text())
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
