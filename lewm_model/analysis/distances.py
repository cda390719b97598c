"""Latent distance against physical distance, one by one: how far does the cost reach?

The planner's cost is the squared latent distance to the goal. Where it no longer grows with the
distance of a joint or an object, candidates that bring it nearer look no better than others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_model.data.measured_states import Measured, STILL
from lewm_model.quantities import Quantity
import numpy as np
import torch
from torch import Tensor

ANGLE_BIN = 0.1        # width of a bin of physical distance of angles [rad]
BINS = 30              # bins over the span of any other quantity; angles have 31 in half a turn
OTHERS_WITHIN = 1.5    # pairs count for a quantity if every other differs by fewer bins
MIN_PAIRS = 20         # fewer pairs are no median
FLAT = 0.1             # share of the steepest slope that counts as flat
_SLOPE_BINS = 3        # bins over which a slope is taken, against noise
_FOLLOWS = 0.25        # of the usual difference: what differs by less where all others are equal
#                        follows from them


@dataclass(frozen=True)
class DistanceCurve:
    """Squared latent distance of pairs of frames that differ in one quantity, n bins."""

    quantity: Quantity
    bin: float                # width of a bin [unit]
    distance: np.ndarray      # (n,) centres of the bins [unit]
    median: np.ndarray        # (n,) squared latent distance
    low: np.ndarray           # (n,) first quartile
    high: np.ndarray          # (n,) third quartile
    pairs: int

    @property
    def unit(self) -> str:
        """Unit of the distances."""
        return 'rad' if self.quantity.kind == 'quaternion' else self.quantity.unit

    @property
    def saturation(self) -> float | None:
        """Physical distance [unit] at which the median becomes flat; None if it does not."""
        return saturation(self.distance, self.median)


def saturation(distance: np.ndarray, values: np.ndarray) -> float | None:
    """Find where a curve stops rising.

    Rule: the smallest distance from which the curve climbs to no later point, 3 bins away or
    more, at over 10 % of the steepest slope (over 3 bins). A falling curve counts as flat.

    Args:
        distance: Ascending, (n,).
        values: The curve, (n,).

    Returns:
        That distance; None if the curve rises to its end or has too few points.
    """
    if len(distance) < 2 * _SLOPE_BINS:
        return None
    first, later = np.triu_indices(len(distance), k=_SLOPE_BINS)   # fewer bins would be noise
    slopes = (values[later] - values[first]) / (distance[later] - distance[first])
    steepest = slopes[later - first == _SLOPE_BINS].max()
    ahead = np.full(len(distance) - _SLOPE_BINS, -np.inf)
    np.maximum.at(ahead, first, slopes)
    flat = np.flatnonzero(ahead <= max(FLAT * steepest, 0))
    return float(distance[flat[0]]) if len(flat) else None


def distance_curves(latents: Tensor, states: Sequence[Measured]) -> list[DistanceCurve]:
    """Compare all pairs of frames that differ in one quantity only.

    Angles are compared around the turn, as the pictures show them. A quantity that follows from
    those before it, such as the place of a tip from the joints, would differ in every pair: it
    gets no curve, and does not have to be equal.

    Args:
        latents: Of frames of many episodes, (N, D).
        states: What may differ, each with the values of these frames; what shows in a picture.

    Returns:
        A curve for each quantity with enough pairs.
    """
    first, second = np.triu_indices(len(latents), k=1)
    apart = {one.quantity: one.quantity.error(one.values[first], one.values[second])
             for one in states}
    bins = {one.quantity: _bin(one) for one in states}
    free = _independent(apart, bins)
    squared = torch.cdist(latents.double(), latents.double()).square().numpy()[first, second]
    curves = []
    for quantity in free:
        alone = _near({other: apart[other] for other in free if other != quantity}, bins,
                      len(squared))
        curve = _curve(quantity, bins[quantity], apart[quantity][alone], squared[alone])
        if curve is not None:
            curves.append(curve)
    return curves


def _bin(one: Measured) -> float:
    if one.quantity.kind in ('angle', 'quaternion'):
        return ANGLE_BIN
    return float(np.ptp(one.values)) / BINS or 1.0   # 1: it never moves


def _near(apart: dict[Quantity, np.ndarray], bins: dict[Quantity, float], count: int
          ) -> np.ndarray:
    """Return which pairs are equal in all these quantities, bool (count,)."""
    return np.logical_and.reduce([np.ones(count, dtype=bool), *(
        difference < OTHERS_WITHIN * bins[one] for one, difference in apart.items())])


def _independent(apart: dict[Quantity, np.ndarray], bins: dict[Quantity, float]
                 ) -> list[Quantity]:
    """Leave out what never differs, or not between frames that are equal in those before it."""
    free: list[Quantity] = []
    for one, difference in apart.items():
        equal = _near({other: apart[other] for other in free}, bins, len(difference))
        follows = free and equal.sum() >= MIN_PAIRS and (
            difference[equal].mean() < _FOLLOWS * difference.mean())
        if difference.max() > STILL and not follows:
            free.append(one)
    return free


def _curve(quantity: Quantity, width: float, distance: np.ndarray, squared: np.ndarray
           ) -> DistanceCurve | None:
    bins = (distance / width).astype(int)
    kept = [number for number, count in enumerate(np.bincount(bins)) if count >= MIN_PAIRS]
    if not kept:
        return None
    low, median, high = np.array([np.quantile(squared[bins == number], (0.25, 0.5, 0.75))
                                  for number in kept]).T
    return DistanceCurve(quantity, width, (np.array(kept) + 0.5) * width, median, low, high,
                         len(squared))
