"""How well goals are reached whose pictures were taken with another exposure or a moved camera.

    python tools/measure_goal_photos.py two_room-nano reacher-nano --data data --out photos.json

Writes the rates and a picture of them. Only the goal picture changes, never what the robot sees.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.data.shards import open_data
from lewm_model.figure import new_figure
from lewm_model.resources import find_named
from lewm_sim.evaluate import evaluate, Settings

POINTS = {'exposure': (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0),
          'gamma': (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0),
          'shift': (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)}
WAYS = ('picture', 'counted')


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('bundles', nargs='+')
    parser.add_argument('--data', type=Path, required=True, help='folder of TASK.h5')
    parser.add_argument('--pairs', type=int, default=50)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--out', type=Path, required=True, help='JSON file; a PNG beside it')
    args = parser.parse_args()
    found = []
    for name in args.bundles:
        bundle = Bundle.load(find_named('models', name))
        data = open_data([str(args.data / f'{bundle.task}.h5')])
        for change, values in POINTS.items():
            for value in values:
                found += measure(bundle, data, change, value, args)
                print(json.dumps(found[-len(WAYS):]), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    draw(found, args.out.with_suffix('.png'))


def measure(bundle: Bundle, data: Any, change: str, value: float, args: argparse.Namespace
            ) -> list[dict[str, Any]]:
    """Return one row per way to give the goal, by the task's first tolerance."""
    results = evaluate(bundle, data, None, Settings(
        count=args.pairs, seeds=1, workers=args.workers, photo={change: value}, goals=WAYS))
    tolerance = results['scores'][0]['tolerance']
    return [{'task': bundle.task, 'change': change, 'value': value, 'tolerance': tolerance,
             'way': results['goals'][row['policy']], 'pairs': row['pairs'],
             **{key: row[key] for key in ('reached', 'final', 'final_interval')}}
            for row in results['scores']
            if row['policy'] in results['goals'] and row['tolerance'] == tolerance]


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Draw success at the end over each change, a row of pictures for each task."""
    tasks = list(dict.fromkeys(row['task'] for row in found))
    figure = new_figure(12, 3.2 * len(tasks), 'drawing success over changes of goal pictures')
    for row_of_axes, task in zip(figure.subplots(len(tasks), 3, squeeze=False, sharey=True),
                                 tasks, strict=True):
        for axis, change in zip(row_of_axes, POINTS, strict=True):
            for way in WAYS:
                rows = [row for row in found if (row['task'], row['change'], row['way'])
                        == (task, change, way)]
                low, high = zip(*(row['final_interval'] for row in rows), strict=True)
                places = [row['value'] for row in rows]
                line, = axis.plot(places, [100 * row['final'] for row in rows], marker='o',
                                  label=way)
                axis.fill_between(places, [100 * one for one in low], [100 * one for one in high],
                                  color=line.get_color(), alpha=0.12)
            unit = ' [px of 64]' if change == 'shift' else ''
            axis.set(xlabel=f'{change} of the goal picture{unit}', ylim=(-3, 103),
                     title=f'{task}, {rows[0]["tolerance"]}')
            if change != 'shift':
                axis.set_xscale('log', base=2)
            axis.grid(alpha=0.3)
        row_of_axes[0].set(ylabel='success at the end [%], 95 %')
        row_of_axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=90)


if __name__ == '__main__':
    main()
