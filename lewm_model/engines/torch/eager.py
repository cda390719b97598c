"""The reference backend: eager PyTorch on whatever device the model lives on."""

from __future__ import annotations

from lewm_model.bundles.bundle import Bundle
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor


class TorchEngine:
    """Both graphs, run by the bundle's own modules in inference mode."""

    name = 'torch'
    precision = 'fp32'

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.model
        self._transform = bundle.frame_transform
        self.device = next(bundle.model.parameters()).device

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'{self.name}:{self.precision} on {self.device}, the reference'

    @torch.inference_mode()
    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        frame = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
        return self._model.encode(self._transform(frame)[None, None])[0, 0]

    @torch.inference_mode()
    def encode_batch(self, rgb: np.ndarray) -> Tensor:
        """Encode raw frames of one size, uint8 (N, H, W, 3), to latents (N, D)."""
        frames = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
        return self._model.encode(self._transform(frames)[None])[0]

    @torch.inference_mode()
    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D)."""
        return self._model.rollout(context.latents, context.past_blocks, blocks)
