"""From a data set to a bundle: split, statistics, training, health, card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
import logging
from pathlib import Path
import platform
from typing import Any

from lewm_model import __version__
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.card import CURVES_FILE, write_card
from lewm_model.config import load_yaml, ModelConfig, PlanConfig, TrainConfig
from lewm_model.data.clips import ClipLoader, Clips, divide_clips
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.data.measured_states import measured, probe_targets
from lewm_model.errors import ConfigError, TrainingError
from lewm_model.frozen_encoder import FRAME_MEAN, FRAME_STD
from lewm_model.held_out import HeldOut, part_of
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.sigreg import SigReg
from lewm_model.training.curves import plot_curves
from lewm_model.training.distributed import Group
from lewm_model.training.divide import divide_episodes, list_trained
from lewm_model.training.health import check_health, Health, Readouts
from lewm_model.training.loop import Progress, train, TrainingResult
from lewm_model.training.regularizer import loss_weights
from lewm_model.training.state_term import state_targets
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch

_log = logging.getLogger(__name__)
HEALTH_CLIPS = 512   # held out
STATISTICS_FRAMES = 2000   # of training episodes, evenly: what colours are normalised by
PROBE_FRAMES = 1024  # of training episodes: enough for D + 1 inputs of the largest model


@dataclass(frozen=True)
class Recipe:
    """What a `config/train/*.yaml` says; the action dimension comes from the data."""

    model: dict[str, Any]
    train: TrainConfig
    plan: PlanConfig

    @classmethod
    def from_yaml(cls, path: str | Path, **train_overrides: Any) -> Recipe:
        """Read a recipe; `train_overrides` that are not None win.

        Raises:
            ConfigError: If a section or key is unknown, or a value out of range.
        """
        values = load_yaml(path)
        unknown = sorted(set(map(str, values)) - {'model', 'train', 'plan'})
        if unknown:
            raise ConfigError(f'{path} has no section {", ".join(unknown)}; known: model, train, '
                              f'plan')
        return cls(model=values.get('model') or {},
                   train=TrainConfig.from_yaml(path, 'train', **train_overrides),
                   plan=PlanConfig.from_yaml(path, 'plan'))


@dataclass(frozen=True)
class TrainedOn:
    """A training result with what the data gave to it."""

    result: TrainingResult
    normalizer: ActionNormalizer
    transform: FrameTransform
    training_clips: int
    held_out_episodes: int
    action_support: dict[str, list[float]]   # what training has shown, robot units
    provenance: dict[str, Any]     # digests of data and robot, marks of what was trained on


def train_on(data: EpisodeFile, recipe: Recipe, *, run_folder: Path,
             report: Callable[[Progress], None], device: str = 'cpu',
             group: Group | None = None, begin_with: Bundle | None = None,
             watched: str = 'all') -> TrainedOn:
    """Train on what is not held out, watched on what is; `TrainConfig.split` says of which kind.

    Arguments and errors are those of `train_bundle`; `watched` is the part of the held-out
    episodes that checks look at, if there is more than one, see `held_out.part_of`.
    """
    group = group or Group()
    model_config = ModelConfig.from_dict({**recipe.model, 'action_dim': data.action.shape[1]})
    if data.pixels.shape[1] < model_config.image_size:
        _log.warning('the frames of %s are stored at %d px and enlarged to the %d px of the '
                     'model, which adds nothing to see (the live picture will be treated alike); '
                     'ingest them with --image-size %d, or train a model of their size',
                     data.path, data.pixels.shape[1], *2 * (model_config.image_size,))
    normalizer = ActionNormalizer.fit(data.action)   # over all rows, before the split
    _warn_of_small_batches(recipe.train, model_config)
    window = {'num_frames': recipe.train.clip_frames(model_config.history),
              'frameskip': model_config.frameskip}
    fingerprint = Fingerprint.of(data)
    kept, held_out = divide_episodes(data, fingerprint, recipe.train)
    transform = _transform(model_config, recipe.train, data, kept)
    if begin_with:
        _require_same_beginning(begin_with, model_config, recipe.train, fingerprint, transform)
    if recipe.train.split == 'clips':
        training, validation = divide_clips(Clips(data, normalizer, **window),
                                            recipe.train.validation_split, recipe.train.seed)
    else:
        training = Clips(data, normalizer, kept, **window)
        seen = part_of(data, held_out, watched) if len(held_out) > 1 else held_out
        validation = Clips(data, normalizer, seen, **window)
    result = train(
        model_config, recipe.train,
        ClipLoader(training, recipe.train.batch_size, recipe.train.seed, rank=group.rank,
                   processes=group.size),
        run_folder=run_folder, transform=transform,
        check=_health_check(data, training, validation, transform, model_config.history,
                            recipe.train, device),
        report=report, device=device, group=group, source=fingerprint.identity(),
        states=state_targets(data, kept) if recipe.train.state_weight else None,
        weights=begin_with.model.state_dict() if begin_with else None)
    return TrainedOn(result, normalizer, transform, len(training), len(held_out),
                     _support(data, kept),
                     {**fingerprint.identity(), **list_trained(fingerprint, kept)})


def train_bundle(data: EpisodeFile, recipe: Recipe, *, run_folder: Path, bundle_folder: Path,
                 commands: list[str], report: Callable[[Progress], None],
                 device: str = 'cpu', group: Group | None = None,
                 begin_with: Bundle | None = None) -> Bundle | None:
    """Train on a data set and write the bundle with its card.

    Args:
        data: Recorded episodes.
        recipe: Sizes and settings.
        run_folder: Checkpoints; a run that was stopped goes on from there.
        bundle_folder: Where the result goes.
        commands: The command lines that led here, for the card.
        report: Called after every optimiser step.
        device: Where to train.
        group: The processes that train together; None: this one alone.
        begin_with: A new run begins with its weights; it was trained on the same data.

    Returns:
        The bundle, as written; None in all processes but the main one.

    Raises:
        TrainingError: If training fails.
        DatasetError: If the data has too few episodes or clips.
        ConfigError: If the recipe does not fit the data.
    """
    group = group or Group()
    trained = train_on(data, recipe, run_folder=run_folder, report=report, device=device,
                       group=group, begin_with=begin_with)
    result = trained.result
    if not group.is_main:
        return None
    if not result.progress.checks:
        raise TrainingError(f'{run_folder} has no health check; was it made by another version?')
    measured = {field.name for field in fields(Health)}
    health = Health(**{key: value for key, value in result.progress.checks[-1].items()
                       if key in measured})
    bundle = Bundle(
        model=result.model.cpu(), frame_transform=trained.transform,
        action_normalizer=trained.normalizer,
        action_names=tuple(data.attributes['action_names']),
        action_min=np.asarray(data.attributes['action_min'], dtype=np.float32),
        action_max=np.asarray(data.attributes['action_max'], dtype=np.float32),
        view=data.view,
        control_dt_s=data.control_dt_s, robot=data.attributes['robot'],
        task=data.attributes.get('task', ''),
        # "Reached" is as near as two frames one control step apart: it needs no simulator.
        goal_tolerance=health.step_distance,
        plan_config=recipe.plan,
        provenance={
            'commands': commands,
            'episodes': data.num_episodes, 'held_out_episodes': trained.held_out_episodes,
            **({'acting': data.attributes['acting']} if data.attributes.get('acting') else {}),
            'rows': len(data), 'frame_px': int(data.pixels.shape[1]),
            'training_clips': trained.training_clips, 'batch_size': recipe.train.batch_size,
            'steps': result.progress.step, 'seed': recipe.train.seed,
            **_objective(recipe.train),
            **({'begins_with': begin_with.model_id} if begin_with else {}),
            **_held_out(recipe.train), 'action_support': trained.action_support,
            **trained.provenance,
            'training_minutes': round(result.seconds / 60, 1),
            'processes': group.size, 'cpu_threads': torch.get_num_threads(), 'device': device,
            'parameters': sum(value.numel() for value in result.model.parameters()),
            'lewm_version': __version__, 'torch_version': str(torch.__version__),
            'python_version': platform.python_version()},
        metrics={'training': asdict(health)})
    bundle.save(bundle_folder)
    plot_curves(result.progress, bundle_folder / CURVES_FILE)
    write_card(bundle, bundle_folder)
    return bundle


def measure_health(bundle: Bundle, data: EpisodeFile, config: TrainConfig) -> Health:
    """Look at a finished model as training did at its end, with the measures of this version.

    Args:
        bundle: The model.
        data: What it was trained from.
        config: What it was trained with: batch size, seed and SIGReg decide what is compared.

    Raises:
        LewmError: As `HeldOut`.
    """
    subject, sizes = HeldOut(bundle, data), bundle.model_config
    training, held_out = (
        Clips(data, bundle.action_normalizer, episodes, num_frames=sizes.history + 1,
              frameskip=sizes.frameskip) for episodes in (subject.kept, subject.held_out))
    device = str(next(bundle.model.parameters()).device)
    return _health_check(data, training, held_out, bundle.frame_transform, sizes.history, config,
                         device)(bundle.model)


def _transform(sizes: ModelConfig, config: TrainConfig, data: EpisodeFile, kept: Sequence[int]
               ) -> FrameTransform:
    """Return how pictures enter the encoder."""
    if sizes.encoder == 'frozen':
        return FrameTransform(sizes.image_size, FRAME_MEAN, FRAME_STD)
    if config.frame_statistics == 'imagenet':
        return FrameTransform(sizes.image_size)
    rows = np.concatenate([data.ep_offset[one] + np.arange(data.ep_len[one]) for one in kept])
    some = rows[::-(-len(rows) // STATISTICS_FRAMES)]
    return FrameTransform.fit(data.pixels[some], sizes.image_size)


def _warn_of_small_batches(config: TrainConfig, sizes: ModelConfig) -> None:
    if config.loss == 'pldm' and config.batch_size <= sizes.latent_dim:
        _log.warning('loss pldm with %d clips a batch and latents of %d dimensions: their '
                     'covariance cannot be seen in fewer clips than dimensions; use a '
                     'batch_size of %d or more', config.batch_size, sizes.latent_dim,
                     2 * sizes.latent_dim)


def _require_same_beginning(bundle: Bundle, model: ModelConfig, config: TrainConfig,
                            fingerprint: Fingerprint, transform: FrameTransform) -> None:
    """Refuse weights of other sizes, and such as have seen episodes that are held out now.

    Raises:
        ConfigError: The message lists what differs.
    """
    said = bundle.provenance
    wanted = {**fingerprint.identity(), 'seed': config.seed, **_held_out(config)}
    differing = [f'{key} ({said.get(key)!r} there, {value!r} now)'
                 for key, value in wanted.items() if said.get(key) != value]
    theirs = bundle.model_config.to_dict()
    differing += [f'{key} ({theirs.get(key)!r} there, {value!r} now)'
                  for key, value in model.to_dict().items() if theirs.get(key) != value]
    if bundle.frame_transform != transform:
        differing.append(f'frame_statistics ({bundle.frame_transform} there, {transform} now)')
    if differing:
        raise ConfigError(f'a run can begin with the weights of model {bundle.model_id} only as '
                          f'it was trained: {", ".join(differing)}; use its data and recipe, or '
                          f'begin anew')


def _support(data: EpisodeFile, kept: Sequence[int]) -> dict[str, list[float]]:
    """Return what training has shown: beyond it the model only extrapolates, robot units."""
    actions = np.concatenate([data.action[first:first + length] for first, length in
                              zip(data.ep_offset[kept], data.ep_len[kept], strict=True)])
    return {'low': np.nanmin(actions, axis=0).tolist(),
            'high': np.nanmax(actions, axis=0).tolist()}


def _objective(config: TrainConfig) -> dict[str, Any]:
    """Name the loss where it is not LeWM's own, and all else that is not as in the paper."""
    names = ('inverse_weight', 'decoder_weight', 'state_weight', 'rollout_weight',
             *(['rollout_steps'] if config.rollout_weight else ()), 'light_jitter',
             'camera_jitter')
    heads = {name: getattr(config, name) for name in names if getattr(config, name)}
    if config.frame_statistics != 'imagenet':
        heads['frame_statistics'] = config.frame_statistics
    if config.loss == 'lewm':
        return {'sigreg_weight': config.sigreg_weight, **heads}
    weights = ', '.join(f'{name} {weight:g}' for name, weight in loss_weights(config).items())
    return {'loss': config.loss, **({'loss_weights': weights} if weights else {}), **heads}


