"""Run the tests in two halves: those without ROS side by side, then those with ROS one by one.

Tests of running nodes measure real time and need the machine for themselves; the others share it,
one worker per core and a file at a time. Arguments are those of pytest and go to both halves; a
half in which they choose nothing is none. Run by `make test` and `make test-all`.
"""

import os
import re
import subprocess
import sys

MOST_WORKERS = 4   # each holds up to 1 GB
NOTHING_CHOSEN = 5   # exit status of pytest
INTERRUPTED = 2
SUMMARY = re.compile(r'=* ?((?:\d+ \w+,? ?)+ in [\d.]+s)|=* ?(no tests ran in [\d.]+s)')


def halves(arguments):
    """Return (name, LEWM_HALF, arguments of pytest) of both."""
    workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return [('without ROS', 'plain', ['-n', str(workers), '--dist', 'loadfile', *arguments]),
            ('with ROS', 'ros', [*arguments, '-n', '0'])]


def run(command, half):
    """Run pytest, show its output as it comes; return (exit status, its summary line)."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ,
                                                                     'LEWM_HALF': half})
    end = b''
    try:
        while chunk := process.stdout.read1():
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            end = (end + chunk)[-4000:]
    except KeyboardInterrupt:   # pytest got it, too, and has an end of its own
        pass
    return process.wait(), summary(end.decode(errors='replace'))


def summary(text):
    """Return what pytest counted, from the end of its output."""
    found = SUMMARY.findall(re.sub(r'\x1b\[[\d;]*m', '', text))
    return next(filter(None, found[-1])) if found else 'ended without a summary'


def status_of(statuses):
    """Return the exit status of all: the first failure, or that nothing was chosen anywhere."""
    failed = [status for status in statuses if status not in (0, NOTHING_CHOSEN)]
    return failed[0] if failed else min(statuses)


def main(arguments, pytest=(sys.executable, '-m', 'pytest')):
    """Run both halves and say in one line how they ended; return the exit status."""
    statuses, said = [], []
    for name, half, options in halves(arguments):
        print(f'[tests] {name}', flush=True)
        status, counts = run([*pytest, *options], half)
        statuses.append(status)
        if status != NOTHING_CHOSEN:
            said.append(f'{name} {counts}')
        if status == INTERRUPTED:
            break
    print(f'[tests] {"; ".join(said) or "no tests were chosen, 0 passed in 0.0s"}')
    return status_of(statuses)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
