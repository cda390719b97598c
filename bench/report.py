"""What a benchmark leaves behind: a table for people, JSON, and a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import platform
import textwrap
from typing import Any

from lewm_model import __version__
from lewm_model.base.figure import new_figure
from lewm_model.errors import LewmError

from bench.side_by_side import Measured, ratio

STEPS = 'executed_steps'   # fact of a variant: control steps executed of one plan


@dataclass(frozen=True)
class Group:
    """Variants measured side by side; the first is the one that the others are compared with."""

    title: str
    measured: tuple[Measured, ...]
    unit: str = 'call'                  # what `Measured.units` counts
    notes: dict[str, Any] = field(default_factory=dict)    # parity, sizes, memory, ...

    def text(self) -> str:
        """Lay out as a table."""
        base = self.measured[0]
        names = [_with_dtype(item) for item in self.measured]
        width = max(map(len, names))
        steps = [item.facts.get(STEPS) for item in self.measured]
        lines = [self.title, f'  {"":{width}}  median ms     p10     p99 {self.unit + "/s":>14}'
                             f'   times {base.name} (p10-p90)'
                             + '   ms/executed step   times' * all(steps)]
        for name, item in zip(names, self.measured, strict=True):
            middle, low, high = ratio(base, item)
            lines.append(f'  {name:{width}} {1e3 * item.median_s:10.2f} '
                         f'{1e3 * item.quantile_s(.1):7.2f} {1e3 * item.quantile_s(.99):7.2f} '
                         f'{item.units_per_s:14.1f}   {middle:.2f} ({low:.2f}-{high:.2f})')
            if all(steps):
                each, first = item.facts[STEPS], base.facts[STEPS]
                lines[-1] += (f'   {1e3 * item.median_s / each:.3f}'
                              f'   {middle * each / first:.2f}')
        lines += [f'  {name}: {value}' for name, value in self.notes.items()]
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        base = self.measured[0]
        return {'title': self.title, 'unit': self.unit, 'notes': self.notes,
                'measured': [{**item.to_dict(), 'times_faster_than_first': dict(zip(
                    ('median', 'p10', 'p90'), ratio(base, item), strict=True))}
                    for item in self.measured]}


@dataclass(frozen=True)
class Report:
    """One run of `lewm bench`."""

    kind: str
    groups: tuple[Group, ...]
    command: str = ''

    def text(self) -> str:
        """Lay out for a terminal."""
        return '\n\n'.join(group.text() for group in self.groups)

    def write(self, folder: Path) -> Path:
        """Write `<kind>.json` and, where matplotlib is installed, `<kind>.png` into `folder`.

        Raises:
            LewmError: If the folder cannot be written to.
        """
        path = folder / f'{self.kind}.json'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(
                {'kind': self.kind, 'command': self.command, 'machine': machine(),
                 'groups': [group.to_dict() for group in self.groups]}, indent=1) + '\n',
                encoding='utf-8')
            self._draw(path.with_suffix('.png'))
        except OSError as error:
            raise LewmError(f'cannot write {path}: {error}; choose another --out') from error
        return path

    def _draw(self, path: Path) -> None:
        rows = sum(len(group.measured) for group in self.groups)
        figure = new_figure(8, 0.6 + 0.35 * rows + 0.9 * len(self.groups), 'drawing a benchmark')
        panels = figure.subplots(
            len(self.groups), 1, squeeze=False,
            gridspec_kw={'height_ratios': [len(group.measured) + 1 for group in self.groups]})
        for axes, group in zip(panels[:, 0], self.groups, strict=True):
            base = group.measured[0]
            names = list(map(_with_dtype, group.measured))
            values = [item.units_per_s for item in group.measured]
            bars = axes.barh(names, values, color=['tab:gray'] + ['tab:blue'] * (len(names) - 1))
            axes.bar_label(bars, [f' {value:.3g}  ({ratio(base, item)[0]:.3g} x)' for value, item
                                  in zip(values, group.measured, strict=True)], fontsize=8)
            axes.set_title(textwrap.fill(group.title, 80), fontsize=10)
            axes.set(xlabel=f'{group.unit}/s', xlim=(0, 1.25 * max(values)))
            axes.invert_yaxis()
        figure.savefig(path, dpi=110)


def machine() -> dict[str, Any]:
    """Say where the numbers come from."""
    import torch

    facts = {'processor': _processor(), 'cores': os.cpu_count(),
             'threads': torch.get_num_threads(), 'python': platform.python_version(),
             'torch': torch.__version__, 'lewm_ros': __version__,
             'load_average': os.getloadavg()}
    if torch.cuda.is_available():
        facts['gpu'] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(':')[2].strip() for line in lines
                 if line.startswith('model name')), platform.processor())


def _with_dtype(item: Measured) -> str:
    """Name a variant with the precision of its products, unless its name says it."""
    dtype = item.facts.get('dtype', '')
    return item.name if dtype in item.name else f'{item.name} ({dtype})'
