"""Paints what a latent shows, for people. Trained on frozen latents, never in the loop.

The mean picture plus a few convolutions and pixel shuffles from an 8 x 8 grid. The published
decoder lets learned queries cross-attend to the latent. To one single latent attention is a
constant, and the MLPs that are left of it were worse here: after 400 steps 37 % of the pixel
variance was left unexplained, against 11 % for convolutions of about the same cost.

Source: LeWorldModel, arXiv 2603.19312, decoder for visualisation; shape and sizes are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.heads.block_network import Sizes
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional

PIXELS = 64            # height and width of decoded pictures, whatever the camera's
_GRID = 8


@dataclass(frozen=True)
class DecoderConfig(Sizes):
    """Sizes."""

    hidden_dim: int = 192
    channels: int = 48


class Decoder(nn.Module):
    """Latents (B, D) to pictures (B, 3, 64, 64), roughly in [0, 1].

    Args:
        config: Sizes.
        latent_dim: D.

    Attributes:
        mean_picture: Where decoding starts from, (3, 64, 64); black until it is set.
    """

    stored_as = torch.half    # a picture of 8 bits needs no more; see `bundles.weights`

    def __init__(self, config: DecoderConfig, latent_dim: int) -> None:
        super().__init__()
        self.config, wide = config, config.channels
        self.register_buffer('mean_picture', torch.zeros(3, PIXELS, PIXELS))
        self.spread = nn.Sequential(
            nn.Linear(latent_dim, config.hidden_dim), nn.GELU(),
            nn.Linear(config.hidden_dim, wide * _GRID ** 2),
            nn.Unflatten(1, (wide, _GRID, _GRID)), nn.GELU())
        self.paint = nn.Sequential(
            nn.Conv2d(wide, 4 * wide, 1), nn.PixelShuffle(2), nn.GELU(),          # 16 x 16
            nn.Conv2d(wide, wide, 3, padding=1), nn.GELU(),
            nn.Conv2d(wide, 3 * 4 ** 2, 3, padding=1), nn.PixelShuffle(4))        # 64 x 64

    def forward(self, latents: Tensor) -> Tensor:
        """Decode."""
        return self.mean_picture + self.paint(self.spread(latents))

    @torch.inference_mode()
    def pictures(self, latents: np.ndarray | Tensor) -> np.ndarray:
        """Return latents (N, D) as pictures for people, uint8 (N, 64, 64, 3)."""
        latents = torch.as_tensor(latents, dtype=torch.float32, device=self.mean_picture.device)
        painted = (self(latents).clamp(0, 1) * 255).round().to(torch.uint8)
        return painted.movedim(1, -1).contiguous().cpu().numpy()


def small_pictures(frames: np.ndarray) -> Tensor:
    """Turn uint8 (N, H, W, 3) into float (N, 3, 64, 64) in [0, 1]."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float() / 255
    if pictures.shape[-2:] == (PIXELS, PIXELS):
        return pictures
    return functional.interpolate(pictures, size=(PIXELS, PIXELS), mode='area')
