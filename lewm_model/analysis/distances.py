"""Latent distance against physical distance, joint by joint: how far does the cost reach?

The planner's cost is the squared latent distance to the goal. Where it no longer grows with the
distance of a joint, candidates that bring the joint nearer look no better than others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BIN = 0.1              # width of a bin of physical distance [rad]
OTHERS_WITHIN = 0.15   # pairs count for a joint if every other joint differs by less [rad]
MIN_PAIRS = 20         # fewer pairs are no median
FLAT = 0.1             # share of the steepest slope that counts as flat
_SLOPE_BINS = 3        # bins over which a slope is taken, against noise


@dataclass(frozen=True)
class DistanceCurve:
    """Squared latent distance of pairs of frames that differ in one joint, n bins."""

    joint: str
    distance: np.ndarray      # (n,) centres of the bins [rad]
    median: np.ndarray        # (n,) squared latent distance
    low: np.ndarray           # (n,) first quartile
    high: np.ndarray          # (n,) third quartile
    pairs: int

    @property
    def saturation(self) -> float | None:
        """Physical distance [rad] at which the median becomes flat; None if it does not."""
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


def joint_difference(angles: np.ndarray, others: np.ndarray, full_turn: np.ndarray) -> np.ndarray:
    """Return absolute differences (..., P) of joint angles; on the circle where a joint turns."""
    difference = np.abs(angles - others)
    around = np.abs((difference + np.pi) % (2 * np.pi) - np.pi)
    return np.where(full_turn, around, difference)


def distance_curves(latents: Tensor, angles: np.ndarray, names: list[str]) -> list[DistanceCurve]:
    """Compare all pairs of frames that differ in one joint only.

    A joint that was recorded over more than a full turn is compared on the circle.

    Args:
        latents: Of frames of many episodes, (N, D).
        angles: Their joint angles, (N, P) [rad].
        names: Of the joints, P.

    Returns:
        A curve per joint; joints with too few pairs have none.
    """
    full_turn = np.ptp(angles, axis=0) > 2 * np.pi
    first, second = np.triu_indices(len(angles), k=1)
    difference = joint_difference(angles[first], angles[second], full_turn)
    squared = torch.cdist(latents.double(), latents.double()).square().numpy()[first, second]
    curves = []
    for joint, name in enumerate(names):
        others = np.delete(difference, joint, axis=1)
        alone = (others < OTHERS_WITHIN).all(axis=1)
        curve = _curve(name, difference[alone, joint], squared[alone])
        if curve is not None:
            curves.append(curve)
    return curves


def _curve(name: str, distance: np.ndarray, squared: np.ndarray) -> DistanceCurve | None:
    bins = (distance / BIN).astype(int)
    kept = [number for number, count in enumerate(np.bincount(bins)) if count >= MIN_PAIRS]
    if not kept:
        return None
    low, median, high = np.array([np.quantile(squared[bins == number], (0.25, 0.5, 0.75))
                                  for number in kept]).T
    return DistanceCurve(name, (np.array(kept) + 0.5) * BIN, median, low, high, len(squared))
