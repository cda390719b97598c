"""The plots of a report, as PNG bytes. The only place of the analysis that needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
import io
from typing import Any

from lewm_model.analysis.distances import DistanceCurve
from lewm_model.analysis.horizon import HorizonErrors
from lewm_model.base.figure import new_figure
from lewm_model.data.measured_states import Measured
import numpy as np
from torch import Tensor

COLOURS = {'unperturbed': '#4c566a', 'colour': '#e0a030', 'teleport': '#bf616a',
           'linear': '#81a1c1', 'mlp': '#2e5c8a'}


def canvas(width: float, height: float) -> Any:
    """Return an empty figure [inch].

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    return new_figure(width, height, 'drawing an analysis')


def png(figure: Any) -> bytes:
    """Draw a figure."""
    for axes in figure.axes:
        if axes.axison and axes.get_label() != '<colorbar>':
            axes.spines[['top', 'right']].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=110)
    return buffer.getvalue()


def plot_probes(scores: dict[str, dict[str, dict[str, float]]]) -> bytes:
    """Draw the correlation of every quantity, both probes."""
    figure = canvas(9, 0.6 + 0.42 * len(scores))
    axes = figure.subplots()
    places = np.arange(len(scores))
    for offset, kind in ((-0.18, 'linear'), (0.18, 'mlp')):
        axes.barh(places + offset, [entry[kind]['r'] for entry in scores.values()], 0.34,
                  color=COLOURS[kind], label=kind)
    axes.set_yticks(places, scores)
    axes.invert_yaxis()
    axes.set(xlabel='Pearson r on held-out episodes', xlim=(min(0, axes.get_xlim()[0]), 1.02))
    axes.axvline(1, color='grey', linewidth=0.6, linestyle=':')
    axes.legend(loc='lower right', fontsize=8)
    return png(figure)


