"""Train what paints latents for people, and measure how well, on held-out episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_model.heads.decoder import Decoder, DecoderConfig, PIXELS, small_pictures
from lewm_model.held_out import HeldOut
from lewm_model.training.readout import NOISE
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional

BATCH_SIZE, STEPS, LEARNING_RATE = 64, 2000, 2e-3     # the usual ones
_MOST_FRAMES, _JUDGED_FRAMES, _JUDGED_WINDOWS = 12_000, 2000, 200
_FOR_THE_MEAN = 2000

Fit = Callable[[Callable[[], nn.Module], Callable[[Any], Tensor]], nn.Module]


def fit_decoder(subject: HeldOut, latents: Tensor, sizes: DecoderConfig | None, seed: int,
                batch_size: int, fit: Fit) -> tuple[Decoder, dict[str, Any]]:
    """Train a decoder on training episodes, and judge it on held-out ones.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        sizes: Of the network; None: the usual ones.
        seed: Of frames, batches and noise.
        batch_size: Of the training.
        fit: Minimises a loss of a network that it builds.

    Returns:
        The decoder, exactly as it will be stored, and what was measured.
    """
    chance = np.random.default_rng(seed)
    rows = subject.sample_rows(subject.kept, _MOST_FRAMES, chance)
    decoder = paint(latents[rows], subject.data.pixels[rows], sizes or DecoderConfig(), seed=seed,
                    batch_size=batch_size, noise=NOISE, fit=fit)
    decoder = decoder.to(decoder.stored_as).float()
    return decoder, {'pixels': PIXELS, 'training_frames': len(rows),
                     **_judge(subject, latents, decoder, chance)}


def paint(latents: Tensor, frames: np.ndarray, sizes: DecoderConfig, *, seed: int,
          batch_size: int, fit: Fit, noise: float = 0.0) -> Decoder:
    """Fit a decoder by mean squared error of pixels.

    Args:
        latents: (N, D), frozen.
        frames: The pictures they encode, uint8 (N, H, W, 3).
        sizes: Of the network.
        seed: Of batches and noise.
        batch_size: Of the training.
        fit: See `fit_decoder`.
        noise: Standard deviation added to latents: imagined ones are not exact.
    """
    mean = small_pictures(frames[::max(1, len(frames) // _FOR_THE_MEAN)]).mean(dim=0)
    chance = torch.Generator().manual_seed(seed)

    def build() -> Decoder:
        decoder = Decoder(sizes, latents.shape[1])
        decoder.mean_picture.copy_(mean)
        return decoder

    def loss(decoder: Decoder) -> Tensor:
        chosen = torch.randint(len(latents), (batch_size,), generator=chance)
        shown = latents[chosen]
        if noise:
            shown = shown + noise * torch.randn(shown.shape, generator=chance)
        return functional.mse_loss(decoder(shown), small_pictures(frames[chosen.numpy()]))

    return fit(build, loss)


@torch.inference_mode()
def _judge(subject: HeldOut, latents: Tensor, decoder: Decoder, chance: np.random.Generator
           ) -> dict[str, float]:
    """Return errors of pixels in [0, 1] on held-out frames, seen and imagined."""
    rows = subject.sample_rows(subject.held_out, _JUDGED_FRAMES, chance)
    found = _errors(decoder, latents[rows], subject.data.pixels[rows])
    ahead = min(subject.bundle.plan_config.horizon, subject.longest_held_out - 1)
    if ahead:
        windows = subject.held_out_windows(ahead + 1, _JUDGED_WINDOWS, chance)
        dreamt = subject.bundle.model.rollout(windows.latents[:, :1], windows.blocks[:, :0],
                                              windows.blocks)
        imagined = _errors(decoder, dreamt[:, -1], subject.data.pixels[windows.rows[:, -1]])
        found |= {'imagined_blocks': ahead,
                  **{f'imagined_{name}': value for name, value in imagined.items()}}
    return found


def _errors(decoder: Decoder, latents: Tensor, frames: np.ndarray) -> dict[str, float]:
    pictures = small_pictures(frames)
    painted = torch.cat([decoder(part) for part in latents.split(256)])
    error = (painted - pictures).square().mean().item()
    spread = (pictures - decoder.mean_picture).square().mean().item()
    return {'pixel_error': error ** 0.5, 'explained': 1 - error / max(spread, 1e-12)}
