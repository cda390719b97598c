"""Judge the drives of `surprise_trials.py` as the planner node would, and write the page.

    python tools/surprise_page.py                 # docs/results/surprise.{json,md,png}
    python tools/surprise_page.py --part choose   # prints the same of the other seeds

Every frame goes through the planner's own `Doubts`, with the numbers of the shipped bundle and the
parameters' defaults. What was chosen with the part 'choose' is reported on the part 'report'.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
import json
import math
from pathlib import Path
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.images.recoloured import recoloured, unexplained
from lewm_model.planning.surprise import Expectation
from lewm_model.types import Observation
from lewm_ros.planner.parameters import PlannerParameters
from lewm_ros.planner.setup import doubt_settings
from lewm_ros.planner.surprise.doubts import Doubts
from lewm_ros.wire.reasons import Code
from lewm_sim.tasks import load_task
import numpy as np
from surprise_trials import AFTER_S, BEFORE_S, DRIVE_S, EVENTS, GOAL_S, PARTS, ROBOTS
import torch
from torch import Tensor

PAGE = Path(__file__).resolve().parents[1] / 'docs/results/surprise.md'
ACTIONS = ('warn', 'slow', 'stop')
_NO_PICTURE = np.zeros((8, 8, 3), np.uint8)      # of undisturbed drives none is kept


class Replayed:
    """A robot's policy as it was at one step, for `Doubts` to look at."""

    def __init__(self, bundle: Bundle, kept: dict[str, np.ndarray], robot: int) -> None:
        self.bundle, self.goal, self.step = bundle, None, 0
        self._seen = torch.from_numpy(kept['latents'][robot])
        self._expected = torch.from_numpy(kept['expected'][robot])
        self._block = bundle.model_config.frameskip

    @property
    def newest_latent(self) -> Tensor:
        """Latent of the frame, (D,)."""
        return self._seen[self.step]

    def expectation(self) -> Expectation | None:
        """What the model expected of it."""
        expected = self._expected[self.step]
        return None if expected[0].isnan() else Expectation(
            expected, self.newest_latent, self._seen[self.step - self._block])


@dataclass(frozen=True)
class Judged:
    """What the guard said of some robots, (ROBOTS, steps) each."""

    codes: np.ndarray       # of the reason
    stops: np.ndarray       # whether the robot was stopped
    scales: np.ndarray      # of its speed
    surprise: np.ndarray


def judge(bundle: Bundle, kept: dict[str, np.ndarray], parameters: PlannerParameters) -> Judged:
    """Show every frame to the guard, robot by robot."""
    settings = doubt_settings(parameters, bundle.ordinary)
    shape = kept['latents'].shape[:2]
    found = Judged(np.zeros(shape, int), np.zeros(shape, bool), np.ones(shape),
                   np.full(shape, np.nan))
    for robot in range(shape[0]):
        doubts, policy = Doubts(settings), Replayed(bundle, kept, robot)
        for step in range(shape[1]):
            policy.step = step
            if kept['new_goal'][robot, step]:
                doubts.forgive(looked=False)
            picture = kept['pictures'][robot, step] if 'pictures' in kept else _NO_PICTURE
            doubt = doubts.look(policy, Observation(
                1 + round(step * bundle.control_dt_s * 1e9), picture))
            found.codes[robot, step] = doubt.reason.code
            found.stops[robot, step] = doubt.stops
            found.scales[robot, step] = doubt.numbers['speed_scale']
            found.surprise[robot, step] = doubt.numbers['surprise']
    return found


def first(raised: np.ndarray, at: int) -> list[int | None]:
    """Return after how many frames from `at` on each robot's first True is; None: never."""
    return [int(row[at:].argmax()) + 1 if row[at:].any() else None for row in raised]


def count(raised: np.ndarray) -> int:
    """Count how often it is raised, (ROBOTS, steps)."""
    return int(raised[:, 0].sum() + (raised[:, 1:] & ~raised[:, :-1]).sum())


def most(seen: int) -> float:
    """Return the upper 95 % bound of a Poisson mean of which `seen` were counted."""
    low, high = 0.0, 10.0 + 4 * seen
    for _ in range(60):
        mean = (low + high) / 2
        below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
                    for k in range(seen + 1))
        low, high = (mean, high) if below > 0.05 else (low, mean)
    return high


