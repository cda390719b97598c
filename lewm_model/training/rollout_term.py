"""An auxiliary term: predictions that go on from predictions, as in a plan.

Off by default; `rollout_weight` turns it on. Prediction in training sees true latents only, a plan
none after the first. Sources: RC-aux's open-loop loss over 1 to 4 steps, and PRISM's over 3;
here gradients flow through all steps, and all steps count alike.
"""

from __future__ import annotations

from lewm_model.models import WorldModel
import torch
from torch import Tensor


def open_loop_error(model: WorldModel, latents: Tensor, blocks: Tensor, first: Tensor) -> Tensor:
    """Return the mean squared error of what is imagined 2 blocks ahead and further.

    Args:
        model: Sees L frames.
        latents: True ones, (B, L+n, D) with n >= 2.
        blocks: (B, L+n, K*A) normalised; block t leaves frame t.
        first: Prediction of frame L from the true ones before it, (B, 1, D).
    """
    history, frames = model.config.history, latents.shape[1]
    seen = torch.cat([latents[:, :history].to(first), first], dim=1)
    for newest in range(history + 1, frames):
        window = slice(newest - history, newest)
        ahead = model.predict(seen[:, window], blocks[:, window])[:, -1:]
        seen = torch.cat([seen, ahead], dim=1)
    return (seen[:, history + 1:].float() - latents[:, history + 1:]).square().mean()
