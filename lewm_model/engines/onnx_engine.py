"""What ONNX Runtime and OpenVINO share: cached exports, one per context length and horizon."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from lewm_model.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.cache import cached_file, fingerprint
from lewm_model.engines.encode_graph import FrameResizer
from lewm_model.engines.onnx_export import export_encode, export_rollout, OPSET
from lewm_model.errors import EngineError, ShapeError
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor

Run = Callable[[str, dict[str, np.ndarray]], np.ndarray]   # (output, inputs) -> its value


class OnnxEngine(ABC):
    """Both graphs in a runtime that reads ONNX files; on the CPU.

    The graphs of the planner's settings are loaded at once; another horizon when it is asked for.

    Raises:
        EngineError: If the model is not on the CPU, or the runtime refuses a graph.
        MissingPackageError: If the runtime or onnx is not installed.
    """

    name = ''

    def __init__(self, bundle: Bundle, config: PlanConfig, precision: str) -> None:
        self.precision = precision
        self.device = next(bundle.model.parameters()).device
        if self.device.type != 'cpu':
            raise EngineError(f'backend {self.name} runs on the CPU, the model is on '
                              f'{self.device}; use device cpu, or backend torch-tuned')
        self._bundle, self._config = bundle, config
        self._block_dim = bundle.model_config.block_dim
        self._resize = FrameResizer(bundle.model_config.image_size, self.device)
        self._key = fingerprint(bundle, opset=OPSET, torch=torch.__version__, cost=config.cost)
        self._rollouts: dict[tuple[int, int, int | None], Run] = {}
        self._encode = self._load(self._file('encode', lambda path: export_encode(
            bundle, path, dtype=torch.float32)), None)
        for length in range(1, config.history + 1):
            for count in (config.num_candidates, 1):
                self._rollout(length, config.horizon, count)

    @abstractmethod
    def load(self, path: Path, candidates: int | None) -> Run:
        """Load a graph, for a fixed number of candidates or, when None, for any.

        Raises:
            RuntimeError: As the runtime pleases.
        """

    fixes_counts = False   # whether a graph gains from knowing the number of candidates

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'{self.name}:{self.precision} on {self.device}, graphs {self._key[:12]}'

    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        return torch.from_numpy(self._encode('latent', {'rgb': self._resize(rgb).numpy()}))

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D).

        Raises:
            ShapeError: If the blocks do not fit the model.
        """
        if blocks.ndim != 3 or blocks.shape[2] != self._block_dim:
            raise ShapeError(f'candidates must be (S, T, {self._block_dim}), '
                             f'got {tuple(blocks.shape)}')
        length = context.latents.shape[1]
        inputs = {'latents': context.latents, 'candidates': blocks,
                  'goal': context.latents[0, -1]}   # the costs are not asked for
        if length > 1:
            inputs['past_blocks'] = context.past_blocks
        run = self._rollout(length, blocks.shape[1], len(blocks))
        return torch.from_numpy(run('imagined', {
            name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}))

    def _rollout(self, length: int, horizon: int, count: int) -> Run:
        fixed = count if self.fixes_counts and count == self._config.num_candidates else None
        key = (length, horizon, fixed)
        if key not in self._rollouts:
            path = self._file(f'rollout-L{length}-T{horizon}', lambda path: export_rollout(
                self._bundle, path, length=length, horizon=horizon, cost=self._config.cost))
            self._rollouts[key] = self._load(path, fixed)
        return self._rollouts[key]

    def _file(self, name: str, make: Callable[[Path], object]) -> Path:
        return cached_file(f'onnx/{self._key}/{name}.onnx', make)

    def _load(self, path: Path, candidates: int | None) -> Run:
        try:
            return self.load(path, candidates)
        except RuntimeError as error:
            raise EngineError(f'backend {self.name} cannot load {path}: {error}; if the file is '
                              f'damaged, delete it') from error
