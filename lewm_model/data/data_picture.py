"""One page about a data set: lengths, actions against their limits, alignment, stamps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.data.alignment import Alignment
from lewm_model.data.data_checks import action_names
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, without_path
import numpy as np

_COLUMNS, _MAX_ACTIONS = 3, 24
_BLUE, _RED, _GREY = '#2166ac', '#b2182b', '#777777'


def plot_data_set(file: EpisodeFile, path: str | Path, found: list[Alignment]) -> None:
    """Write the page as PNG, PDF or SVG, after the suffix of `path`.

    Args:
        file: The data set.
        path: The picture.
        found: What `describe_data.alignments` found.

    Raises:
        MissingPackageError: If matplotlib is not installed.
        DatasetError: If the file cannot be written.
    """
    names = action_names(file)[:_MAX_ACTIONS]
    has_stamps = 'stamp_ns' in file.columns
    panels = 1 + has_stamps + len(found) + len(names)
    lines = math.ceil(panels / _COLUMNS)
    figure = new_figure(4.2 * _COLUMNS, 2.7 * lines + 0.6, 'plotting a data set')
    more = file.action.shape[1] - len(names)
    figure.suptitle(f'{Path(file.path).name}: {len(file)} rows in {file.num_episodes} episodes'
                    + f' (the first {len(names)} of {more + len(names)} actions)' * (more > 0))
    axes = figure.subplots(lines, _COLUMNS, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.set_axis_off()
    panel = iter(axes)
    _lengths(next(panel), file)
    if has_stamps:
        _stamps(next(panel), file)
    for finding in found:
        _alignment(next(panel), finding)
    for axis, name in enumerate(names):
        _action(next(panel), file, axis, name)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:   # ValueError: a suffix that is no picture
        raise DatasetError(f'cannot write picture {path}: {without_path(error)}') from error


def _lengths(axes: Any, file: EpisodeFile) -> None:
    low, high = int(file.ep_len.min()), int(file.ep_len.max())
    pad = max(1, (high - low) // 20)   # room at the sides, also where all are of one length
    axes.hist(file.ep_len, bins=min(30, high - low + 1 + 2 * pad), color=_BLUE,
              range=(low - pad - 0.5, high + pad + 0.5))
    axes.locator_params(axis='x', integer=True)
    axes.set(title='episode lengths', xlabel='rows', ylabel='episodes')


def _stamps(axes: Any, file: EpisodeFile) -> None:
    stamps = np.asarray(file.columns['stamp_ns']).ravel().astype(np.int64)
    inside = np.ones(len(stamps) - 1, dtype=bool)
    inside[(file.ep_offset + file.ep_len - 1)[:-1]] = False
    steps_ms = np.diff(stamps)[inside] / 1e6
    middle = float(np.median(steps_ms)) if len(steps_ms) else 0.0
    reach = max(float(np.abs(steps_ms - middle).max(initial=0)), 0.05 * abs(middle), 0.01)
    axes.hist(steps_ms, bins=41, range=(middle - reach, middle + reach), color=_BLUE, log=True)
    axes.set_ylim(bottom=0.5)
    if file.control_dt_s:
        axes.axvline(1e3 * file.control_dt_s, color=_RED, linestyle='--', label='control step')
        axes.legend()
    axes.set(title='time between rows', xlabel='ms', ylabel='rows')


def _alignment(axes: Any, finding: Alignment) -> None:
    lags = list(finding.gains)
    best = finding.verdict != 'unclear' and finding.best
    colours = [(_BLUE if best == 0 else _RED) if finding.verdict != 'unclear' and lag == best
               else '#bbbbbb' for lag in lags]
    axes.bar(range(len(lags)), finding.gains.values(), color=colours)
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.set_xticks(range(len(lags)), [f't{lag:+d}' if lag else 't' for lag in lags])
    axes.set(title=f'alignment by {finding.witness}: {finding.verdict}',
             xlabel='row of the action', ylabel='explains of t to t+1')


def _action(axes: Any, file: EpisodeFile, axis: int, name: str) -> None:
    values = file.action[:, axis]
    values = values[np.isfinite(values)]
    axes.hist(values, bins=50, color=_BLUE)
    for key in ('action_min', 'action_max'):
        if key in file.attributes:
            axes.axvline(float(file.attributes[key][axis]), color=_RED, linestyle='--')
    observed = file.attributes.get('action_limits') == 'observed'
    axes.set(title=f'action {name}', ylabel='rows', xlabel='robot units' + (
        f'; {"observed " * observed}limits dashed' if 'action_min' in file.attributes else ''))
