"""What ships: weights, sizes, statistics, limits, provenance and metrics in one folder.

    models/<name>/bundle.yaml            everything a person can read
    models/<name>/weights.safetensors    tensors only; never a pickle
    models/<name>/prior.safetensors      optional, as the others of `bundles.networks`: what
                                         `lewm train-policy` adds

A bundle is complete or it is an error: nothing is assumed for a missing part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lewm_model.bundles.networks import NETWORKS
from lewm_model.bundles.weights import (
    adopt_weights,
    discard_staged,
    load_weights,
    locked,
    stage_weights,
    weights_sha256,
    write_atomically,
)
from lewm_model.config import Config, load_yaml, ModelConfig, PlanConfig
from lewm_model.devices import check_device
from lewm_model.errors import BundleError, ConfigError
from lewm_model.goal_policy import GoalPolicy
from lewm_model.images.view import View
from lewm_model.marks import unpack_marks
from lewm_model.memory import Memory
from lewm_model.models import make_model, WorldModel
from lewm_model.ordinary import Ordinary
from lewm_model.plan_prior import PlanPrior
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.prior import InverseDynamicsPrior, PriorConfig
from lewm_model.reach import Reach
from lewm_model.readout import Readout
import numpy as np
import torch
from torch import nn, Tensor
import yaml

FORMAT_VERSION = 1
SETTINGS_FILE = 'bundle.yaml'
WEIGHTS_FILE = 'weights.safetensors'
PRIOR_FILE = 'prior.safetensors'
_SECTIONS = ('format', 'model', 'preprocessing', 'actions', 'control_dt_s', 'robot', 'task',
             'goal_tolerance', 'plan', 'provenance', 'metrics', 'weights_sha256')
_OPTIONAL_SECTIONS = ('view', *NETWORKS)
_SMALL_NETWORK = 25_000_000    # numbers: may be built before its weights are looked at


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything needed to run it on the robot it was trained for."""

    model: WorldModel                    # in eval mode
    frame_transform: FrameTransform
    action_normalizer: ActionNormalizer
    action_names: tuple[str, ...]        # A joints or axes, order of the action vector
    action_min: np.ndarray               # (A,) the robot's limits, robot units
    action_max: np.ndarray               # (A,)
    control_dt_s: float                  # one action per step [s]
    robot: str                           # name of its description in config/robots
    task: str
    goal_tolerance: float                # squared latent distance that counts as reached
    plan_config: PlanConfig = field(default_factory=PlanConfig)   # recommended planner settings
    provenance: dict[str, Any] = field(default_factory=dict)      # how it was made
    metrics: dict[str, Any] = field(default_factory=dict)         # what was measured
    model_id: str = ''                   # first 12 hex digits of the weights' SHA-256, if empty
    #                                      computed from the model
    view: View | None = None             # of the data: cameras, their shape and crop, size of the
    #                                      frames; None: not known, of a bundle made before
    ordinary: Ordinary | None = None             # errors and views, from `lewm calibrate`
    # What `lewm train-policy` adds, in eval mode; names as in `bundles.networks`.
    prior: InverseDynamicsPrior | None = None    # block that leads to the goal in time
    gcbc: GoalPolicy | None = None               # block that the data did on the way to the goal
    plan_prior: PlanPrior | None = None          # Gaussian over plans
    memory: Memory | None = None                 # latents and blocks of the training set
    reach: Reach | None = None                   # how far places are from each other
    readout: Readout | None = None               # quantities of a frame, for goals without one

    def __post_init__(self) -> None:
        dim = self.model_config.action_dim
        for name, values in (('names', self.action_names), ('min', self.action_min),
                             ('max', self.action_max), ('mean', self.action_normalizer.mean),
                             ('std', self.action_normalizer.std)):
            if len(values) != dim:
                raise BundleError(f'actions.{name} has {len(values)} entries, but the model has '
                                  f'action_dim {dim}')
            if name != 'names' and not np.isfinite(values).all():
                raise BundleError(f'actions.{name} must be finite, got {list(values)}')
        if not (self.action_normalizer.std > 0).all():
            raise BundleError(f'actions.std must be positive, got '
                              f'{self.action_normalizer.std.tolist()}')
        if not (self.action_min < self.action_max).all():
            raise BundleError(f'actions.min must be below actions.max, got '
                              f'{self.action_min.tolist()} and {self.action_max.tolist()}')
        if self.frame_transform.image_size != self.model_config.image_size:
            raise BundleError(f'preprocessing.image_size {self.frame_transform.image_size} '
                              f'contradicts model.image_size {self.model_config.image_size}')
        for name in ('control_dt_s', 'goal_tolerance'):
            if not getattr(self, name) > 0:
                raise BundleError(f'{name} must be positive, got {getattr(self, name)}')
        if not self.model_id:
            object.__setattr__(self, 'model_id', weights_sha256(self.model)[:12])

    @property
    def model_config(self) -> ModelConfig:
        """Sizes of the model."""
        return self.model.config

    @property
    def frame_px(self) -> int:
        """Side of the squares that training read [px]; the live picture is brought to it first.

        Frames stored smaller than the model's square were enlarged: a live picture that was not
        reduced before would look sharper than any that training saw.
        """
        if self.view is not None:
            return self.view.frame_px
        return int(self.provenance.get('frame_px') or self.model_config.image_size)

    @property
    def validation_split(self) -> float:
        """Share of episodes that training never saw; `split_episodes` says which.

        Raises:
            BundleError: If the bundle does not say, as one made from a released checkpoint.
        """
        split = self.provenance.get('validation_split')
        if split is None:
            raise BundleError('the bundle has no provenance.validation_split, so nobody can say '
                              'which episodes it never saw; use a bundle made by `lewm train`')
        return float(split)

    @property
    def trained_on(self) -> frozenset[int] | None:
        """Marks of the episodes it was trained on, see `data.fingerprint`; None: not listed.

        Raises:
            BundleError: If the list is damaged.
        """
        packed = self.provenance.get('trained_on')
        return None if packed is None else unpack_marks(packed)

    @property
    def normalized_limits(self) -> tuple[Tensor, Tensor]:
        """The robot's limits in the units of planning, each (A,)."""
        return tuple(torch.from_numpy(self.action_normalizer.normalize(limit))
                     for limit in (self.action_min, self.action_max))

    def new_prior(self, config: PriorConfig) -> InverseDynamicsPrior:
        """Build an untrained prior that fits the model and the robot."""
        return self.new_network('prior', config)

    def new_network(self, name: str, config: Config) -> nn.Module:
        """Build one of `bundles.networks`, not yet filled, for the model and the robot."""
        return NETWORKS[name].build(config, self.model_config, self.normalized_limits)

    def save(self, folder: str | Path) -> Path:
        """Write the bundle; killed at any moment, it leaves the old one or the new one, whole.

        Files in the folder that are not the bundle's own stay; `bundles.weights` says how.

        Raises:
            BundleError: If the folder cannot be written; a bundle that was there is intact.
        """
        folder = Path(folder)
        path = folder / SETTINGS_FILE
        weights = folder / WEIGHTS_FILE
        networks = {name: network for name in NETWORKS
                    if (network := getattr(self, name)) is not None}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                kept = _named_weights(path)     # of the bundle that this one replaces
                try:
                    settings = self._settings(stage_weights(self.model, weights))
                    for name, network in networks.items():
                        settings[name] = {
                            **network.config.to_dict(),
                            'weights_sha256': stage_weights(network, _file(folder, name))}
                    text = yaml.safe_dump(settings, sort_keys=False, width=99)
                    write_atomically(path, text.encode())       # from here on it is the new one
                except OSError:
                    discard_staged(weights, kept.get('model'))
                    for name in NETWORKS:
                        discard_staged(_file(folder, name), kept.get(name))
                    raise
                adopt_weights(weights, settings['weights_sha256'])
                for name in NETWORKS:
                    adopt_weights(_file(folder, name),
                                  settings.get(name, {}).get('weights_sha256'))
        except OSError as error:
            raise BundleError(f'cannot write bundle {folder}: {error}; what was there before is '
                              f'intact, free some space or make it writable') from error
        return folder

    def _settings(self, weights_sha256: str) -> dict[str, Any]:
        floats = {'min': self.action_min, 'max': self.action_max,
                  'mean': self.action_normalizer.mean, 'std': self.action_normalizer.std}
        return {
            'format': FORMAT_VERSION,
            'model': self.model_config.to_dict(),
            'preprocessing': {'image_size': self.frame_transform.image_size,
                              'mean': list(self.frame_transform.mean),
                              'std': list(self.frame_transform.std)},
            'actions': {'names': list(self.action_names),
                        **{name: [float(value) for value in values]
                           for name, values in floats.items()}},
            **({'view': self.view.to_dict()} if self.view else {}),
            'control_dt_s': self.control_dt_s,
            'robot': self.robot,
            'task': self.task,
            'goal_tolerance': float(self.goal_tolerance),
            'plan': self.plan_config.to_dict(),
            'provenance': self.provenance,
            'metrics': self.metrics,
            'weights_sha256': weights_sha256,
        }

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = 'cpu') -> Bundle:
        """Read a bundle strictly.

        Args:
            folder: The bundle's folder.
            device: Where the model goes.

        Raises:
            BundleError: If a part is missing, malformed or contradicts another; the message
                names the part, the value and what is expected.
            ConfigError: If this machine has no such device.
        """
        folder, device = Path(folder), check_device(device)
        while True:
            settings = _read_settings(folder)
            try:
                return cls._from_settings(folder, settings, device)
            except BundleError:
                if _read_settings(folder) == settings:   # else it was replaced while we read
                    raise

    @classmethod
    def _from_settings(cls, folder: Path, settings: dict[str, Any],
                       device: str | torch.device) -> Bundle:
        try:
            model_config = ModelConfig.from_dict(settings['model'])
            plan_config = PlanConfig.from_dict(settings['plan'])
        except ConfigError as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: {error}') from error
        _require_filled(lambda: make_model(model_config), folder / WEIGHTS_FILE)
        model = make_model(model_config)
        load_weights(model, folder / WEIGHTS_FILE, settings['weights_sha256'], 'weights_sha256')
        try:
            actions, preprocessing = settings['actions'], settings['preprocessing']
            arrays = {name: np.asarray(actions[name], dtype=np.float32)
                      for name in ('min', 'max', 'mean', 'std')}
            bundle = cls(
                model=model.to(device).eval().requires_grad_(False),
                frame_transform=FrameTransform(
                    image_size=int(preprocessing['image_size']),
                    mean=tuple(map(float, preprocessing['mean'])),
                    std=tuple(map(float, preprocessing['std']))),
                action_normalizer=ActionNormalizer(mean=arrays['mean'], std=arrays['std']),
                action_names=tuple(actions['names']),
                action_min=arrays['min'], action_max=arrays['max'],
                control_dt_s=float(settings['control_dt_s']),
                robot=str(settings['robot']), task=str(settings['task']),
                goal_tolerance=float(settings['goal_tolerance']),
                plan_config=plan_config, provenance=settings['provenance'],
                metrics=settings['metrics'], model_id=settings['weights_sha256'][:12],
                view=View.from_dict(settings['view']) if 'view' in settings else None)
        except (BundleError, ConfigError) as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: {error}') from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: malformed entry '
                              f'({type(error).__name__}: {error})') from error
        return replace(bundle, **{
            name: _load_network(bundle, folder, name, settings[name]).to(device)
            for name in NETWORKS if name in settings})


