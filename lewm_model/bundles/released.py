"""Checkpoints as LeWorldModel's authors publish them: a folder with `config.json`, `weights.pt`.

Reads them into a bundle and writes a bundle's model as one. Tensors only: a pickled module is
refused. What a release does not say (statistics and names of the actions, rates, limits) has to be
given, or comes from a data set or a robot description. The sizes are in `released_config.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import json
from pathlib import Path
import pickle
import re
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.folder import SETTINGS_FILE
from lewm_model.bundles.released_config import parse_config, render_config
from lewm_model.bundles.weights import fill_strictly
from lewm_model.config import PlanConfig
from lewm_model.data.release_facts import neighbouring_frames, read_facts
from lewm_model.errors import BundleError, without_path
from lewm_model.preprocess import (
    ActionNormalizer,
    FrameTransform,
    IMAGENET_MEAN,
    IMAGENET_STD,
)
from lewm_model.robots.robot import RobotDescription
from lewm_model.world_model import LeWorldModel
import numpy as np
from safetensors.torch import save as to_safetensors
import torch
from torch import Tensor

CONFIG_FILE = 'config.json'
WEIGHTS_FILE = 'weights.pt'
RELEASED_FRAMESKIP = 5   # K of every public release; the files do not say
# Hugging Face renamed its ViT in transformers 5; published files have the names of version 4.
_RENAMED = {'attention.attention.query': 'attention.q_proj',
            'attention.attention.key': 'attention.k_proj',
            'attention.attention.value': 'attention.v_proj',
            'attention.output.dense': 'attention.o_proj',
            'intermediate.dense': 'mlp.fc1', 'output.dense': 'mlp.fc2',
            'layernorm_before': 'layernorm_before', 'layernorm_after': 'layernorm_after'}
_BLOCK = {4: 'encoder.encoder.layer', 5: 'encoder.layers'}
_MISSING_FACTS = {
    'action_mean': 'mean of each raw action over the training data; or give stats_from',
    'action_std': 'standard deviation of the same; or give stats_from',
    'control_dt_s': 'seconds per action; or give a robot, or stats_from with a data set of ours',
    'goal_tolerance': 'squared latent distance that counts as reached; or give stats_from, and '
                      'it is measured'}
_PICKLED = ('a pickled Python object, not a file of tensors: reading it would run whatever code '
            'is in it, so it is refused. Load it where it was made, with the packages it was made '
            f'with, and save its tensors: torch.save(model.state_dict(), "{WEIGHTS_FILE}"), with '
            f'the {CONFIG_FILE} of its release beside it')


def load_released(path: str | Path, *, action_mean: Sequence[float] | None = None,
                  action_std: Sequence[float] | None = None,
                  stats_from: str | Path | None = None, robot: str | Path | None = None,
                  action_names: Sequence[str] | None = None,
                  action_min: Sequence[float] | None = None,
                  action_max: Sequence[float] | None = None,
                  control_dt_s: float | None = None, goal_tolerance: float | None = None,
                  frameskip: int = RELEASED_FRAMESKIP, task: str | None = None,
                  plan_config: PlanConfig | None = None,
                  provenance: dict[str, Any] | None = None) -> Bundle:
    """Make a bundle of a published checkpoint and of what it does not say.

    A fact comes from its argument, else from `robot`, else from `stats_from`, else it has the
    default named here, else it is an error.

    Args:
        path: The folder, or a `.pt` file beside its `config.json`.
        action_mean: (A,) of the training data, robot units.
        action_std: (A,) likewise.
        stats_from: The data set (HDF5) that the model was trained from.
        robot: Name or file of a robot description: names, limits and control step.
        action_names: A names; default action_0, action_1, ...
        action_min: (A,) robot units; default -1, as in all environments of the releases.
        action_max: (A,) likewise; default 1.
        control_dt_s: One action per step [s].
        goal_tolerance: Squared latent distance of "reached"; measured on `stats_from` as the
            median over frames one step apart, as in training.
        frameskip: K; 5 in all releases.
        task: What it is for.
        plan_config: Recommended planner settings; default those of the reference.
        provenance: Added to the provenance of the bundle.

    Raises:
        BundleError: If the files are incomplete, unsafe or contradict each other, or a fact is
            missing.
    """
    config_path, weights_path = _find(Path(path))
    given = {'action_mean': action_mean, 'action_std': action_std, 'action_names': action_names,
             'action_min': action_min, 'action_max': action_max, 'control_dt_s': control_dt_s,
             'task': task, 'goal_tolerance': goal_tolerance}
    facts = {**(read_facts(stats_from) if stats_from else {}),
             **(_robot_facts(robot) if robot else {}),
             **{name: value for name, value in given.items() if value is not None}}
    measured = ('goal_tolerance',) if stats_from else ()
    missing = [f'{name} ({hint})' for name, hint in _MISSING_FACTS.items()
               if name not in facts and name not in measured]
    if missing:
        raise BundleError(f'{path} does not say: {"; ".join(missing)}')
    action_dim = np.size(facts['action_mean'])
    model = _read_model(config_path, weights_path, action_dim, frameskip)
    transform = FrameTransform(model.config.image_size)
    if 'goal_tolerance' not in facts:
        facts['goal_tolerance'] = _step_distance(
            neighbouring_frames(stats_from), model, transform)

    def array(name: str, default: float = np.nan) -> np.ndarray:
        return np.array(facts.get(name, [default] * action_dim), dtype=np.float32, ndmin=1)

    return Bundle(
        model=model, frame_transform=transform,
        action_normalizer=ActionNormalizer(array('action_mean'), array('action_std')),
        action_names=tuple(facts.get('action_names')
                           or (f'action_{index}' for index in range(action_dim))),
        action_min=array('action_min', -1), action_max=array('action_max', 1),
        control_dt_s=float(facts['control_dt_s']), robot=facts.get('robot', ''),
        task=facts.get('task', ''), goal_tolerance=float(facts['goal_tolerance']),
        plan_config=plan_config or PlanConfig(),
        provenance={'released_as': config_path.parent.resolve().name,
                    'released_weights_sha256': _sha256(weights_path.read_bytes()),
                    'parameters': sum(value.numel() for value in model.parameters()),
                    **(provenance or {})},
        model_id=_sha256(to_safetensors(model.state_dict()))[:12])   # what a saved bundle has


@torch.inference_mode()
def _step_distance(frames: np.ndarray, model: LeWorldModel, transform: FrameTransform) -> float:
    """Return the median squared latent distance of pairs of frames, uint8 (N, 2, H, W, 3)."""
    latents = torch.cat([model.encode(transform(torch.from_numpy(pair))[None])
                         for pair in frames])                           # (N, 2, D)
    return (latents[:, 0] - latents[:, 1]).square().sum(dim=-1).median().item()


def write_released(model: LeWorldModel, folder: str | Path, *, transformers: int = 4) -> Path:
    """Write a model as a folder that stable-worldmodel's `load_pretrained` loads strictly.

    Args:
        model: The model of a bundle.
        folder: A new or empty folder.
        transformers: Whose names the encoder gets: 4, as all published files, or 5, for an
            installation of stable-worldmodel with that version, which cannot load those.

    Raises:
        BundleError: If the folder is not empty or cannot be written, or the reference has no
            such model.
    """
    if transformers not in _BLOCK:
        raise BundleError(f'names of transformers {transformers} are not known; known: 4, 5')
    tree = render_config(model.config)
    folder = Path(folder)
    weights = {_renamed(name, transformers): value.detach().cpu().contiguous().clone()
               for name, value in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BundleError(f'{folder} is not empty; name a new folder')
        torch.save(weights, folder / WEIGHTS_FILE)
        (folder / CONFIG_FILE).write_text(json.dumps(tree, indent=2) + '\n', encoding='utf-8')
    except OSError as error:
        raise BundleError(f'cannot write {folder}: {without_path(error)}') from error
    return folder


def require_released_colours(bundle: Bundle) -> None:
    """Refuse a model whose pictures are normalised otherwise than every published one's.

    A checkpoint has no place to say so, and whoever loads it would feed it other numbers.

    Raises:
        BundleError: If they are.
    """
    transform = bundle.frame_transform
    if (transform.mean, transform.std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise BundleError('the model was trained with frame_statistics: data, and a published '
                          'checkpoint cannot say how its pictures are normalised; train it with '
                          '`lewm train --frame-statistics imagenet` to give it away in this form')


def _find(path: Path) -> tuple[Path, Path]:
    """Return the two files of a release, or say what is there instead."""
    if not path.exists():
        raise BundleError(f'{path} does not exist; download {CONFIG_FILE} and {WEIGHTS_FILE} of '
                          f'the release into a folder and name that')
    folder = path if path.is_dir() else path.parent
    if (folder / SETTINGS_FILE).exists():
        raise BundleError(f'{folder} is a bundle already, not a published checkpoint')
    found = sorted(folder.glob('*.pt')) if path.is_dir() else [path]
    if folder / WEIGHTS_FILE in found and path.is_dir():
        found = [folder / WEIGHTS_FILE]
    pickled = sorted(folder.glob('*_object.ckpt')) if not found else []
    if pickled or any(file.name.endswith('_object.ckpt') for file in found):
        raise BundleError(f'{(pickled or found)[0]} is {_PICKLED}')
    if len(found) != 1 or found[0].suffix != '.pt':
        raise BundleError(f'{path} must be a folder with {WEIGHTS_FILE}, or with one .pt file, or '
                          f'such a file; found {", ".join(file.name for file in found) or "none"}')
    if not (folder / CONFIG_FILE).is_file():
        raise BundleError(f'{folder} has no {CONFIG_FILE}; it belongs to {found[0].name}, copy '
                          f'both from the release')
    return folder / CONFIG_FILE, found[0]


def _read_model(config_path: Path, weights_path: Path, action_dim: int,
                frameskip: int) -> LeWorldModel:
    try:
        tree = json.loads(config_path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise BundleError(f'{config_path} is not readable JSON: {without_path(error)}') from error
    try:
        config = parse_config(tree, action_dim, frameskip)
    except BundleError as error:
        raise BundleError(f'{config_path}: {error}') from error
    model = LeWorldModel(config)
    fill_strictly(model, _read_weights(weights_path), weights_path)
    return model.eval().requires_grad_(False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors and nothing else, under the names of transformers 4."""
    try:
        with path.open('rb') as file:
            start = file.read(4)
        if start != b'PK\x03\x04' and not start.startswith(b'\x80'):  # zip, or before torch 1.6
            raise BundleError(f'{path} is not a PyTorch file, it starts with {start!r}; is it a '
                              f'Git LFS pointer or an unfinished download?')
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(f'{path} is {_PICKLED}') from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise BundleError(f'{path} is not a readable PyTorch file: {without_path(error)}; '
                          f'download it again') from error
    if not isinstance(content, dict):
        raise BundleError(f'{path} must hold a dict of tensors, got {type(content).__name__}')
    others = [f'{name!r} ({type(value).__name__})' for name, value in content.items()
              if not isinstance(name, str) or not isinstance(value, Tensor)]
    if others:
        raise BundleError(f'{path} must hold tensors by name and nothing else, but has '
                          f'{", ".join(others[:5])}; save the state dict of the model alone')
    weights = {}
    for name, value in content.items():
        if (old := _renamed(name, 4)) in weights:
            raise BundleError(f'{path} has {old} twice, by the names of two versions of '
                              f'transformers')
        weights[old] = value
    return weights


def _renamed(name: str, transformers: int) -> str:
    """Return the name that a tensor of an encoder block has in a version of transformers."""
    block = re.fullmatch(r'encoder\.(?:encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias)', name)
    if not block:
        return name
    number, part, kind = block.groups()
    for old, new in _RENAMED.items():
        if part in (old, new):
            return f'{_BLOCK[transformers]}.{number}.{old if transformers == 4 else new}.{kind}'
    return name


def _robot_facts(robot: str | Path) -> dict[str, Any]:
    description = RobotDescription.from_yaml(robot)
    return {'robot': description.robot, 'action_names': description.joint_names,
            'action_min': description.min_command, 'action_max': description.max_command,
            'control_dt_s': description.control_dt_s}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
