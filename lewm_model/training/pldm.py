"""PLDM's objective, to compare with: what stands in the place of SIGReg.

Source: PLDM (arXiv 2502.14819) as the authors of LeWorldModel trained it for their comparison
(stable-worldmodel `wm/loss.py`, `scripts/train/config/pldm.yaml`): weights 18, 12, 0.7 and 0.2
are theirs. Not here, since their weight there is 0: a covariance over time, temporal
straightening. Inverse dynamics, 0 as well, is `inverse_term.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.errors import ShapeError
import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-4   # keeps the slope of the square root finite at 0


def pldm_terms(latents: Tensor, *, mean_over_processes: Callable[[Tensor], Tensor] | None = None,
               processes: int = 1) -> dict[str, Tensor]:
    """Return the terms beside the prediction, without weights.

    Args:
        latents: (B, T, D), float32; both sides of every term have their gradient.
        mean_over_processes: Averages a tensor over processes, differentiably; None: one process.
        processes: How many hold a part of the batch, all equally much.

    Returns:
        `std`: by how much the standard deviation over the batch falls short of 1, mean over t and
        d; `cov`: mean square of the covariances over the batch off the diagonal, mean over t;
        `std_time`: the shortfall of the standard deviation over the T frames of one clip;
        `alignment`: mean square of z_t - z_{t+1}.

    Raises:
        ShapeError: If there are too few clips, frames or dimensions for a variance.
    """
    if latents.ndim != 3 or min(latents.shape) < 2:
        raise ShapeError(f'the terms of PLDM need latents (B, T, D) with two of each at least, '
                         f'got {tuple(latents.shape)}')
    average = mean_over_processes or (lambda values: values)
    clips, width = len(latents) * processes, latents.shape[-1]
    centred = latents - average(latents.mean(dim=0))
    by_frame = centred.transpose(0, 1)                                     # (T, B, D)
    cov = average(by_frame.mT @ by_frame / len(latents)) * (clips / (clips - 1))   # (T, D, D)
    variance = cov.diagonal(dim1=-2, dim2=-1)                              # (T, D)
    aside = cov.square().sum(dim=(-2, -1)) - variance.square().sum(dim=-1)
    return {
        'std': _shortfall(variance),
        'cov': aside.mean() / (width * width - width),
        'std_time': average(_shortfall(centred.var(dim=1))),
        'alignment': average((latents[:, :-1] - latents[:, 1:]).square().mean()),
    }


def _shortfall(variance: Tensor) -> Tensor:
    return torch.relu(1 - (variance + _LEAST_VARIANCE).sqrt()).mean()