def _require_filled(build: Callable[[], nn.Module], path: Path) -> None:
    """Refuse sizes that no weights file here can fill, before memory is taken for them."""
    with torch.device('meta'):
        count = sum(value.numel() for value in build().state_dict().values())
    stored = max((file.stat().st_size for file in path.parent.glob(f'{path.stem}*{path.suffix}')
                  if file.is_file()), default=None)
    if stored is not None and count > max(stored, _SMALL_NETWORK):
        raise BundleError(f'{path.parent / SETTINGS_FILE} describes a network of {count} numbers, '
                          f'but {path.name} has only {stored} bytes; one of them is damaged')
    if stored is None:
        raise BundleError(f'bundle {path.parent} has no {path.name}')


def _file(folder: Path, name: str) -> Path:
    return folder / f'{name}.safetensors'


def _load_network(bundle: Bundle, folder: Path, name: str, section: Any) -> nn.Module:
    entry, path = f'{folder / SETTINGS_FILE}: {name}', _file(folder, name)
    if not isinstance(section, dict) or 'weights_sha256' not in section:
        raise BundleError(f'{entry} must be a mapping with weights_sha256, got {section!r}')
    sizes = {key: value for key, value in section.items() if key != 'weights_sha256'}
    try:
        config = NETWORKS[name].config.from_dict(sizes)
        _require_filled(lambda: bundle.new_network(name, config), path)
        network = bundle.new_network(name, config)
    except ConfigError as error:
        raise BundleError(f'{entry}: {error}') from error
    load_weights(network, path, section['weights_sha256'], f'{name}.weights_sha256')
    return network.eval().requires_grad_(False)


