"""Run the demo's system for minutes and measure whether it stays fast and its memory flat.

    python -m lewm_ros.trials.soak --minutes 60 --image-size 640x480

The same nodes as `make demo`, with the goals in a loop and the demo's own instruments: camera to
command, plan times, missed control steps. Once per second it also looks at the memory (resident
set) of every process. Writes soak.json and soak.png once a minute; exit status 0 means that every
limit in `limits` was kept. Needs the built package (`source install/setup.bash`); it chooses a
free ROS domain itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
import os
from pathlib import Path
import sys
import time

from lewm_model.base import resources
from lewm_model.base.figure import new_figure
from lewm_ros.planner.parameters import PlannerParameters
from lewm_ros.startup.bringup import Bringup, isolate
from lewm_ros.startup.system import NodeSpec, system, SystemOptions
from lewm_ros.trials import big_camera, report
from lewm_ros.trials.client import connected
from lewm_ros.trials.goal_set import GoalSet, Judge
from lewm_ros.trials.other_view import with_view
from lewm_ros.trials.program import run_program
from lewm_ros.trials.pursue import pursue
from lewm_ros.trials.record import Record
from lewm_sim.tasks import load_task
import numpy as np

_WARM_UP = 0.2           # share of the run that does not count for memory: caches fill
_GROWTH_MB = 5.0         # of a process from after the warm-up to the end; more is not flat
_RISE_MS = 5.0           # of camera to command in the same time; more is not steady
_PIECES = 24             # of that time, of which each has a median
_BLOCK = 6               # pieces that may have been slow together: another user of the machine
_RESAMPLES = 2000
_KEEP_S = 60.0           # how often the report is written while it runs
_SAMPLE_S = 1.0
_PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
DEFINITIONS = {
    **{name: report.DEFINITIONS[name] for name in (
        'success', 'plan_ms', 'camera_to_command_ms', 'plans_late', 'deadline_misses')},
    'camera_to_command_rise_ms': 'of a straight line through the medians of 24 equal pieces of '
                                 'the time after the warm-up, from its begin to its end; low and '
                                 'high: 95 % interval, by resampling blocks of six pieces, '
                                 'because a shared machine is slow for minutes. The limit is '
                                 'broken if low is above it',
    'camera_to_command_pieces_ms': 'these medians',
    'memory_mb': 'resident set in 10^6 bytes, once per second; growth is the median of the last '
                 f'tenth less that of the tenth after the warm-up (the first {_WARM_UP:.0%}), and '
                 'per_minute a straight line fitted to all after it',
}


@dataclass
class Samples:
    """What was seen, with the seconds since the goals began."""

    at_s: list[float] = field(default_factory=list)                 # of the memory
    memory_mb: dict[str, list[float]] = field(default_factory=dict)  # by process
    plan_s: list[float] = field(default_factory=list)               # of Record.plan_ms
    lag_s: list[float] = field(default_factory=list)                # of camera_to_command_ms

    def take(self, now_s: float, record: Record, pids: dict[str, int]) -> None:
        """Give new values of the record their time, and look at the memory when it is due."""
        self.plan_s += [now_s] * (len(record.plan_ms) - len(self.plan_s))
        self.lag_s += [now_s] * (len(record.camera_to_command_ms) - len(self.lag_s))
        if not self.at_s or now_s - self.at_s[-1] >= _SAMPLE_S:
            self.at_s.append(now_s)
            for name, pid in pids.items():
                self.memory_mb.setdefault(name, []).append(resident_mb(pid))


def resident_mb(pid: int) -> float:
    """Return the resident set of a process [10^6 bytes]."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * _PAGE_BYTES / 1e6


