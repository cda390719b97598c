"""Show the whole system: a simulated robot goes from goal picture to goal picture.

Starts the same nodes as `ros2 launch lewm_ros plan.launch.py sim:=true`, as separate processes
over DDS, and leaves summary.json, demo.mp4 and demo.png behind. Exit status 0 means that at
least the share of goals was reached that the task or `--least` says.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
import sys
import time

from lewm_model.images.decode import read_image
from lewm_ros.startup.bringup import Bringup, isolate
from lewm_ros.startup.system import system, SystemOptions
from lewm_ros.trials import report
from lewm_ros.trials.client import connected, DemoClient
from lewm_ros.trials.goal_set import GoalPicture, GoalSet, Judge
from lewm_ros.trials.program import run_program
from lewm_ros.trials.pursue import pursue
from lewm_ros.trials.record import GoalResult
from lewm_ros.trials.view import DemoView
from lewm_sim.bundle_of import bundle_of
from lewm_sim.tasks import load_task

_BUDGETS = 2.4         # time for a goal, in budgets of the task's evaluation: 6 s for the reacher


def main(args: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    options = _parser().parse_args(args)
    return run_program('demo', lambda: _show(options),
                       interrupted='the robot was stopped and all processes have ended')


def _show(options: argparse.Namespace) -> int:
    started_s = time.monotonic()
    results, record, facts = run(options)
    summary = report.summarize(results, record, {
        **facts, 'duration_s': round(time.monotonic() - started_s, 1)})
    report.write(summary, options.out / 'summary.json')
    pictures, task = [options.out / 'summary.json'], load_task(options.task)
    if not options.no_video:
        from lewm_ros.trials import video  # slow to import, and not always wanted
        pictures += video.write(results, record, options.out, task.facts.demo_tolerance())
    return _conclude(summary, pictures,
                     task.facts.demo_least if options.least is None else options.least)


def run(options: argparse.Namespace):
    """Bring the system up, go to every goal, and return (results, record, facts)."""
    task = load_task(options.task)
    bundle = bundle_of(task, options.bundle)
    time_limit_s = options.time_limit or _BUDGETS * task.facts.budget * task.control_dt_s
    goal_folder = (options.goals or bundle / 'goals').resolve()
    goal_set = GoalSet.load(goal_folder, task).first(options.count)
    judge = Judge(task, options.dwell)
    isolate()
    films = not options.no_video
    nodes = system(SystemOptions(sim=True, task=task.name, bundle=str(bundle.resolve()),
                                 goal_root=str(goal_folder), imagination=films))
    log_folder = options.out / 'log'
    with (Bringup(nodes, log_folder) as running,
          DemoView(len(goal_set.goals), judge.tolerance) as view):
        view.say(f'starting {len(nodes)} nodes; their logs: {log_folder}')
        with connected(running, 'demo', task, goal_set.start) as client:
            if films:
                client.watch_imagination()
            view.say(f'the robot listens; {len(goal_set.goals)} goals, each within '
                     f'{judge.tolerance} for {options.dwell:g} s')
            results = []
            for number, goal in enumerate(goal_set.goals):
                if options.reset or goal.start is not None:
                    client.reset(goal_set.start if goal.start is None else goal.start)
                results.append(_pursue(client, judge, view, goal, number, time_limit_s))
    facts = {'task': task.name, 'bundle': bundle.name, 'tolerance': dict(judge.tolerance.limits),
             'units': dict(judge.tolerance.units), 'dwell_s': options.dwell,
             'time_limit_s': time_limit_s, 'reset_for_each_goal': (
                 options.reset or goal_set.goals[0].start is not None)}
    return results, client.record, facts


def _pursue(client: DemoClient, judge: Judge, view: DemoView, goal: GoalPicture, number: int,
            time_limit_s: float) -> GoalResult:
    """Make one picture the goal, and watch until the robot is there or time is up."""
    judge.start(goal.truth)
    start_rgb, start = client.rgb, judge.outcome(client.truth)
    pursued = pursue(
        client, judge, goal, number=number, time_limit_s=time_limit_s,
        on_truth=lambda seconds: view.progress(number, seconds, judge.outcome(client.truth),
                                               client.report.goal_distance,
                                               client.report.plan_ms))
    result = GoalResult(
        picture=goal, goal_rgb=read_image(goal.file), start_rgb=start_rgb,
        final_rgb=client.rgb, start=start, final=judge.outcome(client.truth),
        reached=pursued.reached, seconds=pursued.seconds,
        goal_distance=client.report.goal_distance)
    view.finished(number, result, client.report.plan_ms)
    return result


def _conclude(summary: dict, files: list[Path], least: float) -> int:
    """Say how it went; return the exit status: 0 if this share of the goals was reached."""
    successes, episodes = summary['successes'], summary['episodes']
    needed = math.ceil(round(least * episodes, 6))     # 0.7 of 10 are 7, not 8
    plan, lag = summary['plan_ms'], summary['camera_to_command_ms']
    print(f'{successes} of {episodes} goals reached; plan {plan["p50"]} ms (p95 {plan["p95"]}), '
          f'camera to command {lag["p50"]} ms (p95 {lag["p95"]}), '
          f'control {summary["control_rate_hz"]} Hz')
    for file in files:
        print(f'  {file}')
    if successes < needed:
        missed = [f'{number + 1} ({_off(goal["final_errors"], summary["units"])})'
                  for number, goal in enumerate(summary['goals']) if not goal['reached']]
        print(f'demo: at least {needed} of {episodes} goals were expected; missed: '
              f'{", ".join(missed)}', file=sys.stderr)
        return 1
    return 0


def _off(errors: dict[str, float], units: dict[str, str]) -> str:
    """Return what is missing to a goal, such as 'shoulder off by 0.12 rad'."""
    return ', '.join(f'{name} off by {error:.2f} {units[name]}'.strip()
                     for name, error in errors.items())


def _share(text: str) -> float:
    """Read a share, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'a share must be in [0, 1], got {text!r}')
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='demo', description=__doc__.splitlines()[0])
    parser.add_argument('--task', default='reacher', help='what is simulated (%(default)s)')
    parser.add_argument('--bundle', default='',
                        help='model bundle, shipped name or folder (<task>-nano)')
    parser.add_argument('--goals', type=Path, help="folder with goals.yaml (the bundle's own)")
    parser.add_argument('--count', type=int, help='go to the first so many of them (all)')
    parser.add_argument('--least', type=_share,
                        help="share of the goals that must be reached, in [0, 1]; else the exit "
                             "status is 1 (the task's own)")
    parser.add_argument('--reset', action='store_true',
                        help='start each goal from the start state, not from the last goal')
    parser.add_argument('--time-limit', type=float,
                        help=f"simulated seconds per goal ({_BUDGETS:g} times the budget of the "
                             f"task's evaluation)")
    parser.add_argument('--dwell', type=float, default=0.25,
                        help='seconds to stay at a goal (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/demo'),
                        help='folder of the results, overwritten (%(default)s)')
    parser.add_argument('--no-video', action='store_true', help='write summary.json only')
    return parser


if __name__ == '__main__':
    sys.exit(main())
