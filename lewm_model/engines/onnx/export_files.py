"""The exported model as a folder: graphs, and a JSON file that says what they are and how exact.

- `encode.onnx`:        rgb uint8 (H, W, 3) -> latent (D,)
- `rollout_L<L>.onnx`:   latents, candidates, goal and, for L > 1, past_blocks -> costs, imagined
- `export.json`:        shapes, hashes, agreement with eager fp32, units of the actions
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.onnx.export_graphs import export_encode, export_rollout, OPSET
from lewm_model.engines.onnx.onnx_engine import engine_errors
from lewm_model.engines.onnx.onnxruntime_engine import open_session
from lewm_model.engines.parity import check_parity, LIMITS
from lewm_model.errors import ConfigError, EngineError, without_path
from lewm_model.planning.objectives import make_objective
from lewm_model.types import Context, Goal
import numpy as np
import torch
from torch import Tensor

INFO_FILE = 'export.json'
_FORMAT_VERSION = 1


def export_files(bundle: Bundle, folder: Path, config: PlanConfig,
                 frame_size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Export, run the files with ONNX Runtime, and write the folder only if they agree.

    Args:
        bundle: The model, on the CPU.
        folder: New or empty.
        config: Says the horizon, the cost and the longest context.
        frame_size: Height and width of the raw frames [px]; the model's when None.

    Returns:
        What `export.json` says.

    Raises:
        ConfigError: If the folder has something in it.
        MissingPackageError: If onnx or onnxruntime is not installed.
        EngineError: If the folder cannot be written, or the files do not agree with the model.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'{folder} is not an empty folder; name a new one')
    size = bundle.model_config.image_size
    frame_size = frame_size or (size, size)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f'.{folder.name}.'))
    except OSError as error:
        raise EngineError(f'cannot write beside {folder}: {without_path(error)}') from error
    try:
        export_encode(bundle, work / 'encode.onnx', frame_size)
        for length in range(1, config.history + 1):
            export_rollout(bundle, work / _rollout_name(length), length=length,
                           horizon=config.horizon, cost=config.cost)
        info = _info(bundle, work, config, frame_size)
        (work / INFO_FILE).write_text(json.dumps(info, indent=2) + '\n', encoding='utf-8')
        work.chmod(0o755)   # made private by tempfile
        os.replace(work, folder)
    except OSError as error:
        raise EngineError(f'cannot write {folder}: {without_path(error)}') from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return info


class ExportedFiles:
    """The files of an exported folder as an engine, for frames of the size they were made for."""

    name = 'exported'
    precision = 'fp32'

    def __init__(self, folder: Path) -> None:
        self.device = torch.device('cpu')
        self._folder = folder
        with engine_errors(f'cannot load the files in {folder}'):
            self._sessions = {path.stem: open_session(path) for path in folder.glob('*.onnx')}

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'ONNX files in {self._folder}, ONNX Runtime on the CPU'

    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        with engine_errors(f'encode.onnx in {self._folder} failed'):
            return torch.from_numpy(self._sessions['encode']('latent', {'rgb': rgb}))

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D)."""
        return self._run('imagined', context, blocks, context.latents[0, -1])

    def costs(self, context: Context, blocks: Tensor, goal: Goal) -> Tensor:
        """Score every candidate, (S, T, K*A) -> (S,)."""
        return self._run('costs', context, blocks, goal.latent)

    def _run(self, output: str, context: Context, blocks: Tensor, goal: Tensor) -> Tensor:
        length = context.latents.shape[1]
        inputs = {'latents': context.latents, 'candidates': blocks, 'goal': goal}
        if length > 1:
            inputs['past_blocks'] = context.past_blocks
        with engine_errors(f'{_rollout_name(length)} in {self._folder} failed'):
            return torch.from_numpy(self._sessions[f'rollout_L{length}'](
                output, {name: value.numpy() for name, value in inputs.items()}))


def _rollout_name(length: int) -> str:
    return f'rollout_L{length}.onnx'


def _info(bundle: Bundle, folder: Path, config: PlanConfig,
          frame_size: tuple[int, int]) -> dict[str, Any]:
    """Check the files and describe them."""
    sizes, engine = bundle.model_config, ExportedFiles(folder)
    parity = check_parity(engine, bundle, config, frame_size)
    cost_error = _cost_error(engine, bundle, config)
    if not cost_error <= LIMITS['fp32'].error:
        raise EngineError(f'the costs of the exported graph are off by {cost_error:.3g} of '
                          f'themselves')
    files = {}
    for path in sorted(folder.glob('*.onnx')):
        path.chmod(0o644)
        files[path.name] = {'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
                            'bytes': path.stat().st_size}
    latent, block = sizes.latent_dim, sizes.block_dim
    shapes = {'encode.onnx': {'inputs': {'rgb': ['uint8', *frame_size, 3]},
                              'outputs': {'latent': ['float32', latent]}}}
    for length in range(1, config.history + 1):
        inputs = {'latents': ['float32', 1, length, latent],
                  'candidates': ['float32', 'S', config.horizon, block],
                  'goal': ['float32', latent]}
        if length > 1:
            inputs['past_blocks'] = ['float32', 1, length - 1, block]
        shapes[_rollout_name(length)] = {'inputs': inputs, 'outputs': {
            'costs': ['float32', 'S'], 'imagined': ['float32', 'S', config.horizon, latent]}}
    return {
        'format': _FORMAT_VERSION, 'model_id': bundle.model_id, 'opset': OPSET,
        'cost': config.cost, 'horizon': config.horizon, 'history': config.history,
        'frameskip': sizes.frameskip, 'control_dt_s': bundle.control_dt_s,
        'actions': {'names': list(bundle.action_names),   # candidates are (action - mean) / std
                    'mean': bundle.action_normalizer.mean.tolist(),
                    'std': bundle.action_normalizer.std.tolist(),
                    'min': bundle.action_min.tolist(), 'max': bundle.action_max.tolist()},
        'files': {name: {**files[name], **shapes[name]} for name in files},
        'parity': {**parity.to_dict(), 'cost_error': cost_error}}


def _cost_error(engine: ExportedFiles, bundle: Bundle, config: PlanConfig) -> float:
    """Compare the costs in the graph with the objective on the latents beside them."""
    sizes = bundle.model_config
    random = torch.Generator().manual_seed(1)
    context = Context(latents=torch.randn(1, 1, sizes.latent_dim, generator=random),
                      past_blocks=torch.zeros(1, 0, sizes.block_dim), stamps_ns=(0,))
    blocks = torch.randn(8, config.horizon, sizes.block_dim, generator=random)
    goal = Goal(latent=torch.randn(sizes.latent_dim, generator=random))
    expected = make_objective(config.cost)(engine.rollout(context, blocks), goal)
    return ((engine.costs(context, blocks, goal) - expected).norm() / expected.norm()).item()
