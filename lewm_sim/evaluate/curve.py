"""Success over the computation that a decision takes, as a picture: models and planners alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.errors import ConfigError


def curves(results: Mapping[str, Any], rule: str) -> dict[str, list[tuple[float, ...]]]:
    """Return points (operations per control step, success, low, high) by planner, cheapest first.

    Planners that differ in their budget alone (`cem 30x3`, `cem 100x5`) are points of one curve.

    Args:
        results: Of `evaluate`, or read from a file that `--out` wrote.
        rule: 'reached' or 'final'.

    Raises:
        ConfigError: If the results do not say what decisions cost.
    """
    if 'efforts' not in results:
        raise ConfigError(f'the results of model {results.get("model_id", "?")} do not say what a '
                          f'decision costs; evaluate it again with this version')
    counting = results['scores'][0]['tolerance']
    found: dict[str, list[tuple[float, ...]]] = {}
    for row in results['scores']:
        if row['tolerance'] == counting and row['policy'] in results['efforts']:
            flops = results['efforts'][row['policy']]['flops_per_step']
            name = re.sub(r' \d+x\d+$', '', row['policy'])
            found.setdefault(name, []).append((flops, row[rule], *row[f'{rule}_interval']))
    return {name: sorted(points) for name, points in found.items()}


def draw_curves(several: Sequence[tuple[str, Mapping[str, Any]]], path: Path) -> Path:
    """Draw the results of one or several models, (name, results) each, into a picture.

    Raises:
        ConfigError: If results do not say what decisions cost.
        MissingPackageError: If matplotlib is not installed.
    """
    figure = new_figure(11, 4.2, 'drawing success over computation')
    for axes, (rule, title) in zip(figure.subplots(1, 2, sharey=True), (
            ('reached', 'reached at any step'), ('final', 'at the end')), strict=True):
        for model, results in several:
            for name, points in curves(results, rule).items():
                flops, rates, low, high = zip(*points, strict=True)
                label = f'{model}: {name}' if len(several) > 1 else name
                line, = axes.plot(flops, [100 * rate for rate in rates], marker='o', label=label)
                axes.fill_between(flops, [100 * value for value in low],
                                  [100 * value for value in high], color=line.get_color(),
                                  alpha=0.15)
        tolerance = several[0][1]['scores'][0]['tolerance']
        axes.set(title=f'{title}, {tolerance}', xscale='log', ylim=(-2, 102),
                 xlabel='floating-point operations per control step (encoder and planner)')
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.axes[0].set(ylabel='success [%], 95 % over pairs')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
