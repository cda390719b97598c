"""Open-loop error: how far ahead can the model imagine before "nothing moves" is as good?"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.world_model import LeWorldModel
import torch
from torch import Tensor


@dataclass(frozen=True)
class HorizonErrors:
    """Mean squared latent errors at horizons of 1 to T blocks, (T,) each."""

    imagined: Tensor      # rollout from the context, on its own predictions
    copied: Tensor        # the newest context frame, unchanged
    unrelated: float      # between frames of different windows: what knowing nothing costs

    @property
    def useful_blocks(self) -> int:
        """Horizon up to which imagining beats copying, without a gap; 0 if it never does."""
        better = self.imagined < self.copied
        return int(better.int().cumprod(dim=0).sum())


@torch.inference_mode()
def open_loop_errors(model: LeWorldModel, latents: Tensor, blocks: Tensor, *,
                     context: int) -> HorizonErrors:
    """Imagine the rest of each window from its first frames.

    Args:
        model: In eval mode.
        latents: (B, context + T, D) at model-step spacing.
        blocks: (B, context + T - 1, K*A) normalised.
        context: Frames seen, at least 1.
    """
    imagined = model.rollout(latents[:, :context], blocks[:, :context - 1],
                             blocks[:, context - 1:])
    # Windows may be sorted: half the batch away is another episode.
    actual, newest = latents[:, context:], latents[:, context - 1:context]
    return HorizonErrors(
        imagined=(imagined - actual).square().mean(dim=(0, 2)),
        copied=(newest - actual).square().mean(dim=(0, 2)),
        unrelated=(actual - actual.roll(len(actual) // 2, dims=0)).square().mean().item())
