"""How far the newest frame is from what the model expected of what was executed.

The expectation is made afterwards, from frames one block apart and the blocks between them as
they were *executed*: what was planned and then slowed down, clipped or stopped surprises nobody.
A frame is judged when it arrives, against the frames K, 2K, ... control steps before it, so that
every frame of a camera can be judged, not only those at the ends of blocks. It costs one answer of
the model for one candidate and one block, and is the pairing of training and of calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from lewm_model.models import WorldModel
from lewm_model.planning.history import History
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Expectation:
    """A frame, what the model expected of it, and what was seen a block before it."""

    expected: Tensor    # (D,)
    seen: Tensor        # (D,)
    before: Tensor      # (D,)

    @property
    def error(self) -> float:
        """Mean squared error, over the latent."""
        return (self.expected - self.seen).square().mean().item()


@torch.inference_mode()
def expectations(model: WorldModel, pasts: Sequence[History]) -> list[Expectation | None]:
    """Return what the model expected of the newest frame of each robot, in one batch.

    Args:
        model: In eval mode, on the device of the latents.
        pasts: Frames and executed actions. `model.config.history` frames before the newest one
            are needed, and the blocks between all of them; they are those that calibration had.

    Returns:
        None for a robot without such a past: after a reset or a gap, or with too few frames.
    """
    frames = model.config.history + 1
    contexts = [None if past.newest is None else past.context(frames) for past in pasts]
    known = [number for number, context in enumerate(contexts)
             if context is not None and context.latents.shape[1] == frames]
    found: list[Expectation | None] = [None] * len(pasts)
    if not known:
        return found
    latents = torch.cat([contexts[number].latents for number in known])
    blocks = torch.cat([contexts[number].past_blocks for number in known])
    expected = model.rollout(latents[:, :-1], blocks[:, :-1], blocks[:, -1:])[:, 0]
    for place, number in enumerate(known):
        found[number] = Expectation(expected[place], latents[place, -1], latents[place, -2])
    return found


def prediction_error(model: WorldModel, past: History) -> float:
    """Return the mean squared error, over the latent, of the prediction of the newest frame.

    Returns:
        NaN if there is no prediction, see `expectations`.
    """
    found = expectations(model, [past])[0]
    return math.nan if found is None else found.error