def memory_facts(at_s: list[float], memory_mb: list[float]) -> dict[str, float | None]:
    """Return how the memory of one process developed; None where the run was too short."""
    times, values = np.array(at_s), np.array(memory_mb)
    facts = {'first': round(values[0], 1), 'last': round(values[-1], 1),
             'most': round(values.max(), 1), 'growth': None, 'per_minute': None}
    late = times >= times[0] + _WARM_UP * (times[-1] - times[0])
    times, values = times[late], values[late]
    tenth = max(len(values) // 8, 1)     # an eighth of the rest is a tenth of all
    if len(values) >= 4:
        slope = np.polyfit(times / 60, values, 1)[0]
        growth = np.median(values[-tenth:]) - np.median(values[:tenth])
        facts |= {'growth': round(float(growth), 2), 'per_minute': round(float(slope), 3)}
    return facts


def pieces(at_s: list[float], values: list[float]) -> np.ndarray:
    """Return the medians of equal pieces of the time after the warm-up; empty: too short."""
    times, values = np.array(at_s), np.array(values)
    if len(values) < 20:
        return np.empty(0)
    begin = times[0] + _WARM_UP * (times[-1] - times[0])
    number = np.floor((times - begin) / (times[-1] - begin) * _PIECES).astype(int)
    number[-1] = _PIECES - 1      # the last value is at the end of the last piece
    return np.array([np.median(values[number == piece]) for piece in range(_PIECES)
                     if (number == piece).any()])


def rise(medians: np.ndarray) -> dict[str, float | None]:
    """Return how much a line through the medians rises from first to last, with its interval.

    What is left beside the line is resampled in blocks: neighbours are slow together.
    """
    if len(medians) < 2 * _BLOCK:
        return dict.fromkeys(('value', 'low', 'high'))
    place = np.linspace(-0.5, 0.5, len(medians))
    lean = place / np.square(place).sum()      # the slope of a line is lean @ its values
    value = lean @ medians
    beside = medians - medians.mean() - value * place
    rng = np.random.default_rng(0)
    blocks = -(-len(medians) // _BLOCK)
    starts = rng.integers(0, len(medians) - _BLOCK + 1, size=(_RESAMPLES, blocks))
    rows = (starts[:, :, None] + np.arange(_BLOCK)).reshape(_RESAMPLES, -1)[:, :len(medians)]
    low, high = np.quantile(value + beside[rows] @ lean, (0.025, 0.975))
    return {name: round(float(number), 2)
            for name, number in (('value', value), ('low', low), ('high', high))}


def quantiles(values: list[float]) -> dict[str, float | None]:
    """Return p50, p95, p99 and the largest of what was measured."""
    if not values:
        return dict.fromkeys(('p50', 'p95', 'p99', 'max'))
    cuts = np.quantile(values, (0.5, 0.95, 0.99, 1.0))
    return dict(zip(('p50', 'p95', 'p99', 'max'), np.round(cuts, 1).tolist(), strict=True))


def summarize(record: Record, samples: Samples, reached: list[bool], control_dt_s: float
              ) -> dict:
    """Return the report without the samples; `limits` says which of the limits were kept."""
    memory = {name: memory_facts(samples.at_s, values)
              for name, values in samples.memory_mb.items()}
    lag, plan = quantiles(record.camera_to_command_ms), quantiles(record.plan_ms)
    period_ms = 1e3 * control_dt_s
    medians = pieces(samples.lag_s, record.camera_to_command_ms)
    rise_ms = rise(medians)
    growths = [facts['growth'] for facts in memory.values()]
    return {
        'goals': len(reached), 'goals_reached': sum(reached),
        'control_period_ms': round(period_ms, 1),
        'camera_to_command_ms': lag, 'camera_to_command_rise_ms': rise_ms,
        'camera_to_command_pieces_ms': medians.round(1).tolist(),
        'plan_ms': plan,
        'commands': len(record.command_times_s), 'deadline_misses': record.deadline_misses,
        'plans': len(record.plan_ms), 'plans_late': record.plans_late,
        'real_time_factor': {'p50': None, 'min': None} if not record.real_time_factors else {
            'p50': round(float(np.median(record.real_time_factors)), 3),
            'min': round(min(record.real_time_factors), 3)},
        'memory_mb': memory,
        'limits': {
            # Only where a plan fits into a period; a longer one is acted on in a later step.
            **({'camera_to_command_p99_within_one_control_period':
                lag['p99'] is not None and lag['p99'] <= period_ms}
               if plan['p99'] is None or plan['p99'] < period_ms else {}),
            f'camera_to_command_did_not_rise_by_{_RISE_MS:g}_ms':
                rise_ms['low'] is not None and rise_ms['low'] < _RISE_MS,
            'no_deadline_missed': bool(record.command_times_s) and record.deadline_misses == 0,
            f'no_process_grew_by_{_GROWTH_MB:g}_mb':
                None not in growths and all(growth < _GROWTH_MB for growth in growths)},
        'definitions': DEFINITIONS, 'model_id': record.model_id,
        'versions': report.versions(), 'cores': os.cpu_count(),
        'load_average': [round(load, 2) for load in os.getloadavg()]}


def draw(summary: dict, record: Record, samples: Samples, path: Path) -> None:
    """Draw memory, camera to command and plan times over the run."""
    figure = new_figure(9, 9, 'the picture of the soak')
    memory, lag, plan = figure.subplots(3, 1, sharex=True)
    for name, values in samples.memory_mb.items():
        memory.plot(np.array(samples.at_s) / 60, values, label=name)
    memory.set(ylabel='resident memory [MB]', ylim=(0, None),
               title=f'{summary["goals_reached"]} of {summary["goals"]} goals reached')
    memory.legend(loc='center right')
    lag.plot(np.array(samples.lag_s) / 60, record.camera_to_command_ms, '.', markersize=2)
    lag.axhline(summary['control_period_ms'], color='k', linewidth=1, label='control period')
    lag.set(ylabel='camera to command [ms]', ylim=(0, None))
    lag.legend()
    plan.plot(np.array(samples.plan_s) / 60, record.plan_ms, '.', markersize=2)
    plan.set(ylabel='plan [ms]', xlabel='minutes', ylim=(0, None))
    figure.savefig(path, dpi=110)


class _BigCamera(NodeSpec):
    """The simulator with another camera."""

    @property
    def module(self) -> str:
        return big_camera.__name__


def nodes_of(options: argparse.Namespace, bundle: Path, goals: Path) -> list[NodeSpec]:
    """Return the demo's nodes with the planner's settings and the camera that were asked for."""
    nodes = [replace(node, parameters={**node.parameters, **dict(options.planner)})
             if node.executable == 'planner_node' else node
             for node in system(SystemOptions(sim=True, task=options.task, goal_root=str(goals),
                                              bundle=str(bundle.resolve())))]
    if not options.image_size:
        return nodes
    os.environ[big_camera.VARIABLE] = options.image_size
    return [_BigCamera(**vars(node)) if node.executable == 'sim_node' else node for node in nodes]


def soak(options: argparse.Namespace,
         keep: Callable[[Record, Samples, list[bool]], None]) -> None:
    """Run the system with goals in a loop; hand over what was seen, once a minute and at last."""
    task = load_task(options.task)
    bundle = resources.find_named('models', options.bundle)
    goals = (options.goals or bundle / 'goals').resolve()
    goal_set = GoalSet.load(goals, task)
    judge = Judge(task, options.dwell)
    if options.image_size:    # the planner refuses what the bundle was not trained on
        bundle = with_view(bundle, *map(int, options.image_size.split('x')),
                           options.out / 'bundle')
    isolate()
    samples, reached = Samples(), []
    with (Bringup(nodes_of(options, bundle, goals), options.out / 'log') as running,
          connected(running, 'soak', task, goal_set.start) as client):
        pids = {name: child.pid for name, child in running.children.items()}
        begin_s = time.monotonic()
        elapsed_s = kept_s = 0.0

        def watch() -> float:
            client.record.frames.clear()      # pictures are for films
            seconds = time.monotonic() - begin_s
            samples.take(seconds, client.record, pids)
            return seconds

        try:
            while elapsed_s < 60 * options.minutes:
                goal = goal_set.goals[len(reached) % len(goal_set.goals)]
                reached.append(pursue(client, judge, goal, number=0, on_spin=watch,
                                      time_limit_s=options.time_limit).reached)
                elapsed_s = time.monotonic() - begin_s
                print(f'{elapsed_s / 60:.2f} of {options.minutes:g} minutes, goal {len(reached)} '
                      f'{"reached" if reached[-1] else "missed"}, '
                      f'{client.record.deadline_misses} deadlines missed', flush=True)
                if elapsed_s - kept_s > _KEEP_S:
                    kept_s = elapsed_s
                    keep(client.record, samples, reached)
        finally:      # also what was interrupted has its plot
            if samples.at_s:
                keep(client.record, samples, reached)


def planner_setting(text: str) -> tuple[str, object]:
    """Return (name, value) of a planner parameter given as `name=value`."""
    kinds = {item.name: type(item.default) for item in fields(PlannerParameters)}
    name, _, value = text.partition('=')
    if kinds.get(name) not in (int, float, str):
        raise argparse.ArgumentTypeError(f'{name!r} is none of {", ".join(kinds)}')
    return name, kinds[name](value)


def main(args: list[str] | None = None) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--task', default='reacher')
    parser.add_argument('--bundle', default='reacher-nano')
    parser.add_argument('--goals', type=Path, help="folder with goals.yaml (the bundle's own)")
    parser.add_argument('--time-limit', type=float, default=6.0, help='simulated s per goal')
    parser.add_argument('--dwell', type=float, default=0.25, help='seconds to stay at a goal')
    parser.add_argument('--planner', type=planner_setting, action='append', default=[],
                        metavar='NAME=VALUE', help='parameter of planner_node; repeat for more')
    parser.add_argument('--out', type=Path, default=Path('out/soak'))
    parser.add_argument('--image-size', default='', metavar='WIDTHxHEIGHT',
                        help="of the camera [px], such as 640x480 (the task's own)")
    options = parser.parse_args(args)
    return run_program('soak', lambda: _soak_and_report(options),
                       interrupted=f'all processes have ended; {options.out} has what was seen')


def _soak_and_report(options: argparse.Namespace) -> int:
    control_dt_s = load_task(options.task).control_dt_s
    summary: dict = {}

    def keep(record: Record, samples: Samples, reached: list[bool]) -> None:
        summary.update(summarize(record, samples, reached, control_dt_s))
        report.write({'task': options.task, 'bundle': options.bundle,
                      'planner': dict(options.planner),
                      'image_size': options.image_size or "the task's",
                      'minutes': round(samples.at_s[-1] / 60, 2), **summary,
                      'samples': {'at_s': samples.at_s, 'memory_mb': samples.memory_mb}},
                     options.out / 'soak.json')
        draw(summary, record, samples, options.out / 'soak.png')

    soak(options, keep)
    for name, kept in summary['limits'].items():
        print(f'{"kept  " if kept else "BROKEN"}  {name}')
    print(f'camera to command {summary["camera_to_command_ms"]} ms, plan {summary["plan_ms"]} ms; '
          f'{options.out / "soak.json"}')
    return 0 if all(summary['limits'].values()) else 1


if __name__ == '__main__':
    sys.exit(main())
