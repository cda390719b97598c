"""Dynamics that tell of every answer, so that somebody outside sees that a search goes on."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.planning.protocols import Capturable, Dynamics
from lewm_model.types import Context
from torch import Tensor


class Heard:
    """Passes everything on.

    Args:
        dynamics: What imagines.
        tell: Called in the thread of the search after every rollout; what it raises ends it.
    """

    def __init__(self, dynamics: Dynamics, tell: Callable[[], None]) -> None:
        self._dynamics, self._tell = dynamics, tell

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict latents, see `protocols.Dynamics`."""
        latents = self._dynamics.rollout(context, blocks)
        self._tell()
        return latents


def heard(dynamics: Dynamics, tell: Callable[[], None]) -> Dynamics:
    """Return dynamics that tell of their answers; those that are captured whole stay silent."""
    return dynamics if isinstance(dynamics, Capturable) else Heard(dynamics, tell)
