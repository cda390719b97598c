"""One robot of the zoo, from the first recording to the last kill.

    python -m lewm_ros.trials.zoo.walk arm6 --out out/zoo

A step that was taken without a failed check is not taken again, so the same command goes on
after an interruption; `--fresh` begins anew. The live steps share one driver and are one step
in this respect. `--until record`, `--until train` and no `--until` divide a walk into the parts
that need a quiet machine (first and last) and the one that only computes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
import os
from pathlib import Path
import sys
import time

from lewm_model.errors import LewmError
from lewm_ros.startup.bringup import isolate
from lewm_ros.trials.program import run_program
from lewm_ros.trials.zoo.results.pulse import Pulse
from lewm_ros.trials.zoo.results.rows import LIVE, LOAD, OFFLINE, PAUSE, Rows, STEPS
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.table import zoo_robot
from lewm_ros.trials.zoo.steps import offline
from lewm_ros.trials.zoo.steps.lengths import Lengths, SHORT
from lewm_ros.trials.zoo.steps.live import Live
from lewm_ros.trials.zoo.steps.offline import Folders
from lewm_ros.trials.zoo.steps.processes import driven, Nodes, Processes
from lewm_ros.trials.zoo.steps.recordings import record

_SHORT_STEPS = 84           # recorded in two episodes, at least
_PAUSE_S = 0.15             # of this machine; the shortest limit that is judged is 0.3 s


def walk(robot: ZooRobot, folders: Folders, rows: Rows, lengths: Lengths,
         until: str = STEPS[-1], tries: int = 1) -> None:
    """Take the steps that have not been taken; what raises ends the walk with a failed row.

    Args:
        robot: Who walks.
        folders: Where its files are.
        rows: Get the checks.
        lengths: Of the parts.
        until: The last step that is taken; all live ones share a driver and are taken together.
        tries: So often the live steps are taken, as long as this machine was too busy.
    """
    offline_steps = {
        'record': lambda: record(robot, folders, rows, lengths.episodes),
        'inspect': lambda: offline.inspect(robot, folders, rows),
        'ingest': lambda: offline.ingest(robot, folders, rows),
        'train': lambda: offline.train(folders, rows, lengths.train_steps)}
    for step in OFFLINE[:STEPS.index(until) + 1]:
        if rows.finished(step):
            continue
        rows.forget(STEPS[STEPS.index(step):])
        if not take(step, offline_steps[step], rows):
            return
    while until in LIVE and tries and not all(map(rows.finished, LIVE)):
        rows.forget(LIVE)
        _live(robot, folders, rows, lengths)
        tries = tries - 1 if any(disturbed(rows, step) for step in LIVE) else 0


def disturbed(rows: Rows, step: str) -> bool:
    """Tell whether this machine was too busy to judge a step: then a failure says nothing."""
    return not rows.finished(step) and (rows.value(step, PAUSE) or 0.0) > _PAUSE_S


def take(step: str, action: Callable[[], None], rows: Rows,
          pause_s: Callable[[], float] = float) -> bool:
    """Take a step; tell whether the next one makes sense.

    Args:
        step: Its name.
        action: What it does.
        rows: Get its checks.
        pause_s: Tells how long another process was kept waiting meanwhile [s].
    """
    pulse = Pulse()
    try:
        try:
            with pulse:
                action()
        finally:
            rows.note(step, LOAD, round(os.getloadavg()[0], 1))
            rows.note(step, PAUSE, round(max(pulse.longest_s(), pause_s()), 3))
    except (LewmError, OSError, ValueError, KeyError) as error:
        rows.true(step, 'the step was taken', False, f'{type(error).__name__}: {error}')
        for later in STEPS[STEPS.index(step) + 1:]:
            rows.true(later, 'the step was taken', False, f'{step} was not')
            rows.close(later)
        rows.close(step)
        return False
    rows.close(step)
    return True


def _live(robot: ZooRobot, folders: Folders, rows: Rows, lengths: Lengths) -> None:
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folders.root / 'log' / 'live'))
        lives: list[Live] = []
        for namespace in reversed(robot.namespaces):   # the first one is judged
            beside = lives[0].ears if lives else None
            ears = stack.enter_context(driven(processes, robot, namespace, beside))
            nodes = Nodes(processes, robot, ears, {
                'robot': str(folders.robot_file), 'bundle': str(folders.bundle),
                'goal_root': str(folders.goal.parent.resolve()), 'namespace': namespace,
                'sim': robot.ours}, {**robot.parameters, 'command_node': {
                    'require_enable': True, **robot.parameters.get('command_node', {})}})
            lives.append(Live(robot, ears, nodes, rows, folders.goal, lengths, tuple(lives)))
        for step in LIVE:
            if not take(step, lambda step=step: lives[-1].take(step), rows,
                         lives[-1].driver_pause_s):
                return
        for live in lives:
            live.nodes.end()


def main(args: list[str] | None = None) -> int:
    """Walk one robot; return 1 if a check failed."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='walk', description=__doc__.splitlines()[0])
    parser.add_argument('robot', help='name or number')
    parser.add_argument('--out', type=Path, default=Path('out/zoo'))
    parser.add_argument('--fresh', action='store_true', help='take every step anew')
    parser.add_argument('--live', action='store_true', help='take the live steps anew')
    parser.add_argument('--until', choices=STEPS, default=STEPS[-1], help='the last step')
    parser.add_argument('--tries', type=int, default=1, help='of live steps that failed while the '
                        'machine was too busy; the table has the last one (%(default)s)')
    parser.add_argument('--short', action='store_true', help='for tests: fewer seconds and steps')
    options = parser.parse_args(args)
    return run_program('walk', lambda: _walk(options), interrupted='the same command goes on')


def _walk(options: argparse.Namespace) -> int:
    begin_s = time.monotonic()
    robot = zoo_robot(options.robot)
    isolate()
    folders = Folders((options.out / robot.name).resolve())
    file = folders.root.with_suffix('.json')
    if options.fresh:
        file.unlink(missing_ok=True)
    rows = Rows(robot.name, file)
    if options.live:
        rows.forget(LIVE)
    if options.short:
        shortest_s = _SHORT_STEPS * robot.control_dt_s / robot.pace
        robot = replace(robot, record_s=max(shortest_s, robot.record_s / 2))
    walk(robot, folders, rows, SHORT if options.short else Lengths(), options.until,
         options.tries)
    failed = [row for row in rows.all if not row.passed]
    print(f'{robot.name}: {len(rows.all)} checks, {len(failed)} failed, '
          f'{time.monotonic() - begin_s:.0f} s')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