def plot_surprise(curves: dict[str, np.ndarray], perturbed_frame: int, block_s: float,
                  threshold: float) -> bytes:
    """Draw mean surprise and its middle 80 % per version, (N, T-1) each, from frame 1 on."""
    figure = canvas(9, 3.4)
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        times = (np.arange(values.shape[1]) + 1) * block_s
        low, high = np.quantile(values, (0.1, 0.9), axis=0)
        colour = COLOURS.get(name, f'C{number}')   # a task has events of its own
        axes.fill_between(times, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(times, values.mean(axis=0), color=colour, marker='o', markersize=3,
                  label=name)
    axes.axvline(perturbed_frame * block_s, color='grey', linewidth=0.8, linestyle=':')
    axes.axhline(threshold, color='black', linewidth=0.8, linestyle='--',
                 label='nearly all ordinary surprise')
    axes.set(xlabel='time [s]', ylabel='surprise (1 = ordinary)', yscale='log')
    axes.legend(fontsize=8)
    return png(figure)


def plot_versions(frames: dict[str, np.ndarray], first: int) -> bytes:
    """Show each version of one trajectory around the event, (T, H, W, 3) each."""
    figure = canvas(9, 1.35 * len(frames) + 0.2)
    count = len(next(iter(frames.values())))
    grid = figure.subplots(len(frames), count, squeeze=False)
    for row, (name, pictures) in zip(grid, frames.items(), strict=True):
        for number, (axes, picture) in enumerate(zip(row, pictures, strict=True)):
            _picture(axes, picture)
            if row is grid[0]:
                axes.set_title(f'frame {first + number}', fontsize=8)
        row[0].set_ylabel(name, fontsize=8)
    return png(figure)


def plot_straightness(points: list[dict[str, float]]) -> bytes:
    """Draw straightness over training."""
    figure = canvas(6, 2.8)
    axes = figure.subplots()
    axes.plot([point['step'] for point in points], [point['straightness'] for point in points],
              marker='o', color=COLOURS['mlp'])
    axes.set(xlabel='optimiser step', ylabel='straightness', ylim=(-0.3, 1))
    axes.grid(alpha=0.3)
    return png(figure)


def plot_horizon(errors: dict[str, HorizonErrors], block_s: float) -> bytes:
    """Draw open-loop error against horizon for every context length."""
    figure = canvas(9, 3.4)
    axes = figure.subplots()
    longest = max(errors.values(), key=lambda entry: len(entry.copied))
    times = (np.arange(len(longest.copied)) + 1) * block_s
    for style, (name, entry) in zip(('-', '--'), errors.items(), strict=False):
        axes.plot(times[:len(entry.imagined)], entry.imagined, style, marker='o', markersize=3,
                  color=COLOURS['mlp'], label=f'imagined, {name}')
    axes.plot(times, longest.copied, color=COLOURS['colour'], marker='o', markersize=3,
              label='nothing moves (newest frame copied)')
    axes.axhline(longest.unrelated, color='grey', linestyle=':', label='unrelated frames')
    axes.set(xlabel='seconds ahead', ylabel='mean squared latent error', yscale='log')
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return png(figure)


def plot_distances(curves: list[DistanceCurve]) -> bytes:
    """Draw squared latent distance against the distance of each quantity, four in a row."""
    rows = -(-len(curves) // 4)
    figure = canvas(9, 3.2 * rows)
    grid = figure.subplots(rows, min(4, len(curves)), squeeze=False, sharey=True)
    for axes in grid.flat[len(curves):]:
        axes.set_axis_off()
    for axes, curve in zip(grid.flat, curves, strict=False):
        axes.fill_between(curve.distance, curve.low, curve.high, alpha=0.2, linewidth=0,
                          color=COLOURS['mlp'])
        axes.plot(curve.distance, curve.median, color=COLOURS['mlp'])
        unit = f' {curve.unit}' if curve.unit else ''
        if curve.saturation is not None:
            axes.axvline(curve.saturation, color=COLOURS['teleport'], linestyle='--',
                         label=f'flat from {curve.saturation:.3g}{unit}')
            axes.legend(fontsize=8)
        axes.set(title=curve.quantity.name, xlabel=f'distance{unit and f" [{unit.strip()}]"}',
                 xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    for row in grid:
        row[0].set_ylabel('squared latent distance')
    return png(figure)


def plot_projections(layouts: dict[str, np.ndarray], states: Sequence[Measured]) -> bytes:
    """Show layouts (N, 2) by name, a row per quantity, coloured by its values (N, width).

    Angles have a colour map without a seam; a quaternion is shown by its angle from the first.
    """
    figure = canvas(3.2 * len(layouts) + 0.6, 2.9 * len(states))
    grid = figure.subplots(len(states), len(layouts), squeeze=False)
    for place, (state, row) in enumerate(zip(states, grid, strict=True)):
        quantity, values = state.quantity, state.values[:, 0]
        looks, unit = {'cmap': 'viridis'}, quantity.unit
        if quantity.kind == 'angle':
            values = (values + np.pi) % (2 * np.pi) - np.pi
            looks = {'cmap': 'twilight_shifted', 'vmin': -np.pi, 'vmax': np.pi}
        elif quantity.kind == 'quaternion':
            values, unit = quantity.error(state.values, state.values[:1]), 'rad'
        for axes, (name, layout) in zip(row, layouts.items(), strict=True):
            dots = axes.scatter(*layout.T, c=values, s=5, **looks)
            axes.set(xticks=[], yticks=[], title=name if place == 0 else '')
            if axes is row[0]:
                axes.set_ylabel(f'by {quantity.name}')
        figure.colorbar(dots, ax=list(row), label=f'{quantity.kind}' + f' [{unit}]' * bool(unit))
    return png(figure)


def plot_strips(strips: list[dict[str, Tensor]], titles: list[str]) -> bytes:
    """Show rows of pictures; each strip has rows by name, (N, 3, H, W) in [0, 1]."""
    columns, kinds = len(titles), list(strips[0])
    figure = canvas(9, 9 / columns * len(kinds) * len(strips) + 0.3)
    grid = figure.subplots(len(kinds) * len(strips), columns, squeeze=False)
    for number, strip in enumerate(strips):
        for kind, pictures in strip.items():
            row = grid[number * len(kinds) + kinds.index(kind)]
            row[0].set_ylabel(kind, fontsize=7)
            for axes, picture in zip(row, pictures, strict=True):
                _picture(axes, picture.clamp(0, 1).movedim(0, -1).numpy())
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=7)
    return png(figure)


def _picture(axes: Any, picture: np.ndarray) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
