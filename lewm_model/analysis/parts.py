"""The parts of an analysis; each gives plain numbers and pictures.

The order of `PARTS` is the order of the report. The measurements themselves are in the modules
named like the parts; here they meet the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lewm_model.analysis import figures
from lewm_model.analysis.decoder import train_decoder
from lewm_model.analysis.distances import distance_curves, FLAT, OTHERS_WITHIN
from lewm_model.analysis.grid import distance_correlation, StateGrid
from lewm_model.analysis.horizon import open_loop_errors
from lewm_model.analysis.probes import probe
from lewm_model.analysis.projection import pca, tsne
from lewm_model.analysis.straightness import checkpointed_models, straightness
from lewm_model.analysis.surprise import (
    calibrate,
    Calibration,
    paired_t_test,
    PerturbedTrajectories,
    prediction_errors,
)
from lewm_model.data.measured_states import Measured, measured, measured_states, probe_targets
from lewm_model.errors import DatasetError
from lewm_model.heads.decoder import PIXELS, small_pictures
from lewm_model.held_out import HeldOut, Progress
from lewm_model.quantities import Quantity
import numpy as np
import torch
from torch import Tensor

HORIZON = 10        # blocks imagined, as far as episodes are long enough


class Simulator(Protocol):
    """What only a simulator can give; a real robot's analysis goes without."""

    def positions(self, qpos: np.ndarray) -> dict[str, np.ndarray]:
        """Return further quantities for joint positions (N, P), (N, n) each."""

    def trajectories(self, count: int, blocks: int, progress: Progress) -> PerturbedTrajectories:
        """Return perturbed trajectories."""

    def grids(self, side: int, progress: Progress) -> list[StateGrid]:
        """Return grids of `side` x `side` states; [] if the task names none."""


@dataclass(frozen=True)
class Size:
    """How much to look at; the defaults fit a small model into minutes of one CPU thread."""

    fit_frames: int = 8000        # training rows, for probes and decoder
    score_frames: int = 3000      # held-out rows
    mlp_steps: int = 1500
    windows: int = 1500           # held-out, for surprise, straightness and horizon
    trajectories: int = 60        # simulated, three versions each
    distance_frames: int = 2000   # all pairs of them are compared
    projected_frames: int = 800
    projection_steps: int = 500
    grid_side: int = 20           # states of a grid along each axis
    decoder_steps: int = 1000
    strips: int = 4               # imagined episodes shown

    @classmethod
    def quick(cls) -> Size:
        """Return sizes that show that everything runs, not what a model knows."""
        return cls(fit_frames=300, score_frames=200, mlp_steps=50, windows=60, trajectories=4,
                   distance_frames=300, projected_frames=80, projection_steps=60,
                   grid_side=6, decoder_steps=20, strips=2)


@dataclass
class Analysis:
    """Numbers by part, as they go into the JSON, and pictures by part."""

    numbers: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)   # caption, PNG


@dataclass(frozen=True)
class Desk:
    """What every part gets."""

    subject: HeldOut
    size: Size
    simulator: Simulator | None
    run_folder: Path | None
    progress: Progress
    rng: np.random.Generator

    @property
    def block_s(self) -> float:
        """Length of a model step [s]."""
        bundle = self.subject.bundle
        return bundle.control_dt_s * bundle.model_config.frameskip


Found = tuple[dict[str, Any], list[tuple[str, bytes]]]


