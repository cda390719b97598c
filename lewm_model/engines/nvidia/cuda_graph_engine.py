"""The tuned graphs on an NVIDIA GPU, captured as CUDA graphs; the search is captured whole."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.base.cuda_graph import CapturedByShape
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.inputs import checked_context
from lewm_model.engines.torch.tuned import TunedTorchEngine
from lewm_model.errors import EngineError
from lewm_model.planning.protocols import Dynamics
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor


class CudaGraphEngine(TunedTorchEngine):
    """Encode and rollout, each one replay; `planning.registry` captures the search on top.

    Not for use by several threads at once. On the CPU it computes the same, uncaptured.

    Args:
        bundle: The model.
        config: Planner settings.
        precision: Of the matrix products.
        compiled: Let torch.compile fuse the rollout's kernels first; that takes minutes at the
            first run, seconds from torch's cache afterwards.

    Raises:
        EngineError: If the kernels cannot be compiled here.
    """

    name = 'cuda-graph'

    @torch.inference_mode()
    def __init__(self, bundle: Bundle, config: PlanConfig, precision: str, *,
                 compiled: bool = False) -> None:
        super().__init__(bundle, config, precision)
        self._imagine = self._rollout
        if compiled:
            self.name = 'cuda-graph-compiled'
            self._imagine = torch.compile(self._rollout, dynamic=False)
        self._replay_encode = CapturedByShape(self._encode, self.device, 'encode')
        self._replay_rollout = CapturedByShape(self._imagine, self.device, 'rollout')
        if compiled:
            latent = torch.zeros(1, 1, self._sizes.latent_dim, device=self.device)
            blocks = torch.zeros(config.num_candidates, config.horizon, self._sizes.block_dim,
                                 device=self.device)
            try:
                self._imagine(latent, latent.new_zeros(1, 0, self._sizes.block_dim), blocks)
            except RuntimeError as error:
                raise EngineError(f'backend {self.name}: torch.compile does not work here: '
                                  f'{error}; use cuda-graph') from error

    @torch.inference_mode()
    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        size = self._sizes.image_size
        if rgb.shape == (size, size, 3) and rgb.dtype == np.uint8:
            return self._replay_encode(torch.from_numpy(np.ascontiguousarray(rgb)))   # as bytes
        return self._replay_encode(self._resize(rgb))

    @torch.inference_mode()
    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D).

        Raises:
            ShapeError: If context and candidates do not fit the model or each other.
        """
        context = checked_context(context, blocks, self._sizes)
        return self._replay_rollout(context.latents, context.past_blocks, blocks)

    @property
    def uncaptured(self) -> Dynamics:
        """The rollout without a graph of its own, to be part of a larger one."""
        return _Uncaptured(self._imagine)


class _Uncaptured:
    def __init__(self, imagine: Callable[..., Tensor]) -> None:
        self._imagine = imagine

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        return self._imagine(context.latents, context.past_blocks, blocks)


def compiled_engine(bundle: Bundle, config: PlanConfig, precision: str) -> CudaGraphEngine:
    """Build the engine with compiled kernels."""
    return CudaGraphEngine(bundle, config, precision, compiled=True)
