"""Judge a bundle through ROS, on the very pairs of `lewm evaluate`, beside its number.

    make eval-ros TASK=reacher
    python -m lewm_ros.trials.evaluate models/arm --data data/arm.h5 --episodes 200

Real nodes as processes over DDS, in real time: the simulator goes on while the planner thinks,
and commands take the way that they take on a robot. Without `--data`, episodes that no model was
trained on are recorded first, by those who act in the task's data. Writes offline.json (as `lewm
evaluate --out`), ros.json and evaluation.md; exit status 0 means that it is not worse through ROS,
beyond chance, and that no control step passed without a command.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from hashlib import sha256
import json
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.evaluation_table import evaluation_table
from lewm_model.config import PlanConfig
from lewm_model.data.shards import open_data
from lewm_model.errors import ConfigError, LewmError
from lewm_model.robots.clicks import Clicks
from lewm_ros.startup.bringup import Bringup, isolate
from lewm_ros.startup.system import system, SystemOptions
from lewm_ros.trials import report
from lewm_ros.trials.client import connected
from lewm_ros.trials.live_pairs import run_pairs
from lewm_ros.trials.program import run_program
from lewm_ros.trials.record import Record
from lewm_sim.bundle_of import bundle_of
from lewm_sim.collect import CollectConfig
from lewm_sim.evaluate import evaluate, Exam, set_exam, Settings
from lewm_sim.evaluate.against import compare_trials
from lewm_sim.evaluate.scores import score
from lewm_sim.evaluate.trials import plain_trials, Trial
from lewm_sim.task_of import task_of
from lewm_sim.tasks import load_task
from tqdm import tqdm

LIVE = 'through ROS'
_SEED = 20_000        # of episodes for a test; those of training begin at 0
_SHARE = 0.05         # of p: below it a difference is no chance


def main(args: list[str] | None = None) -> int:
    """Evaluate offline and through ROS; return the exit status."""
    options = _parser().parse_args(args)
    return run_program('evaluate', lambda: int(run(options)),
                       interrupted='the robot was stopped and all processes have ended')


def run(options: argparse.Namespace) -> bool:
    """Do what was asked; return whether anything speaks against the system, see `faults`."""
    folder = bundle_of(load_task(options.task), options.bundle)
    plan = find_named('config/plan', options.plan, '.yaml').resolve() if options.plan else None
    bundle = Bundle.load(folder)
    task_of(bundle)      # refuses a bundle that no simulator is for, before anything is recorded
    out = options.out / bundle.task
    data = open_data(options.data or [_record(bundle, options, out)])
    clicks = _clicks(bundle.task) if options.clicks else None
    settings = Settings(
        protocol=options.protocol, count=options.episodes, seed=options.seed,
        budget=options.budget, seeds=options.planner_seeds,
        new_data=options.new_data or not options.data, **({} if clicks is None else {
            'goals': ('quantities',),
            'names': tuple(filter(None, (clicks.x, clicks.y, clicks.yaw)))}))
    exam = set_exam(bundle, data, settings)
    with tqdm(unit='trial', desc='offline', dynamic_ncols=True) as bar:
        offline = evaluate(bundle, data, plan and PlanConfig.from_yaml(plan), settings,
                           report=lambda done, total: (
            bar.reset(total) if bar.total != total else None, bar.update(done - bar.n)))
    trials, record = _live(exam, folder, plan, out, clicks)
    names = {pair.episode: data.ep_name[pair.episode] for pair in exam.pairs}
    results = summary(exam, offline, trials, record, names)
    for name, content in (('offline', offline), ('ros', results)):
        report.write(content, out / f'{name}.json')
    text = '\n'.join(table(results))
    (out / 'evaluation.md').write_text(text, encoding='utf-8')
    print(text)
    return bool(faults(results))


def summary(exam: Exam, offline: Mapping[str, Any], trials: list[Trial], record: Record,
            names: Mapping[int, str]) -> dict[str, Any]:
    """Return the live result in the form of `lewm evaluate`, with the offline one beside it.

    Args:
        exam: What was asked.
        offline: Result of `evaluate` on the same exam.
        trials: Of the live system.
        record: Of the live system.
        names: Of the episodes, by their index.
    """
    live = plain_trials([trials], names)
    name = next(iter(offline['trials']))
    return {
        **{key: value for key, value in offline.items() if key not in ('trials', 'scores')},
        'scores': [*(score(LIVE, [trials], tolerance).to_dict() for tolerance in exam.tolerances),
                   *offline['scores']],
        'comparisons': compare_trials({LIVE: live, name: offline['trials'][name]},
                                      exam.tolerances[0]),
        'live': {**report.live_facts(record), 'definitions': report.DEFINITIONS,
                 'versions': report.versions()},
        'trials': {LIVE: live, **offline['trials']},
    }


def faults(results: Mapping[str, Any]) -> list[str]:
    """Return what speaks against the live system, in words; empty if nothing does."""
    missed = results['live']['deadline_misses']
    return [*(f'{"reached" if one["rule"] == "reached" else "at the end"} '
              f'{100 * one["difference"]:+.1f} points (p = {one["p"]:.2g})'
              for one in results['comparisons'] if one['difference'] < 0 and one['p'] < _SHARE),
            *([f'{missed} control step{"s" * (missed > 1)} without a command'] if missed else [])]


def table(results: Mapping[str, Any]) -> list[str]:
    """Return the lines for people, the verdict first."""
    live, found = results['live'], faults(results)
    return [f'**Through ROS not as offline: {"; ".join(found)}.**' if found else
            '**Through ROS as offline: not worse beyond chance, and no control step missed.**', '',
            *evaluation_table(results),
            f'Live: {live["commands"]} commands at {live["control_rate_hz"]} Hz, '
            f'{live["deadline_misses"]} control steps without one; plan {live["plan_ms"]["p50"]} '
            f'ms (p95 {live["plan_ms"]["p95"]}), {live["plans_late"]} of {live["plans"]} late; '
            f'camera to command {live["camera_to_command_ms"]["p50"]} ms '
            f'(p95 {live["camera_to_command_ms"]["p95"]}).', '']


def _clicks(task: str) -> Clicks:
    """Return what a click stands for.

    Raises:
        ConfigError: If the robot file of the task does not say.
    """
    robot = load_task(task).robot
    if robot.clicks is None:
        raise ConfigError(f'--clicks: the robot file of task {task!r} does not say what a click '
                          f'stands for; add `clicks` to it (docs/robots.md)')
    return robot.clicks


def _live(exam: Exam, bundle: Path, plan: Path | None, out: Path, clicks: Clicks | None
          ) -> tuple[list[Trial], Record]:
    """Bring the system up and try every pair."""
    isolate()
    goals = (out / 'goals').resolve()
    goals.mkdir(parents=True, exist_ok=True)
    nodes = system(SystemOptions(sim=True, task=exam.task.name, bundle=str(bundle.resolve()),
                                 plan=str(plan or ''), goal_root=str(goals),
                                 image_size=exam.image_size))
    with (Bringup(nodes, out / 'log') as running,
          connected(running, 'evaluate', exam.task, exam.pairs[0].start) as client,
          tqdm(total=len(exam.pairs), unit='pair', desc=LIVE, dynamic_ncols=True) as bar):
        trials = run_pairs(client, exam, goals, lambda done: bar.update(done - bar.n), clicks)
    return trials, client.record


def _record(bundle: Bundle, options: argparse.Namespace, out: Path) -> str:
    """Record episodes that no model has seen, like those of the bundle; return the data set.

    What was recorded with the same settings is used again: its name tells them apart.
    """
    facts = load_task(bundle.task).facts
    config = CollectConfig(task=bundle.task, policy=options.policy or facts.acting, seed=_SEED,
                           image_size=bundle.frame_px,
                           steps=max(CollectConfig.steps, facts.goal_offset + facts.budget))
    count = max(20, options.episodes // 2)
    said = json.dumps({**config.to_dict(), 'episodes': count}, sort_keys=True)
    name = f'episodes_{sha256(said.encode()).hexdigest()[:8]}'
    data, bags = out / f'{name}.h5', out / name
    if data.exists():
        return str(data)
    for words in (['collect', '--task', config.task, '--policy', config.policy, '--episodes',
                   str(count), '--steps', str(config.steps), '--image-size',
                   str(config.image_size), '--seed', str(config.seed), '--out', str(bags)],
                  ['ingest', str(bags), '--out', str(data)]):
        if subprocess.run([sys.executable, '-m', 'lewm_sim.cli', *words], check=False).returncode:
            raise LewmError(f'lewm {" ".join(words)} failed, see above')
    shutil.rmtree(bags)
    return str(data)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='evaluate', description=__doc__.splitlines()[0])
    parser.add_argument('bundle', nargs='?', default='',
                        help='folder or shipped name of the bundle (<task>-nano)')
    parser.add_argument('--task', default='reacher', help='whose bundle, if none is given '
                        '(%(default)s)')
    parser.add_argument('--data', action='append', metavar='DATA',
                        help='data set that the bundle was trained from; may be repeated (new '
                             'episodes are recorded)')
    parser.add_argument('--new-data', action='store_true',
                        help='--data is not the set that the bundle was trained from')
    parser.add_argument('--policy',
                        help="who acts in new episodes, see `lewm collect` (the task's `acting`)")
    parser.add_argument('--plan', help='planner settings, a name of config/plan or a file (those '
                        'that the bundle recommends)')
    parser.add_argument('--protocol', default='held-out', help='see `lewm evaluate` '
                        '(%(default)s)')
    parser.add_argument('--episodes', type=int, default=50, help='pairs to try (%(default)s)')
    parser.add_argument('--budget', type=int, help="control steps per pair (the task's)")
    parser.add_argument('--clicks', action='store_true',
                        help='give goals as a person clicks them, as `clicks` of the robot file '
                             'says, instead of as pictures; offline as quantities')
    parser.add_argument('--seed', type=int, default=42, help='of the choice of pairs '
                        '(%(default)s)')
    parser.add_argument('--planner-seeds', type=int, default=1,
                        help='how often every pair is tried offline (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/eval_ros'),
                        help='folder of the results, one for each task (%(default)s)')
    return parser


if __name__ == '__main__':
    sys.exit(main())
