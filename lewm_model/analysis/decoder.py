"""A decoder for people: what does a latent show? Trained on frozen latents, never in the loop.

The mean picture plus a few convolutions and pixel shuffles from an 8 x 8 grid. The published
decoder lets learned queries cross-attend to the latent. To one single latent attention is a
constant, and the MLPs that are left of it were worse here: after 400 steps 37 % of the pixel
variance was left unexplained, against 11 % for convolutions of about the same cost.

Source: LeWorldModel, arXiv 2603.19312, decoder for visualisation; shape and sizes are ours.
"""

from __future__ import annotations

from lewm_model.held_out import Progress, silent
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional

PIXELS = 64            # height and width of decoded pictures, whatever the camera's
_GRID, _CHANNELS = 8, 48
_BATCH, _LEARNING_RATE = 64, 2e-3
_FOR_THE_MEAN = 2000


class Decoder(nn.Module):
    """Latents (B, D) to pictures (B, 3, 64, 64), roughly in [0, 1].

    Args:
        latent_dim: D.
        mean_picture: Where decoding starts from, (3, 64, 64).
    """

    def __init__(self, latent_dim: int, mean_picture: Tensor) -> None:
        super().__init__()
        self.register_buffer('mean_picture', mean_picture)
        self.spread = nn.Sequential(
            nn.Linear(latent_dim, 256), nn.GELU(), nn.Linear(256, _CHANNELS * _GRID ** 2),
            nn.Unflatten(1, (_CHANNELS, _GRID, _GRID)), nn.GELU())
        self.paint = nn.Sequential(
            nn.Conv2d(_CHANNELS, 4 * _CHANNELS, 1), nn.PixelShuffle(2), nn.GELU(),     # 16 x 16
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1), nn.GELU(),
            nn.Conv2d(_CHANNELS, 3 * 4 ** 2, 3, padding=1), nn.PixelShuffle(4))        # 64 x 64

    def forward(self, latents: Tensor) -> Tensor:
        """Decode."""
        return self.mean_picture + self.paint(self.spread(latents))


def small_pictures(frames: np.ndarray) -> Tensor:
    """Turn uint8 (N, H, W, 3) into float (N, 3, 64, 64) in [0, 1]."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float() / 255
    if pictures.shape[-2:] == (PIXELS, PIXELS):
        return pictures
    return functional.interpolate(pictures, size=(PIXELS, PIXELS), mode='area')


def train_decoder(latents: Tensor, frames: np.ndarray, *, steps: int, seed: int = 0,
                  progress: Progress = silent) -> Decoder:
    """Fit a decoder by mean squared error of pixels.

    Args:
        latents: (N, D), frozen.
        frames: The pictures they encode, uint8 (N, H, W, 3).
        steps: Optimiser steps.
        seed: Of initialisation and order.
        progress: Told after every step.
    """
    mean = small_pictures(frames[:_FOR_THE_MEAN]).mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = Decoder(latents.shape[1], mean)
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _LEARNING_RATE, total_steps=steps, pct_start=0.1)
        for step in range(steps):
            chosen = torch.randint(len(latents), (_BATCH,))
            loss = functional.mse_loss(decoder(latents[chosen]), small_pictures(frames[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress(step + 1, steps)
    return decoder.eval().requires_grad_(False)
