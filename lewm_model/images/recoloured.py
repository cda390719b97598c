"""Whether two pictures differ in colours and light alone, or in where things are.

If only colours changed, places that had one colour before have one colour now, whatever it is, and
the other way round. So each colour of one picture is given the mean change of its places; what
that does not explain has moved, appeared or is covered.
"""

from __future__ import annotations

import numpy as np

_BITS = 4           # of each of red, green and blue that tell colours apart: 16 levels
_SIDE = 64          # about as many pixels, in rows and columns, are looked at
_LEVELS = 6         # a pixel has changed if red, green or blue did by more
_CHANGED = 1 / 3    # of the pixels, at least
_UNEXPLAINED = 0.5  # measured in docs/results/surprise.md: colours and light are below 0.43,
#                     cameras that moved above 0.62


def recoloured(before: np.ndarray, after: np.ndarray) -> bool:
    """Tell whether much of a picture changed, and that by colours or light rather than by motion.

    Args:
        before: uint8 (H, W, 3).
        after: uint8 (H, W, 3), a moment later, of the same camera and size.
    """
    step = max(min(before.shape[:2]) // _SIDE, 1)
    first, second = before[::step, ::step], after[::step, ::step]
    change = np.abs(first.astype(np.int16) - second).max(axis=2)
    return bool((change > _LEVELS).mean() >= _CHANGED
                and unexplained(first, second) < _UNEXPLAINED)


def unexplained(before: np.ndarray, after: np.ndarray) -> float:
    """Return how much of a difference is not a change of colours.

    Args:
        before: uint8 (H, W, 3).
        after: uint8 (H, W, 3), of the same camera and size.

    Returns:
        0: every colour became another one and could become it again. 1: things are elsewhere, or
        the second picture does not tell the first one's colours apart any more. It is the larger
        of three shares of squared error: what the best map of colours leaves of the difference,
        each way, and what the map back leaves of all structure of the first picture. NaN if the
        pictures are equal or the first has no structure.
    """
    first, second = (np.asarray(one).reshape(-1, 3).astype(np.float64) for one in (before, after))
    difference = ((second - first) ** 2).sum()
    structure = ((first - first.mean(axis=0)) ** 2).sum()
    if difference == 0 or structure == 0:
        return float('nan')
    there, back = _left(first, second - first), _left(second, first - second)
    return float(max(there / difference, back / difference, back / structure))


def _left(colours: np.ndarray, change: np.ndarray) -> float:
    """Return the squared error of giving each colour its mean change, both (N, 3)."""
    levels = colours.astype(np.int64) >> (8 - _BITS)
    colour = (levels[:, 0] << 2 * _BITS) + (levels[:, 1] << _BITS) + levels[:, 2]
    places = np.maximum(np.bincount(colour), 1)
    means = np.stack([np.bincount(colour, channel) for channel in change.T], axis=1)
    return ((change - (means / places[:, None])[colour]) ** 2).sum()