def of_task(folder: Path, part: str, parameters: PlannerParameters) -> dict[str, Any]:
    """Return what the guard did in a task, for JSON."""
    facts = json.loads((folder / 'facts.json').read_text())
    task = load_task(facts['task'])
    bundle = Bundle.load(find_named('models', task.bundle))
    if bundle.model_id != facts['model_id']:
        raise SystemExit(f'{folder} is of model {facts["model_id"]}, {task.bundle} is '
                         f'{bundle.model_id}; drive again')
    dt_s, at, drives = facts['dt_s'], facts['at'], []
    found = {**facts, 'bundle': task.bundle, 'ordinary': bundle.ordinary.config.to_dict(),
             'events': {}}
    for path in sorted(folder.glob(f'{part}-*.npz')):
        name = path.stem.split('-')[1].replace('_', ' ')
        with np.load(path) as file:
            kept = dict(file)
        judged = judge(bundle, kept, parameters)
        if name == 'drive':
            drives.append(judged)
            continue
        surprised = judged.codes == Code.SURPRISED
        found['events'][name] = {
            'text': EVENTS[name].text, 'trials': len(surprised),
            'said_after': first(surprised, at), 'stopped_after': first(judged.stops, at),
            'view_after': first(judged.codes == Code.VIEW_UNFAMILIAR, at),
            'before': int(surprised[:, :at].any(axis=1).sum()),
            'unexplained': [round(unexplained(pictures[at - 1], pictures[at]), 3)
                            for pictures in kept['pictures']],
            'recoloured': [recoloured(pictures[at - 1], pictures[at])
                           for pictures in kept['pictures']],
            'surprise': [[float(f'{value:.3g}') for value in line] for line in _quantiles(
                judged.surprise[:, at - round(1 / dt_s):at + round(4 / dt_s)])]}
    if drives:
        frames = sum(one.codes.size for one in drives)
        known = np.concatenate([one.surprise.ravel() for one in drives])
        known = known[np.isfinite(known)]
        hours = frames * dt_s / 3600
        said = sum(count(one.codes == Code.SURPRISED) for one in drives)
        stopped = sum(count(one.stops) for one in drives)
        found['undisturbed'] = {
            'hours': hours, 'frames': frames, 'drives': sum(len(one.codes) for one in drives),
            'said': said, 'said_per_hour_at_most': most(said) / hours,
            'stopped': stopped, 'stopped_per_hour_at_most': most(stopped) / hours,
            'view': sum(count(one.codes == Code.VIEW_UNFAMILIAR) for one in drives),
            'surprise_mean': float(known.mean()),
            'surprise_quantiles': {str(q): float(np.quantile(known, q))
                                   for q in (0.5, 0.9, 0.99, 0.999, 1)}}
    return found


def _quantiles(surprise: np.ndarray) -> np.ndarray:
    """Return the 0.1, 0.5 and 0.9 quantile over robots, (3, steps); NaN where nothing is known."""
    known = np.isfinite(surprise).any(axis=0)
    found = np.full((3, surprise.shape[1]), np.nan)
    found[:, known] = np.nanquantile(surprise[:, known], (0.1, 0.5, 0.9), axis=0)
    return found


def event_line(task: str, name: str, event: dict[str, Any], dt_s: float) -> str:
    """Return a row of the table of what is caught."""
    cells = [task, f'{name}: {event["text"]}']
    for key in ('said_after', 'stopped_after'):
        late = [frames for frames in event[key] if frames is not None]
        cells.append(f'{len(late)} of {event["trials"]}' + (
            f'; {np.median(late):.0f} ({max(late)}) frames, {np.median(late) * dt_s:.2g} s'
            if late else ''))
    cells.append(f'{sum(event["recoloured"])}')
    cells.append(f'{sum(one is not None for one in event["view_after"])}')
    return f'| {" | ".join(cells)} |'


def drive_line(task: str, found: dict[str, Any]) -> str:
    """Return a row of the table of false alarms."""
    here = found['undisturbed']
    quantiles = here['surprise_quantiles']
    return (f'| {task} | {here["hours"]:.2f} h, {here["drives"]} drives | {here["said"]} (at most '
            f'{here["said_per_hour_at_most"]:.1f}) | {here["stopped"]} (at most '
            f'{here["stopped_per_hour_at_most"]:.1f}) | {here["view"]} | '
            f'{here["surprise_mean"]:.2f}, {quantiles["0.999"]:.3g}, {quantiles["1"]:.3g} | '
            f'{found["ordinary"]["surprise_limit"]:.3g} |')


