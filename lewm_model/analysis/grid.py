"""A grid of states that a simulator was put into, and whether latents lie as the states do.

Recorded frames show where a robot has been; a grid shows two quantities alone, evenly, with
everything else held still.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.data.measured_states import Measured
import numpy as np
import torch
from torch import Tensor

_SAME = 9    # decimals; distances of a grid that are closer than this are ties


@dataclass(frozen=True, eq=False)
class StateGrid:
    """N states that differ in two quantities, and how each looks."""

    axes: tuple[Measured, Measured]    # the values that were set, (N, 1) each
    frames: np.ndarray                 # uint8 (N, H, W, 3)
    left_out: int                      # states of the whole grid that cannot be

    @property
    def name(self) -> str:
        """Say what differs."""
        return ' and '.join(axis.quantity.name for axis in self.axes)

    @property
    def places(self) -> np.ndarray:
        """Where each state lies in the grid, (N, 2)."""
        return np.concatenate([axis.values for axis in self.axes], axis=1)


def distance_correlation(latents: Tensor, grid: StateGrid) -> float:
    """Return Spearman's rank correlation of latent distances with those in the grid.

    Over all pairs of states. In the grid each axis counts as a share of the largest distance
    along it, angles around the turn.

    Args:
        latents: Of the frames, (N, D).
        grid: N states.
    """
    first, second = np.triu_indices(len(latents), k=1)
    apart = np.stack([axis.quantity.error(axis.values[first], axis.values[second])
                      for axis in grid.axes], axis=1)
    true = np.linalg.norm(apart / np.maximum(apart.max(axis=0), 1e-12), axis=1)
    seen = torch.cdist(latents.double(), latents.double()).numpy()[first, second]
    return float(np.corrcoef(_ranks(true), _ranks(seen))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, (n,); equal ones share the mean of theirs."""
    _, place, counts = np.unique(values.round(_SAME), return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]
