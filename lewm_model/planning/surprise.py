"""How far the newest frame is from what the model expected of what was executed.

The expectation is made afterwards, from frames one block apart and the blocks between them as
they were *executed*: what was planned and then slowed down, clipped or stopped surprises nobody.
A frame is judged when it arrives, against the frames K, 2K, ... control steps before it, so that
every frame of a camera can be judged, not only those at the ends of blocks. It costs one answer of
the model for one candidate and one block, and is the pairing of training and of calibration.
"""

from __future__ import annotations

import math

from lewm_model.models import WorldModel
from lewm_model.planning.history import History
import torch


@torch.inference_mode()
def prediction_error(model: WorldModel, past: History) -> float:
    """Return the mean squared error, over the latent, of the prediction of the newest frame.

    Args:
        model: In eval mode, on the device of the latents.
        past: Frames and executed actions. `model.config.history` frames before the newest one
            are needed, and the blocks between all of them; they are those that calibration had.

    Returns:
        NaN if there is no such past: after a reset or a gap, or with too few frames.
    """
    frames = model.config.history + 1
    if past.newest is None:
        return math.nan
    context = past.context(frames)
    if context.latents.shape[1] < frames:
        return math.nan
    blocks = context.past_blocks
    expected = model.rollout(context.latents[:, :-1], blocks[:, :-1], blocks[:, -1:])
    return (expected[0, 0] - context.latents[0, -1]).square().mean().item()