def _read_settings(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BundleError(f'bundle {folder} is not a folder; make one with `lewm train`')
    if not (folder / SETTINGS_FILE).is_file():
        raise BundleError(f'bundle {folder} has no {SETTINGS_FILE}: it was not written completely')
    try:
        settings = load_yaml(folder / SETTINGS_FILE)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    version = settings.get('format')
    if version != FORMAT_VERSION:
        raise BundleError(f'{folder / SETTINGS_FILE}: format {version!r} is not supported, '
                          f'this version reads {FORMAT_VERSION}')
    missing = [name for name in _SECTIONS if name not in settings]
    unknown = [str(name) for name in settings if name not in _SECTIONS + _OPTIONAL_SECTIONS]
    if missing or unknown:
        raise BundleError(f'{folder / SETTINGS_FILE}: missing {", ".join(missing) or "nothing"}, '
                          f'unknown {", ".join(unknown) or "nothing"}')
    return settings


def _named_weights(path: Path) -> dict[str, str]:
    """Return the hashes that a settings file names; none if it is missing or damaged."""
    try:
        settings = load_yaml(path)
        return {'model': str(settings['weights_sha256']),
                **{name: str(settings[name]['weights_sha256']) for name in NETWORKS
                   if settings.get(name)}}
    except (ConfigError, KeyError, TypeError, AttributeError):
        return {}