def draw(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw surprise around every event."""
    figure = new_figure(2.1 * len(EVENTS), 2.0 * len(results), 'drawing surprise')
    all_axes = figure.subplots(len(results), len(EVENTS), squeeze=False, sharex=True,
                               sharey='row')
    for line, (task, found) in zip(all_axes, results.items(), strict=True):
        for axes, name in zip(line, EVENTS, strict=True):
            low, middle, high = np.array(found['events'][name]['surprise'], float)
            seconds = np.arange(len(middle)) * found['dt_s'] - 1
            axes.fill_between(seconds, low, high, color='#81a1c1', alpha=0.5, lw=0)
            axes.plot(seconds, middle, color='#2e5c8a', lw=1.2)
            axes.axhline(found['ordinary']['surprise_limit'], color='#bf616a', lw=0.9)
            axes.axvline(0, color='0.4', lw=0.7, ls=':')
            axes.set_yscale('log')
            axes.set_title(f'{task}: {name}', fontsize=8)
            axes.tick_params(labelsize=6)
            axes.spines[['top', 'right']].set_visible(False)
    figure.supxlabel('seconds from the event', fontsize=8)
    figure.supylabel('surprise (1 is ordinary)', fontsize=8)
    figure.savefig(path, format='png', dpi=110)


def main() -> None:
    """Judge, and write."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('--drives', type=Path, default=Path('runs/surprise'))
    parser.add_argument('--part', choices=tuple(PARTS), default='report')
    args = parser.parse_args()
    torch.set_num_threads(1)
    parameters = replace(PlannerParameters(), surprise_action='stop')
    results = {folder.name: of_task(folder, args.part, parameters)
               for folder in sorted(args.drives.iterdir()) if folder.is_dir()}
    drives = '\n'.join(drive_line(task, found) for task, found in results.items()
                       if 'undisturbed' in found)
    events = '\n'.join(event_line(task, name, found['events'][name], found['dt_s'])
                       for task, found in results.items() for name in EVENTS
                       if name in found['events'])
    if args.part != 'report':
        print(drives, events, sep='\n')
        return
    PAGE.with_suffix('.json').write_text(json.dumps(results, indent=1, allow_nan=True) + '\n')
    draw(results, PAGE.with_suffix('.png'))
    PAGE.write_text(TEXT.format(
        commands='\n'.join(found['command'] for found in results.values()), robots=ROBOTS,
        drive=DRIVE_S, goal=GOAL_S, before=BEFORE_S, after=AFTER_S,
        frames=parameters.surprise_frames, drives=drives, events=events))
    print(f'written: {PAGE}')


TEXT = """# Surprise as a guard: what is caught, and how often it is wrong

Generated by

```bash
{commands}
python tools/surprise_page.py
```

The models are those that ship (surprise.json has their ids). Robots drive side by side in
simulation from goal to goal, a new one every {goal:g} s, wherever they are then; they plan as the
bundle recommends where that is a policy, else by its prior. Every frame is judged by the planner's
own code, with the numbers of the shipped bundle, `surprise_action: stop` and {frames} frames in a
row (`surprise_frames`); a stop lasts until the next goal. The frames in a row, and what counts as
a stuck joint, were chosen with earlier models and other seeds. No lost frames, no latency,
pictures of the same renderer as the training data: a real camera is noisier.

## False alarms

Robots drive {drive:g} s each and nothing happens. "At most": upper end of the one-sided 95 %
interval, per hour. Surprise: mean, 0.999 quantile, highest.

| task | driven | said | stopped | view unfamiliar | surprise | limit |
|---|---|---|---|---|---|---|
{drives}

## What is caught

{robots} trials of each event, {before:g} s after the start; {after:g} s are watched. "Said":
SURPRISED in `plan_status`. "Stopped": the robot would have stopped. Frames from the event on:
median (most), and the median in seconds. "Colours": trials in which the first picture was taken
for a change of colours or light, after which nothing stops. "View": trials in which the view was
called unfamiliar, which is looked at with every new goal.

| task | event | said | stopped | colours | view |
|---|---|---|---|---|---|
{events}

![surprise over time](surprise.png)

Median over trials and the middle 80 %; red: the limit.
"""


if __name__ == '__main__':
    main()
