"""Goals without a picture beside goal pictures: where each breaks down."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import json
from pathlib import Path
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.errors import ConfigError
from lewm_sim.evaluate.statistics import wilson_interval
from lewm_sim.tasks import load_task, Outcome
import numpy as np

BINS = 5     # of equally many pairs


def main() -> None:
    """Draw what `lewm evaluate --goals picture,quantities --out` wrote."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument('results', nargs='+', type=Path, help='JSON files, a row of pictures each')
    parser.add_argument('--out', type=Path, required=True, help='PNG file')
    args = parser.parse_args()
    figure = new_figure(11, 3.6 * len(args.results), 'drawing where goals break down')
    rows = figure.subplots(len(args.results), 2, squeeze=False)
    for axes, path in zip(rows, args.results, strict=True):
        draw(axes, path.stem, json.loads(path.read_text(encoding='utf-8')))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=100)
    print(f'drawn in {args.out}')


def draw(axes: Sequence[Any], title: str, results: Mapping[str, Any]) -> None:
    """Draw success over the way to the goal, and over how wrong the goal picture is read."""
    if 'read_errors' not in results:
        raise ConfigError(f'{title} has no goals of quantities; evaluate with --goals '
                          f'picture,quantities')
    tolerance = next(one for one in load_task(results['task']).facts.all_tolerances()
                     if str(one) == results['scores'][0]['tolerance'])
    usual = {name: np.sqrt(np.mean([one['errors'][name] ** 2 for one in results['read_errors']]))
             for name in results['goal_names']}
    wrong = {(one['episode'], one['row']): max(error / usual[name] for name, error
                                               in one['errors'].items())
             for one in results['read_errors']}
    for planner in results['goals']:
        trials = results['trials'][planner]
        held = np.array([_outcome(trial, -1).solved(tolerance) for trial in trials])
        far = np.array([_outcome(trial, 0).distance(tolerance) for trial in trials])
        read = np.array([wrong[trial['episode'], trial['row']] for trial in trials])
        for axis, values in zip(axes, (far, read), strict=True):
            _curve(axis, values, held, planner)
    axes[0].set(title=f'{title}: success at the end, {tolerance}', ylabel='success [%], 95 %',
                xlabel='distance at the start [tolerances of the task], largest error')
    axes[1].set(xlabel='error of the readout at the goal [its root mean square], largest')
    for axis in axes:
        axis.set(ylim=(-3, 103))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)


def _outcome(trial: Mapping[str, Any], instant: int) -> Outcome:
    return Outcome({name: values[instant] for name, values in trial['errors'].items()})


def _curve(axis: Any, values: np.ndarray, solved: np.ndarray, name: str) -> None:
    """Draw shares of bins of equally many trials; the interval takes trials for independent."""
    parts = np.array_split(np.argsort(values, kind='stable'), BINS)
    middles = [np.median(values[part]) for part in parts]
    rates = np.array([solved[part].mean() for part in parts])
    low, high = np.array([wilson_interval(int(solved[part].sum()), len(part))
                          for part in parts]).T
    line, = axis.plot(middles, 100 * rates, marker='o', label=name)
    axis.fill_between(middles, 100 * low, 100 * high, color=line.get_color(), alpha=0.1)


if __name__ == '__main__':
    main()
