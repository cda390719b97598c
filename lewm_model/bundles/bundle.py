"""What ships: weights, sizes, statistics, limits, provenance and metrics in one folder.

    models/<name>/bundle.yaml            everything a person can read
    models/<name>/weights.safetensors    tensors only; never a pickle
    models/<name>/prior.safetensors      optional, as the others of `bundles.networks`: what
                                         `lewm train-policy` adds

A bundle is complete or it is an error: nothing is assumed for a missing part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lewm_model.base.devices import check_device
from lewm_model.base.marks import unpack_marks
from lewm_model.bundles.folder import (
    FORMAT_VERSION,
    read_model,
    read_network,
    read_settings,
    SETTINGS_FILE,
    write_folder,
)
from lewm_model.bundles.networks import NETWORKS
from lewm_model.bundles.weights import weights_sha256
from lewm_model.config import Config, ModelConfig, PlanConfig
from lewm_model.errors import BundleError, ConfigError
from lewm_model.heads.decoder import Decoder
from lewm_model.heads.goal_policy import GoalPolicy
from lewm_model.heads.memory import Memory
from lewm_model.heads.plan_prior import PlanPrior
from lewm_model.heads.prior import InverseDynamicsPrior, PriorConfig
from lewm_model.heads.quantity_prior import QuantityPrior
from lewm_model.heads.reach import Reach
from lewm_model.heads.readout import Readout
from lewm_model.images.view import View
from lewm_model.models import make_model, WorldModel
from lewm_model.ordinary import Ordinary
from lewm_model.preprocess import ActionNormalizer, FrameTransform
import numpy as np
import torch
from torch import nn, Tensor


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
    quantity_prior: QuantityPrior | None = None  # block that leads to some quantities
    plan_prior: PlanPrior | None = None          # Gaussian over plans
    memory: Memory | None = None                 # latents and blocks of the training set
    reach: Reach | None = None                   # how far places are from each other
    readout: Readout | None = None               # quantities of a frame, for goals without one
    decoder: Decoder | None = None               # paints latents, for people

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
        networks = {name: network for name in NETWORKS
                    if (network := getattr(self, name)) is not None}
        return write_folder(Path(folder), self.model, networks, self._settings)

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
            settings = read_settings(folder)
            try:
                return cls._from_settings(folder, settings, device)
            except BundleError:
                if read_settings(folder) == settings:   # else it was replaced while we read
                    raise

    @classmethod
    def _from_settings(cls, folder: Path, settings: dict[str, Any],
                       device: str | torch.device) -> Bundle:
        try:
            model_config = ModelConfig.from_dict(settings['model'])
            plan_config = PlanConfig.from_dict(settings['plan'])
        except ConfigError as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: {error}') from error
        model = read_model(lambda: make_model(model_config), folder, settings)
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
            name: read_network(bundle.new_network, folder, name, settings[name]).to(device)
            for name in NETWORKS if name in settings})
