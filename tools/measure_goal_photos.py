r"""How well goals are reached whose pictures were taken with another exposure or a moved camera.

    python tools/measure_goal_photos.py two_room-nano reacher-nano --data data --out photos.json
    python tools/measure_goal_photos.py two_room-nano reacher-nano --data data --pairs 100 \
        --ways picture --corrections off,exposure,all --points exposure=0.7,0.85,1,1.2 \
        --points shift=1,2 --out corrected.json

Writes the rates and a picture of them. Only the goal picture changes, never what the robot sees.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.shards import open_data
from lewm_sim.evaluate import evaluate, Settings

POINTS = ('exposure=0.5,0.7,0.8,0.9,1.0,1.1,1.25,1.5,2.0', 'gamma=0.5,0.7,0.85,1.0,1.2,1.5,2.0',
          'shift=0.0,0.5,1.0,1.5,2.0,3.0,4.0')


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('bundles', nargs='+')
    parser.add_argument('--data', type=Path, required=True, help='folder of TASK.h5')
    parser.add_argument('--new-data', action='store_true',
                        help='sets that the bundles have seen nothing of')
    parser.add_argument('--pairs', type=int, default=50)
    parser.add_argument('--points', action='append', metavar='CHANGE=NUMBER,...',
                        help=f'may be repeated ({" ".join(POINTS)})')
    parser.add_argument('--ways', default='picture,counted', help='how goals are given')
    parser.add_argument('--corrections', default='off', help='of goal pictures: off,exposure,all')
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--out', type=Path, required=True, help='JSON file; a PNG beside it')
    args = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in args.bundles:
        bundle = Bundle.load(find_named('models', name))
        data = open_data([str(args.data / f'{bundle.task}.h5')])
        for change, values in map(parse_points, args.points or POINTS):
            for value in values:
                for which in args.corrections.split(','):
                    rows = measure(bundle, data, {change: value}, which, args)
                    print(json.dumps(rows), flush=True)
                    found += rows
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    draw(found, args.out.with_suffix('.png'))


def parse_points(text: str) -> tuple[str, list[float]]:
    """Read 'exposure=0.7,1.2'."""
    change, _, values = text.partition('=')
    return change, [float(value) for value in values.split(',')]


def measure(bundle: Bundle, data: Any, photo: dict[str, float], which: str,
            args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row per way to give the goal, by the task's first tolerance."""
    ways = tuple(args.ways.split(','))
    results = evaluate(bundle, data, None, Settings(
        count=args.pairs, seeds=1, workers=args.workers, photo=photo, goals=ways,
        goal_correction=which, new_data=args.new_data))
    tolerance = results['scores'][0]['tolerance']
    (change, value), = photo.items()
    goals = results.get('goals') or {results['scores'][0]['policy']: ways[0]}
    return [{'task': bundle.task, 'change': change, 'value': value, 'tolerance': tolerance,
             'way': goals[row['policy']], **results.get('goal_correction', {'which': which}),
             'pairs': row['pairs'],
             **{key: row[key] for key in ('reached', 'final', 'final_interval')}}
            for row in results['scores']
            if row['policy'] in goals and row['tolerance'] == tolerance]


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Draw success at the end over each change, a row of pictures for each task."""
    tasks, changes, lines = (list(dict.fromkeys(map(key, found))) for key in (
        lambda row: row['task'], lambda row: row['change'],
        lambda row: (row['way'], row['which'])))
    figure = new_figure(4 * len(changes), 3.2 * len(tasks),
                        'drawing success over changes of goal pictures')
    for row_of_axes, task in zip(
            figure.subplots(len(tasks), len(changes), squeeze=False, sharey=True), tasks,
            strict=True):
        for axis, change in zip(row_of_axes, changes, strict=True):
            for way, which in lines:
                rows = [row for row in found
                        if (row['task'], row['change'], row['way'], row['which'])
                        == (task, change, way, which)]
                low, high = zip(*(row['final_interval'] for row in rows), strict=True)
                places = [row['value'] for row in rows]
                line, = axis.plot(places, [100 * row['final'] for row in rows], marker='o',
                                  label=way if which == 'off' else f'{way}, corrected: {which}')
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