def _probes(desk: Desk) -> Found:
    subject, size = desk.subject, desk.size
    config = subject.bundle.model_config
    past = (config.history - 1) * config.frameskip   # so that earlier frames exist
    rows = {'fit': subject.sample_rows(subject.kept, size.fit_frames, desk.rng, past),
            'held_out': subject.sample_rows(subject.held_out, size.score_frames, desk.rng, past)}
    latents = {side: subject.encode_rows(these) for side, these in rows.items()}
    found = _everything(desk, np.concatenate(list(rows.values())))
    kinds = {one.quantity.name: one.quantity.kind for one in found}
    (fit, held_out), left_out = probe_targets(found, rows['fit'], rows['held_out'])
    targets = {'fit': fit, 'held_out': held_out}
    if not fit:
        raise DatasetError(
            f'{subject.data.path} has nothing to probe; leave out the part with --only. It has '
            + (', '.join(f'{name} ({reason})' for name, reason in left_out.items())
               or 'no states (qpos or proprio) and no truth'))
    steps = np.arange(config.history) * config.frameskip - past
    several = {side: subject.encode_rows(these[:, None] + steps).flatten(1)
               for side, these in rows.items()}

    def both(name: str, inputs: dict[str, Tensor], frames: int) -> dict[str, Any]:
        fit, held_out = ((inputs[side], torch.from_numpy(targets[side][name]))
                         for side in ('fit', 'held_out'))
        return {'kind': kinds[name], 'frames': frames, **{
            kind: asdict(score)
            for kind, score in probe(fit, held_out, mlp_steps=size.mlp_steps).items()}}

    moving = [name for name in fit if kinds[name] == 'velocity']
    still = [name for name in fit if name not in moving]
    scores = {}
    for number, name in enumerate([*still, *moving]):
        scores[name] = both(name, latents, 1)
        desk.progress(number + 1, len(still) + 2 * len(moving))
    for number, name in enumerate(moving):
        scores[f'{name}, {config.history} frames'] = both(name, several, config.history)
        desk.progress(len(still) + len(moving) + number + 1, len(still) + 2 * len(moving))
    return ({'fit_frames': len(rows['fit']), 'held_out_frames': len(rows['held_out']),
             'scores': scores, 'left_out': left_out},
            [('Correlation of each readout.', figures.plot_probes(scores))])


def _everything(desk: Desk, rows: np.ndarray) -> list[Measured]:
    """Return what the data has, and what the simulator adds, of these rows, if it has no truth."""
    data = desk.subject.data
    found = list(measured(data))
    if desk.simulator is not None and 'truth' not in data.columns and 'qpos' in data.columns:
        for name, values in desk.simulator.positions(data.columns['qpos'][rows]).items():
            everywhere = np.full((len(data), values.shape[1]), np.nan)
            everywhere[rows] = values
            axes = ('x', 'y', 'z') if values.shape[1] > 1 else ('',)
            found += [Measured(Quantity(f'{name} {axis}'.strip(), 'position', of=name), column)
                      for axis, column in zip(axes, everywhere.T[..., None], strict=False)]
    return found


def calibrate_surprise(subject: HeldOut, size: Size, rng: np.random.Generator) -> Calibration:
    """Measure ordinary surprise on held-out windows; short ones, so that all phases occur."""
    frames = min(subject.longest_held_out, subject.bundle.model_config.history + 5)
    windows = subject.held_out_windows(frames, size.windows, rng)
    return calibrate(prediction_errors(subject.bundle.model, windows.latents, windows.blocks))


def _surprise(desk: Desk) -> Found:
    subject = desk.subject
    calibration = calibrate_surprise(subject, desk.size, desk.rng)
    numbers = {'calibration': asdict(calibration), 'history': subject.bundle.model_config.history}
    if desk.simulator is None:
        return numbers, []
    made = desk.simulator.trajectories(desk.size.trajectories, HORIZON + 2, desk.progress)
    blocks = subject.blocks(made.actions)
    model = subject.bundle.model
    curves = {name: (prediction_errors(model, subject.encode(frames), blocks)
                     / calibration.mean_error).numpy() for name, frames in made.frames.items()}
    at = made.perturbed_frame - 1      # curves start at frame 1
    versions = {}
    for name, curve in curves.items():
        versions[name] = {'description': made.descriptions[name],
                          'surprise': float(curve[:, at].mean()),
                          'above_threshold': float((curve[:, at] > calibration.threshold).mean())}
        if name != 'unperturbed':
            test = paired_t_test(curve[:, at], curves['unperturbed'][:, at])
            versions[name].update(difference=test.mean_difference, t=test.t, p=test.p,
                                  degrees=test.degrees)
    numbers |= {'trajectories': len(made.actions), 'perturbed_frame': made.perturbed_frame,
                'versions': versions}
    shown = slice(made.perturbed_frame - 2, made.perturbed_frame + 3)
    return numbers, [
        ('Mean surprise, with the middle 80 % of the trajectories; dotted: the event, dashed: '
         f'the {calibration.quantile:g} quantile of ordinary surprise.',
         figures.plot_surprise(curves, made.perturbed_frame, desk.block_s,
                               calibration.threshold)),
        ('One trajectory around the event.',
         figures.plot_versions({name: frames[0, shown] for name, frames in made.frames.items()},
                               made.perturbed_frame - 2))]


