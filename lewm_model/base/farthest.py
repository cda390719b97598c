"""Choosing points that are far from each other."""

from __future__ import annotations

import numpy as np


def farthest_from(points: np.ndarray, first: int, count: int, least: float = -1.0) -> list[int]:
    """Choose rows of (N, k), each the farthest from those chosen before.

    Args:
        points: Finite.
        first: The row to begin with.
        count: Rows wanted; fewer come out where there are fewer.
        least: Stop when no row is further away than this, squared.
    """
    chosen, apart = [first], np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        apart = np.minimum(apart, np.square(points - points[chosen[-1]]).sum(axis=1))
        farthest = int(apart.argmax())
        if apart[farthest] <= least:
            break
        chosen.append(farthest)
    return chosen
