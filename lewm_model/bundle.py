"""What ships: weights, sizes, statistics, limits, provenance and metrics in one folder.

    models/<name>/bundle.yaml            everything a person can read
    models/<name>/weights.safetensors    tensors only; never a pickle

A bundle is complete or it is an error: nothing is assumed for a missing part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import hashlib
from pathlib import Path
from typing import Any

from lewm_model.config import load_yaml, ModelConfig, PlanConfig
from lewm_model.errors import BundleError, ConfigError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.world_model import LeWorldModel
import numpy as np
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
import yaml

FORMAT_VERSION = 1
SETTINGS_FILE = 'bundle.yaml'
WEIGHTS_FILE = 'weights.safetensors'
_SECTIONS = ('format', 'model', 'preprocessing', 'actions', 'control_dt_s', 'robot', 'task',
             'goal_tolerance', 'plan', 'provenance', 'metrics', 'weights_sha256')


@dataclass(frozen=True)
class Bundle:
    """A trained model with everything needed to run it on the robot it was trained for."""

    model: LeWorldModel                  # in eval mode
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
    model_id: str = ''                   # first 12 hex digits of the weights' SHA-256

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
        if not self.control_dt_s > 0:
            raise BundleError(f'control_dt_s must be positive, got {self.control_dt_s}')
        if not self.goal_tolerance > 0:
            raise BundleError(f'goal_tolerance must be positive, got {self.goal_tolerance}')

    @property
    def model_config(self) -> ModelConfig:
        """Sizes of the model."""
        return self.model.config

    def save(self, folder: str | Path) -> Path:
        """Write the bundle; the settings file comes last, so a half-written one is no bundle.

        Raises:
            BundleError: If the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SETTINGS_FILE).unlink(missing_ok=True)
            weights = {key: value.detach().cpu().contiguous()
                       for key, value in self.model.state_dict().items()}
            save_file(weights, folder / WEIGHTS_FILE)
            (folder / WEIGHTS_FILE).chmod(0o644)  # made private by safetensors
            settings = self._settings(_sha256(folder / WEIGHTS_FILE))
            (folder / SETTINGS_FILE).write_text(
                yaml.safe_dump(settings, sort_keys=False, width=99), encoding='utf-8')
        except OSError as error:
            raise BundleError(f'cannot write bundle {folder}: {error}') from error
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
        """
        folder = Path(folder)
        settings = _read_settings(folder)
        try:
            model = LeWorldModel(ModelConfig.from_dict(settings['model']))
            plan_config = PlanConfig.from_dict(settings['plan'])
        except ConfigError as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: {error}') from error
        _load_weights(model, folder / WEIGHTS_FILE, settings['weights_sha256'])
        try:
            actions, preprocessing = settings['actions'], settings['preprocessing']
            arrays = {name: np.asarray(actions[name], dtype=np.float32)
                      for name in ('min', 'max', 'mean', 'std')}
            return cls(
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
                metrics=settings['metrics'], model_id=settings['weights_sha256'][:12])
        except BundleError as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: {error}') from error
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f'{folder / SETTINGS_FILE}: malformed entry '
                              f'({type(error).__name__}: {error})') from error


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
    unknown = [str(name) for name in settings if name not in _SECTIONS]
    if missing or unknown:
        raise BundleError(f'{folder / SETTINGS_FILE}: missing {", ".join(missing) or "nothing"}, '
                          f'unknown {", ".join(unknown) or "nothing"}')
    return settings


def _load_weights(model: LeWorldModel, path: Path, sha256: str) -> None:
    """Fill the model strictly; a name or shape that differs is listed."""
    if not path.is_file():
        raise BundleError(f'bundle {path.parent} has no {WEIGHTS_FILE}')
    if _sha256(path) != sha256:
        raise BundleError(f'{path} does not belong to its {SETTINGS_FILE}: the SHA-256 differs '
                          f'from weights_sha256; copy both files of one bundle together')
    try:
        with safe_open(path, framework='pt') as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BundleError(f'{path} is not a readable safetensors file: {error}') from error
    expected = model.state_dict()
    problems = [f'missing {key}' for key in expected if key not in weights]
    problems += [f'unexpected {key}' for key in weights if key not in expected]
    problems += [f'{key} is {tuple(weights[key].shape)}, the model has {tuple(value.shape)}'
                 for key, value in expected.items()
                 if key in weights and weights[key].shape != value.shape]
    problems += [f'{key} has values that are not finite' for key, value in weights.items()
                 if value.is_floating_point() and not value.isfinite().all()]
    if problems:
        raise BundleError(f'{path} does not fit the model: ' + '; '.join(problems))
    model.load_state_dict(weights)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
