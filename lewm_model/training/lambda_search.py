"""Find the weight of SIGReg, the one number of the loss, in a few short runs.

The rule, for weights between `LOWEST` and `HIGHEST`: SIGReg gives the direction. A short run whose
held-out SIGReg ends above `sigreg_limit` was regularised too little, so larger weights follow;
otherwise smaller ones, because the prediction gets better as the weight falls. Bisection of the
logarithm ends at `RESOLUTION` decades: ceil(log2(3 / 0.25)) = 4 runs. Of the runs that passed,
which also takes a worst probe of at least `WORST_PROBE`, the one with the smallest prediction
error relative to "nothing moves" wins. Runs are judged on the half of the held-out episodes that
things are chosen by (`held_out.part_of`), so that what is reported on the other had no say.

LeWorldModel's authors say "bisection" and leave the rule open; this one is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
import json
import math
import os
from pathlib import Path
import shutil
from typing import Any

from lewm_model.base.figure import new_figure
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import TrainingError, without_path
from lewm_model.training.loop import Progress
from lewm_model.training.run import Recipe, train_on

LOWEST, HIGHEST = 1e-3, 1.0
RESOLUTION = 0.25     # decades, a factor of 1.8; the paper's plateau spans a factor of 20
WORST_PROBE = 0.5     # a factor that is read out less well was lost
JUDGED = 'choose'     # part of the held-out episodes
TABLE, PICTURE = 'lambda_search.json', 'lambda_search.png'


def sigreg_limit(batch_size: int) -> float:
    """Return the SIGReg above which latents are not Gaussian enough; 2.05 at batch size 64.

    A Gaussian has 1.05 and what exceeds it grows with the batch.
    """
    return 1.05 + batch_size / 64


@dataclass(frozen=True)
class Trial:
    """How one short run ended, on held-out clips."""

    sigreg_weight: float
    prediction: float      # error relative to copying the last latent
    sigreg: float
    worst_probe: float     # NaN where the data has nothing to probe
    seconds: float

    def verdict(self, limit: float) -> str:
        """Judge by the rule: 'passed', or what is wrong."""
        if not self.sigreg <= limit:   # also if it is NaN
            return 'not Gaussian'
        return 'probe lost' if self.worst_probe < WORST_PROBE else 'passed'


def bisect(run: Callable[[float], Trial], trials: list[Trial], limit: float, *,
           record: Callable[[list[Trial]], None] = lambda trials: None) -> Trial:
    """Apply the rule.

    Args:
        run: Trains with one weight.
        trials: What is known already, from an earlier call; grows.
        limit: Largest SIGReg that passes.
        record: Called after every new trial with all of them.

    Raises:
        TrainingError: If no run passes.
    """
    known = {trial.sigreg_weight: trial for trial in trials}
    low, high = math.log10(LOWEST), math.log10(HIGHEST)
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        weight = float(f'{10 ** middle:.3g}')
        if weight not in known:
            known[weight] = run(weight)
            trials.append(known[weight])
            record(trials)
        if known[weight].sigreg <= limit:
            high = middle
        else:
            low = middle
    passed = [trial for trial in trials if trial.verdict(limit) == 'passed']
    if not passed:
        table = '; '.join(f'{trial.sigreg_weight:g}: {trial.verdict(limit)} (SIGReg '
                          f'{trial.sigreg:.2f}, worst probe {trial.worst_probe:.2f})'
                          for trial in trials)
        raise TrainingError(f'no SIGReg weight passed ({table}); SIGReg may be at most '
                            f'{limit:.2f} and the worst probe at least {WORST_PROBE}: take more '
                            f'steps for each run, or look at the data')
    return min(passed, key=lambda trial: trial.prediction)


def search_lambda(data: EpisodeFile, recipe: Recipe, *, run_folder: Path,
                  report: Callable[[Progress], None], device: str = 'cpu') -> Trial:
    """Search with short runs of a recipe; the table and its picture are kept in `run_folder`.

    A call that was stopped goes on with the run that was under way.

    Args:
        data: Recorded episodes.
        recipe: Each run takes its `train.steps`; its `sigreg_weight` is not used.
        run_folder: For the table, the picture and the run under way.
        report: Called after every optimiser step.
        device: Where to train.

    Raises:
        TrainingError: If no weight passes, the table belongs to another search, or it cannot be
            written.
    """
    limit = sigreg_limit(recipe.train.batch_size)
    path = run_folder / TABLE
    settings = {'data': Fingerprint.of(data).identity(), 'judged': JUDGED, 'model': recipe.model,
                'train': {**recipe.train.to_dict(), 'sigreg_weight': None}}

    def run(weight: float) -> Trial:
        folder = run_folder / f'lambda_{weight:g}'
        # Judged once, at the end, where BatchNorm has settled; never stopped before.
        config = replace(recipe.train, sigreg_weight=weight, unhealthy_checks=0,
                         validate_every=10 ** 9)
        result = train_on(data, replace(recipe, train=config), run_folder=folder, report=report,
                          device=device, watched=JUDGED).result
        health = result.progress.checks[-1]
        shutil.rmtree(folder)   # only the numbers are wanted
        return Trial(weight, health['prediction'] / health['copy_error'], health['sigreg'],
                     min(health['probes'].values(), default=math.nan), result.seconds)

    def record(trials: list[Trial]) -> None:
        _write(path, {'settings': settings, 'sigreg_limit': limit, 'worst_probe': WORST_PROBE,
                      'trials': [{**asdict(trial), 'verdict': trial.verdict(limit)}
                                 for trial in trials]})
        plot_trials(trials, limit, run_folder / PICTURE)

    return bisect(run, _read(path, settings), limit, record=record)


def _read(path: Path, settings: dict[str, Any]) -> list[Trial]:
    if not path.exists():
        return []
    try:
        table = json.loads(path.read_text(encoding='utf-8'))
        found, rows = table['settings'], table['trials']
        trials = [Trial(**{key: value for key, value in row.items() if key != 'verdict'})
                  for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f'{path} cannot be read: {without_path(error)}; delete it to search '
                            f'anew') from error
    if found != settings:
        raise TrainingError(f'{path} belongs to a search with other data or settings; choose '
                            f'another run folder or delete it')
    return trials


def _write(path: Path, table: dict[str, Any]) -> None:
    partial = path.with_suffix('.partial')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(table, indent=2) + '\n', encoding='utf-8')
        os.replace(partial, path)
    except OSError as error:
        raise TrainingError(f'cannot write {path}: {without_path(error)}') from error


def plot_trials(trials: list[Trial], limit: float, path: Path) -> None:
    """Draw the table.

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    ordered = sorted(trials, key=lambda trial: trial.sigreg_weight)
    weights = [trial.sigreg_weight for trial in ordered]
    figure = new_figure(9, 3, 'drawing the search')
    panels = (('prediction', 'prediction / copy error', None), ('sigreg', 'SIGReg', limit),
              ('worst_probe', 'worst probe R2', WORST_PROBE))
    for axes, (name, title, line) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.plot(weights, [getattr(trial, name) for trial in ordered], marker='o')
        axes.set(title=f'{title}, held out', xlabel='sigreg_weight', xscale='log')
        axes.minorticks_off()
        axes.set_xticks(weights, [f'{weight:g}' for weight in weights], rotation=30)
        axes.grid(alpha=0.3)
        if line is not None:
            axes.axhline(line, color='grey', linestyle=':', label=f'limit {line:.2f}')
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
