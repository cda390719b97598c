"""SIGReg: pull the distribution of latents towards a standard normal, so they cannot collapse.

On several processes the two means over B are averaged over them, the directions are the same
everywhere (equal generators), and B is the size of the joint batch.
"""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.errors import ConfigError, ShapeError
import torch
from torch import Generator, Tensor


class SigReg:
    """Sketched isotropic Gaussian regulariser (Epps-Pulley test on random directions).

    For each direction the characteristic function of the projected batch is compared with the
    normal one, exp(-t^2/2), at equally spaced knots t (their negatives mirror them).
    The value is about 1.05 for truly Gaussian latents whatever B, and grows with B otherwise:
    its weight in the loss belongs to one batch size.

    Args:
        num_projections: M, directions drawn at every call.
        num_knots: Points t.
        first_knot: The smallest t, in [0, last_knot).
        last_knot: The largest; on [0, 3] a Gaussian has 1.05, elsewhere another value.
        mean_over_processes: Averages a tensor over processes, differentiably; None: one process.
        processes: How many hold a part of the batch, all equally much.

    Source: LeJEPA (Balestriero & LeCun 2025) with the constants of the LeWorldModel reference.
    """

    def __init__(self, num_projections: int = 1024, num_knots: int = 17, *,
                 first_knot: float = 0.0, last_knot: float = 3.0,
                 mean_over_processes: Callable[[Tensor], Tensor] | None = None,
                 processes: int = 1) -> None:
        if num_projections < 1 or num_knots < 2:
            raise ConfigError(f'SIGReg needs num_projections >= 1 and num_knots >= 2, '
                              f'got {num_projections} and {num_knots}')
        if not 0 <= first_knot < last_knot:
            raise ConfigError(f'SIGReg needs 0 <= first_knot < last_knot, got {first_knot} and '
                              f'{last_knot}')
        self.first_knot, self.last_knot = first_knot, last_knot
        self.num_projections = num_projections
        self.num_knots = num_knots
        self._mean_over_processes = mean_over_processes or (lambda values: values)
        self._processes = processes

    def __call__(self, latents: Tensor, generator: Generator | None = None) -> Tensor:
        """Compare a batch with N(0, I), time step by time step.

        Args:
            latents: (B, T, D); each of the T steps is tested over its B rows, then averaged.
            generator: Source of the directions, drawn anew at every call; lives on the device
                of `latents`. None uses torch's global one.

        Returns:
            The statistic, a scalar; at least float32, also under autocast.

        Raises:
            ShapeError: If `latents` does not have three axes.
        """
        if latents.ndim != 3:
            raise ShapeError(f'SIGReg needs latents (B, T, D), got {tuple(latents.shape)}')
        device = latents.device
        with torch.autocast(device.type, enabled=False):
            latents = latents.to(torch.promote_types(latents.dtype, torch.float32))
            dtype = latents.dtype
            directions = torch.randn(latents.shape[-1], self.num_projections, device=device,
                                     dtype=dtype, generator=generator)
            projected = latents @ (directions / directions.norm(dim=0))     # (B, T, M)
            knots = torch.linspace(self.first_knot, self.last_knot, self.num_knots,
                                   device=device, dtype=dtype)
            normal = torch.exp(-knots.square() / 2)
            weights = 2 * (self.last_knot - self.first_knot) / (self.num_knots - 1) * normal
            weights[[0, -1]] /= 2  # trapezoid
            if self.first_knot == 0:   # there 1 is compared with 1, whatever the latents
                knots, normal, weights = knots[1:], normal[1:], weights[1:]
            means = []
            # A loop over knots: one broadcast product takes 17 times the memory and, on a CPU,
            # three times as long at 1024 projections.
            for knot in knots:
                angles = knot * projected
                means += [angles.cos().mean(dim=0), angles.sin().mean(dim=0)]         # (T, M)
            means = self._mean_over_processes(torch.stack(means))
            error = projected.new_zeros(())
            for real, imaginary, weight, target in zip(means[::2], means[1::2], weights,
                                                       normal, strict=True):
                error = error + weight * ((real - target).square() + imaginary.square()).mean()
            return len(latents) * self._processes * error