def _straightness(desk: Desk) -> Found:
    subject = desk.subject
    windows = subject.held_out_windows(min(subject.longest_held_out, HORIZON + 3),
                                       min(desk.size.windows, 300), desk.rng)
    pixels = torch.from_numpy(subject.data.pixels[windows.rows]).flatten(2).float()
    numbers: dict[str, Any] = {'latents': straightness(windows.latents),
                               'pixels': straightness(pixels)}
    states, column = measured_states(subject.data)
    if states:
        numbers['states'] = straightness(torch.from_numpy(column[windows.rows]))
    if desk.run_folder is None:
        return numbers, []
    numbers['over_training'] = points = []
    frames = subject.data.pixels[windows.rows]
    for step, model in checkpointed_models(desk.run_folder, subject.bundle.model_config):
        points.append({'step': step, 'straightness': straightness(
            subject.encode(frames, model=model, progress=desk.progress))})
    if len(points) < 3:   # two points are no curve
        return numbers, []
    return numbers, [('Straightness over training.', figures.plot_straightness(points))]


def _horizon(desk: Desk) -> Found:
    subject, longest = desk.subject, desk.subject.longest_held_out
    model = subject.bundle.model
    errors = {}
    for context in sorted({1, model.config.history}):
        ahead = min(HORIZON, longest - context)
        windows = subject.held_out_windows(context + ahead, desk.size.windows, desk.rng)
        errors[f'{context} frame{"s" * (context > 1)} seen'] = open_loop_errors(
            model, windows.latents, windows.blocks, context=context)
    numbers = {'block_s': desk.block_s, 'contexts': {
        name: {'imagined': entry.imagined.tolist(), 'copied': entry.copied.tolist(),
               'unrelated': entry.unrelated, 'useful_blocks': entry.useful_blocks}
        for name, entry in errors.items()}}
    return numbers, [('Error of imagined latents.', figures.plot_horizon(errors, desk.block_s))]


def _distances(desk: Desk) -> Found:
    subject = desk.subject
    rows = subject.sample_rows(subject.held_out, desk.size.distance_frames, desk.rng)
    curves = distance_curves(subject.encode_rows(rows), _shown(subject, rows))
    numbers = {'frames': len(rows), 'others_within_bins': OTHERS_WITHIN,
               'flat_share': FLAT, 'quantities': {
                   curve.quantity.name: {
                       'unit': curve.unit, 'bin': curve.bin, 'pairs': curve.pairs,
                       'flat_from': curve.saturation, 'distance': curve.distance.tolist(),
                       'examined_to': float(curve.distance[-1]),
                       'median': curve.median.tolist()} for curve in curves}}
    return numbers, [('Median, and middle half, of pairs that differ in one quantity.',
                      figures.plot_distances(curves))] if curves else []


def _shown(subject: HeldOut, rows: np.ndarray) -> list[Measured]:
    """Return what a picture can show of some rows, as far as it was measured in all of them."""
    found = [Measured(one.quantity, np.asarray(one.values[rows], float))
             for one in measured(subject.data) if one.quantity.kind != 'velocity']
    return [one for one in found if np.isfinite(one.values).all()]


