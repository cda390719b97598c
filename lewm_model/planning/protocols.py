"""The contracts of planning; solvers know nothing else about models and goals."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lewm_model.types import Context, Goal, Plan
import numpy as np
import torch
from torch import Tensor


class Dynamics(Protocol):
    """Imagines futures."""

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict latents.

        Args:
            context: Newest latents and the executed blocks between them: latents (1, L, D), shared
                by all candidates, or (S, L, D), one context per candidate (several robots in one
                batch); past blocks (1, L-1, K*A) or (S, L-1, K*A), as the latents.
            blocks: Candidates, (S, T, K*A) normalised; blocks[:, 0] leaves the newest frame.

        Returns:
            Predicted latents, (S, T, D); the context is not included.
        """
        ...


class Engine(Dynamics, Protocol):
    """A backend: both graphs of the model on one device."""

    name: str              # as in `engines.registry`
    precision: str         # of the matrix products: 'fp32', 'bf16', ...
    device: torch.device   # where latents are taken from and returned to

    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        ...

    def describe(self) -> str:
        """Say in one line what runs, for logs."""
        ...


@runtime_checkable
class Capturable(Protocol):
    """Dynamics whose kernels do not depend on values, so that a whole search can be captured."""

    @property
    def uncaptured(self) -> Dynamics:
        """The rollout without a graph of its own, to be part of a larger one."""
        ...


class Objective(Protocol):
    """Says how far imagined latents are from the goal; lower is better, always."""

    def __call__(self, latents: Tensor, goal: Goal) -> Tensor:
        """Reduce (S, T, D) to costs (S,)."""
        ...


class Solver(Protocol):
    """Finds good blocks; a pure function of its arguments and its generator."""

    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks.

        Args:
            context: What was seen and done.
            goal: Where to go.
            initial_mean: Start of the search, (T, K*A) normalised; zero when None.
            committed: First d actions, (d, A) normalised, which can no longer be changed.
        """
        ...
