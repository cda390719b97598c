"""What does a latent show? A decoder fitted for the pictures of one report."""

from __future__ import annotations

from lewm_model.heads.decoder import Decoder, DecoderConfig
from lewm_model.held_out import Progress, silent
from lewm_model.training.decoder import BATCH_SIZE, LEARNING_RATE, paint
from lewm_model.training.policies import fit, PolicyTrainConfig
import numpy as np
from torch import Tensor

_SIZES = DecoderConfig(hidden_dim=256)


def train_decoder(latents: Tensor, frames: np.ndarray, *, steps: int, seed: int = 0,
                  progress: Progress = silent) -> Decoder:
    """Fit a decoder, see `training.decoder.paint`.

    Args:
        latents: (N, D), frozen.
        frames: The pictures they encode, uint8 (N, H, W, 3).
        steps: Optimiser steps.
        seed: Of initialisation and order.
        progress: Told after every step.
    """
    config = PolicyTrainConfig(batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, steps=steps,
                               seed=seed)
    return paint(latents, frames, _SIZES, seed=seed, batch_size=BATCH_SIZE,
                 fit=lambda build, loss: fit(build, loss, config,
                                             lambda told: progress(told.done, told.total)))
