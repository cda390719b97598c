"""Run the tests in two halves side by side: those with ROS one by one, and beside them the others.

Tests of running nodes measure real time, and wait for most of it. The others get what is left:
they run at idle priority, on all cores but one. Arguments are those of pytest and go to both; a
half in which they choose nothing is none. A few tests of running nodes that failed are run once
more when nothing runs beside them: what fails then has a fault, what passes is named as unsteady.
Run by `make test` and `make test-all`.
"""

import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import time

MOST_WORKERS = 4       # each holds up to 1 GB
NOTHING_CHOSEN = 5     # exit status of pytest
SOME_FAILED = 1        # the same
AGAIN = 5              # so many failed tests at most are run once more; more have one cause
PATIENCE_S = '600'     # with a test that gets little time; pyproject.toml has that of the others
CACHE = '.pytest_cache/{}'    # of a half
BY_HAND = {'--pdb', '--trace', '-s', '--capture=no', '--collect-only', '--co'}
SUMMARY = re.compile(r'((?:\d+ \w+, )*\d+ \w+ in [\d.]+s)')


class Half:
    """One of two runs of pytest.

    Args:
        name: As people are told.
        pytest: The command.
        environment: More variables.
        arguments: Of pytest.
        idle: Whether it only gets the time that nobody else wants.
    """

    def __init__(self, name, pytest, environment, arguments, *, idle=False):
        self.name = name
        self.shown = 0         # bytes of the output
        self.output = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the half
        self.process = subprocess.Popen(
            [*pytest, *arguments], stdout=self.output, stderr=subprocess.STDOUT,
            env={**os.environ, **environment}, preexec_fn=step_back if idle else None)

    def follow(self):
        """Show the rest of the output, as it comes, until the end; return the exit status."""
        if not self.shown:
            print(f'[tests] {self.name}', flush=True)
        while True:
            ended = self.process.poll() is not None
            while chunk := os.pread(self.output.fileno(), 65536, self.shown):
                self.shown += len(chunk)
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if ended:
                return self.process.returncode
            time.sleep(0.1)

    def summary(self):
        """Return what pytest counted."""
        size = os.fstat(self.output.fileno()).st_size
        end = os.pread(self.output.fileno(), 4000, max(size - 4000, 0)).decode(errors='replace')
        found = SUMMARY.findall(re.sub(r'\x1b\[[\d;]*m', '', end))
        return f'{self.name} {found[-1] if found else "ended without a summary"}'


def failed_before(half):
    """Return the names of the tests that failed in a half's run."""
    try:
        return list(json.loads(Path(CACHE.format(half), 'v/cache/lastfailed').read_text()))
    except FileNotFoundError:    # none failed, or pytest was told to remember nothing
        return []


def passes_alone(pytest, arguments):
    """Run what failed with ROS once more, with nothing beside it; return whether it passes."""
    names = failed_before('ros')
    if not 1 <= len(names) <= AGAIN:
        return False
    print(f'[tests] once more, with nothing beside: {", ".join(names)}', flush=True)
    again = subprocess.call(
        [*pytest, '-o', f'cache_dir={CACHE.format("ros")}', '--last-failed',
         '--last-failed-no-failures', 'none', *arguments], env={**os.environ, 'LEWM_HALF': 'ros'})
    print(f'[tests] {"UNSTEADY, passed" if again == 0 else "failed"} when run alone: '
          f'{", ".join(names)}', flush=True)
    return again == 0


def step_back():
    """Give way to everybody else."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:    # not everywhere allowed
        os.nice(19)


def halves(pytest, arguments):
    """Start both; the one to be followed first comes first."""
    if sys.stdout.isatty():
        arguments = ['--color=yes', *arguments]
    workers = min(len(os.sched_getaffinity(0)) - 1, MOST_WORKERS)
    beside = ['--timeout', PATIENCE_S]
    if workers > 1:
        beside += ['-n', str(workers), '--dist', 'loadfile']
    made = []
    for name, half, options in (('with ROS', 'ros', []), ('without ROS', 'plain', beside)):
        made.append(Half(name, pytest, {'LEWM_HALF': half}, [
            '-o', f'cache_dir={CACHE.format(half)}', *options, *arguments], idle=half == 'plain'))
    return made


def main(arguments, pytest=(sys.executable, '-m', 'pytest')):
    """Run both halves and say in one line how they ended; return the exit status."""
    if BY_HAND.intersection(arguments):    # somebody wants to look on: everything in one process
        return subprocess.call([*pytest, *arguments])
    made, statuses = halves(pytest, arguments), []
    while len(statuses) < len(made):
        try:
            statuses.append(made[len(statuses)].follow())
        except KeyboardInterrupt:    # both got it, too, and have an end of their own
            print('[tests] interrupted: waiting for both halves to end', flush=True)
    if statuses[0] == SOME_FAILED and passes_alone(pytest, arguments):
        statuses[0] = 0
    said = [half.summary() for half, status in zip(made, statuses, strict=True)
            if status != NOTHING_CHOSEN]
    print(f'[tests] {"; ".join(said) or "nothing was chosen: 0 passed in 0.0s"}')
    failed = [status for status in statuses if status not in (0, NOTHING_CHOSEN)]
    return failed[0] if failed else min(statuses)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
