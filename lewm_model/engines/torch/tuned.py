"""PyTorch, tuned: the two graphs of `engines.graphs`, encode and rollout, on CPU or GPU."""

from __future__ import annotations

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.graphs.encode import EncodeGraph, FrameResizer
from lewm_model.engines.graphs.linear import linear_factory
from lewm_model.engines.graphs.rollout import RolloutGraph
from lewm_model.engines.inputs import checked_context
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16}


class TunedTorchEngine:
    """Both graphs with folded weights, cast once."""

    name = 'torch-tuned'

    @torch.inference_mode()
    def __init__(self, bundle: Bundle, config: PlanConfig, precision: str) -> None:
        self.precision = precision
        self.device = next(bundle.model.parameters()).device
        dtype, size = DTYPES[precision], bundle.model_config.image_size
        self._sizes = bundle.model_config
        self._resize = FrameResizer(size, self.device)
        self._encode = EncodeGraph(bundle.model, bundle.frame_transform, (size, size),
                                   linear_factory(dtype), dtype).eval()
        self._rollout = RolloutGraph(bundle.model, linear_factory(dtype), dtype).eval()

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'{self.name}:{self.precision} on {self.device}'

    @torch.inference_mode()
    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        return self._encode(self._resize(rgb))

    @torch.inference_mode()
    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D).

        Raises:
            ShapeError: If context and candidates do not fit the model or each other.
        """
        context = checked_context(context, blocks, self._sizes)
        return self._rollout(context.latents, context.past_blocks, blocks)
