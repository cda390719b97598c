"""Inject faults into the running system, and measure how fast the robot rests.

    python -m lewm_ros.trials.faults --arm velocity --trials 20
    python -m lewm_ros.trials.faults --report docs/results/faults.md

Real nodes as processes over DDS, as in the demo: planner, command node, guard, goals, recorder
and the simulated arm, whose drive repeats the last command for ever. Every trial waits for
motion, injects one fault, measures from outside when the joints rest, lets the cause go away, and
waits for motion again. Results are written after each trial, and a run goes on where an earlier
one ended. Exit status 0 means that every trial kept the limits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import random
import sys
import time

from lewm_model.errors import LewmError
from lewm_ros.node.priority import hurry
from lewm_ros.startup.bringup import isolate, own_node
from lewm_ros.startup.transport import Transports
from lewm_ros.trials.faults.injections import FAULTS
from lewm_ros.trials.faults.results import report
from lewm_ros.trials.faults.results.store import Results
from lewm_ros.trials.faults.system.nice import Nice
from lewm_ros.trials.faults.system.rig import Rig
from lewm_ros.trials.faults.system.setup import ARMS, prepare
from lewm_ros.trials.faults.trial import Outcome, run_trial
from lewm_ros.trials.program import run_program
from rclpy.utilities import get_rmw_implementation_identifier

_STARTS = 3       # of the system, in vain and in a row, before the run is given up


def main(args: list[str] | None = None) -> int:
    """Run rows, or write the report; return the exit status."""
    parser = _parser()
    options = parser.parse_args(args)
    unknown = set(options.rows) - set(FAULTS)
    if unknown:
        parser.error(f'no row {", ".join(sorted(unknown))}; there are {", ".join(FAULTS)}')
    return run_program('faults', lambda: _run_or_report(options),
                       interrupted='what was measured is kept')


def _run_or_report(options: argparse.Namespace) -> int:
    if options.report:
        report.write(options.out, options.report)
        return 0
    results = Results(options.out / f'{options.arm}.json')
    if options.again:
        results.drop(options.rows or list(FAULTS))
    isolate()
    nice = Nice(os.getpriority(os.PRIO_PROCESS, 0), options.session_nice)
    nice.give(os.getpid(), urgent=True)
    hurry()      # this process watches, and it stands for nothing that a fault may touch
    environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    transports = Transports.here('auto', get_rmw_implementation_identifier(), 'auto')
    os.environ.update(transports.unblocked)   # nobody may keep this process waiting either
    run(options, results, lambda *parts: Rig(*parts, environment=environment,
                                             transports=transports, nice=nice))
    broken = [name for name in options.rows or FAULTS
              if not report.Row.of(name, results.outcomes(name)).kept]
    print(f'rows out of their limits: {", ".join(broken) or "none"}')
    return 1 if broken else 0


def run(options: argparse.Namespace, results: Results, make_rig: Callable[..., Rig]) -> None:
    """Run what is missing of the rows; start the system anew where a trial left it broken."""
    arm = prepare(options.arm, options.out / options.arm)
    end_s = time.monotonic() + 60 * options.minutes
    chance = random.Random(options.seed + sum(map(len, FAULTS)) * results.count())
    with own_node('faults') as (node, executor):
        rig: Rig | None = None
        try:
            failures = 0
            while (name := _next_row(options, results)) and failures < _STARTS and (
                    time.monotonic() < end_s):
                if rig is None:
                    rig = make_rig(node, executor, arm, options.out / options.arm)
                outcome = None
                try:
                    rig.start()
                    outcome = run_trial(rig, FAULTS[name], chance)
                except LewmError as error:     # that was no trial
                    print(f'{name}: the system is started again: {error}', flush=True)
                    failures += 1
                else:
                    failures = 0
                    results.add(name, outcome)
                    _tell(name, results.count(name), options.trials, outcome)
                if outcome is None or outcome.recovery_s is None:
                    rig.stop()
                    rig.close()
                    rig = None
        finally:
            if rig is not None:
                rig.stop()
                rig.close()


def _next_row(options: argparse.Namespace, results: Results) -> str | None:
    """Return the row with the fewest trials, the first of them; None when all have enough."""
    name = min(options.rows or FAULTS, key=results.count)
    return name if results.count(name) < options.trials else None


def _tell(name: str, number: int, of: int, outcome: Outcome) -> None:
    rest = 'never' if outcome.rest_s is None else f'{outcome.rest_s:.2f} s'
    back = 'never' if outcome.recovery_s is None else f'{outcome.recovery_s:.1f} s'
    print(f'{name:32} {number:3}/{of}  rest {rest}  past limit {outcome.over_limit:.3g}, slew '
          f'{outcome.over_slew:.3g}  back {back} by {outcome.by}  '
          f'late {outcome.late_s:.3f}, waited {outcome.waited:.0%} '
          f'{"" if outcome.drove_on is None else f"drove on: {outcome.drove_on}"} '
          f'{outcome.note}', flush=True)
    if not report.Row.of(name, [outcome]).kept:
        print(f'    told to stand still after {outcome.told_s}', *outcome.events,
              sep='\n    ', flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='faults', description=__doc__.splitlines()[0])
    parser.add_argument('rows', nargs='*', metavar='ROW', default=[],
                        help=f'of {", ".join(FAULTS)} (all)')
    parser.add_argument('--arm', choices=ARMS, default='velocity')
    parser.add_argument('--trials', type=int, default=20, help='of each row (%(default)s)')
    parser.add_argument('--minutes', type=float, default=float('inf'),
                        help='begin no trial later than this; the next run goes on')
    parser.add_argument('--session-nice', type=int, default=0,
                        help='of the sessions of all processes, below 0 where the machine has '
                        'background work in other sessions (%(default)s)')
    parser.add_argument('--again', action='store_true', help='forget earlier trials of the rows')
    parser.add_argument('--seed', type=int, default=0, help='of the moments of the faults')
    parser.add_argument('--out', type=Path, default=Path('out/faults'))
    parser.add_argument('--report', type=Path, help='write the table of both arms and end')
    return parser


if __name__ == '__main__':
    sys.exit(main())
