"""Training curves as one picture: losses, health in eval mode, a probe per quantity."""

from __future__ import annotations

from itertools import cycle
import math
from pathlib import Path

from lewm_model.base.figure import new_figure
from lewm_model.training.loop import Progress

_OWN_CURVES = {'step', 'prediction', 'sigreg', 'grad_norm'}
_TITLES = {'pictures': 'unpainted share of pictures', 'inverse': 'inverse dynamics',
           'states': 'states not read', 'rollout': 'open-loop prediction'}
_OTHERS = ('tab:green', 'tab:red', 'tab:purple', 'tab:brown', 'tab:pink', 'tab:olive')


def plot_curves(progress: Progress, path: Path) -> Path:
    """Draw what a run logged.

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    figure = new_figure(12, 3.6, 'drawing training curves')
    losses, health, probes = figure.subplots(1, 3)
    steps = [point['step'] for point in progress.losses]
    checked = [point['step'] for point in progress.checks]
    for name, colour in (('prediction', 'tab:blue'), ('sigreg', 'tab:orange')):
        losses.plot(steps, [point[name] for point in progress.losses], color=colour, alpha=0.5,
                    label=f'{name}, training')
        losses.plot(checked, [point[name] for point in progress.checks], color=colour,
                    marker='o', markersize=3, label=f'{name}, held out (eval mode)')
    others = sorted(progress.losses[-1].keys() - _OWN_CURVES) if progress.losses else ()
    for name, colour in zip(others, cycle(_OTHERS), strict=False):
        shown = [(point['step'], point[name]) for point in progress.losses if name in point]
        losses.plot(*zip(*shown, strict=True), color=colour, alpha=0.5,
                    label=f'{_TITLES.get(name, name)}, training')
    losses.set(title='Losses', xlabel='step', yscale='log')
    losses.axhline(1.05, color='grey', linestyle=':', label='SIGReg of a true Gaussian')
    health.plot(checked, [point['latent_std'] for point in progress.checks], label='latent std')
    health.set(title='Health, held out', xlabel='step', ylim=(0, None))
    ranks = health.twinx()
    ranks.plot(checked, [point['effective_rank'] for point in progress.checks], color='tab:green')
    ranks.set(ylabel='effective rank (green)', ylim=(0, None))
    straightness = [point.get('straightness', math.nan) for point in progress.checks]
    probes.plot(checked, straightness, color='black', linestyle='--',
                label='temporal straightness')
    for name in (progress.checks[-1]['probes'] if progress.checks else {}):
        probes.plot(checked, [point['probes'].get(name, math.nan) for point in progress.checks],
                    marker='o', markersize=3, label=name)
    probes.set(title='Probe R2 and straightness, held out', xlabel='step',
               ylim=(0, 1.02))
    for axes in (losses, health, probes):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    return path