def _projection(desk: Desk) -> Found:
    subject, size = desk.subject, desk.size
    rows = subject.sample_rows(subject.held_out, size.projected_frames, desk.rng)
    latents = subject.encode_rows(rows)
    coordinates, share = pca(latents, 3)
    layouts = {'PC 1, 2': coordinates[:, :2].numpy(), 'PC 1, 3': coordinates[:, [0, 2]].numpy(),
               't-SNE': tsne(latents, steps=size.projection_steps, perplexity=min(
                   30.0, len(rows) / 4), progress=desk.progress).numpy()}
    cumulative = share.cumsum(dim=0)
    numbers = {'frames': len(rows), 'variance_of_3': float(cumulative[2]),
               'components_for_95': int((cumulative < 0.95).sum()) + 1,
               'latent_dim': latents.shape[1]}
    shown = _shown(subject, rows)
    if not shown:
        return numbers, []
    return numbers, [('Held-out latents, coloured by what was measured.',
                      figures.plot_projections(layouts, shown))]


def _grid(desk: Desk) -> Found | None:
    subject, size = desk.subject, desk.size
    grids = desk.simulator.grids(size.grid_side, desk.progress) if desk.simulator else []
    if not grids:
        return None
    numbers, pictures = {}, []
    for grid in grids:
        latents = subject.encode(grid.frames)
        numbers[grid.name] = {'states': len(latents), 'left_out': grid.left_out,
                              'rank_r': distance_correlation(latents, grid)}
        layout = tsne(latents, steps=size.projection_steps, perplexity=min(30.0, len(latents) / 4),
                      progress=desk.progress)
        pictures.append((f'Over {grid.name}; everything else stays as it is.',
                         figures.plot_projections({'states that were set': grid.places,
                                                   't-SNE of their latents': layout.numpy()},
                                                  grid.axes)))
    return {'side': size.grid_side, 'grids': numbers}, pictures


def _decoder(desk: Desk) -> Found:
    subject, size = desk.subject, desk.size
    rows = subject.sample_rows(subject.kept, size.fit_frames, desk.rng)
    decoder = train_decoder(subject.encode_rows(rows), subject.data.pixels[rows],
                            steps=size.decoder_steps, progress=desk.progress)
    unseen = subject.sample_rows(subject.held_out, min(size.score_frames, 500), desk.rng)
    pictures = small_pictures(subject.data.pixels[unseen])
    ahead = min(HORIZON, subject.longest_held_out - 1)
    windows = subject.held_out_windows(ahead + 1, size.strips, desk.rng)
    with torch.inference_mode():
        decoded = decoder(subject.encode_rows(unseen))
        first = windows.latents[:, :1]
        imagined = torch.cat([first, subject.bundle.model.rollout(
            first, windows.blocks[:, :0], windows.blocks)], dim=1)
        strips = [{'real': small_pictures(subject.data.pixels[rows]),
                   'decoded': decoder(seen), 'imagined': decoder(dreamt)}
                  for rows, seen, dreamt in zip(windows.rows, windows.latents, imagined,
                                                strict=True)]
    error = (decoded - pictures).square().mean().item()
    spread = (pictures - pictures.mean(dim=0)).square().mean().item()
    numbers = {'pixels': PIXELS, 'steps': size.decoder_steps, 'held_out_mse': error,
               'explained_variance': 1 - error / spread}
    times = [f'{number * desk.block_s:.2f} s' for number in range(ahead + 1)]
    return numbers, [(
        'Held-out episodes. "decoded": from the latent of the real frame; "imagined": from the '
        'first frame and the actions alone.', figures.plot_strips(strips, times))]


# None: there is nothing to show of this bundle
PARTS: dict[str, Callable[[Desk], Found | None]] = {
    'probes': _probes, 'surprise': _surprise, 'straightness': _straightness,
    'horizon': _horizon, 'distances': _distances, 'projection': _projection, 'grid': _grid,
    'decoder': _decoder}