def _held_out(config: TrainConfig) -> dict[str, Any]:
    """Say what evaluation may use: the share of episodes, or that none was held out."""
    if config.split == 'clips':
        return {'split': f'clips, {config.validation_split:g} of them held out'}
    return {'validation_split': config.validation_split,
            **({'split': config.split} if config.split != 'episodes' else {})}


def _probe_targets(data: EpisodeFile, *sides: np.ndarray) -> list[dict[str, torch.Tensor]]:
    """Return what every check probes, for the rows of each side: all that a picture can show."""
    shown = [one for one in measured(data) if one.quantity.kind != 'velocity']
    targets, left_out = probe_targets(shown, *sides)
    if left_out:
        _log.warning('no probe during training for %s', ', '.join(
            f'{name} ({reason})' for name, reason in left_out.items()))
    return [{name: torch.from_numpy(values) for name, values in side.items()} for side in targets]


def _health_check(data: EpisodeFile, training: Clips, clips: Clips, transform: FrameTransform,
                  history: int, config: TrainConfig, device: str
                  ) -> Callable[[LeWorldModel], Health]:
    """Prepare the same held-out clips for every check, and what probes are fitted on."""
    rng = np.random.default_rng(config.seed)
    chosen = np.sort(rng.choice(len(clips), size=min(HEALTH_CLIPS, len(clips)), replace=False))
    batch = clips.batch(chosen)
    rows = batch.rows[:, 0]                                  # a clip spans more than one step
    pairs = torch.from_numpy(np.stack([data.pixels[rows], data.pixels[rows + 1]], axis=1))
    shown = np.sort(rng.choice(training.starts, size=min(PROBE_FRAMES, len(training)),
                               replace=False))
    frames = torch.from_numpy(data.pixels[shown])
    fit, held_out = _probe_targets(data, shown, rows)
    sigreg = SigReg(config.sigreg_projections, config.sigreg_knots,
                    first_knot=config.sigreg_first_knot, last_knot=config.sigreg_last_knot)

    def check(model: LeWorldModel) -> Health:
        generator = torch.Generator(device).manual_seed(config.seed)
        return check_health(model, transform(batch.frames[:, :history + 1].to(device)),
                            batch.actions[:, :history + 1].to(device),
                            transform(pairs.to(device)),
                            Readouts(transform(frames.to(device)), fit, held_out), sigreg,
                            config.batch_size, generator)
    return check
