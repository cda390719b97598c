"""Pictures moved by fractions of a pixel, and how far one is moved against another. NumPy only.

A shift is (right, down) [px]: where a thing is in the second picture, less where in the first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Shift = tuple[float, float]
STAYS: Shift = (0.0, 0.0)
MOST_PX = 4                                # looked for, each way
EDGE = 4.0                                 # levels a pixel; weaker slopes are noise
_NEAR_PX = (2.0, 2.0, 1.5, 1.0, 0.6, 0.6)  # slopes that pixels may be off to count, in turn
_NOISE = 8.0                               # levels that they may be off in any case
_FEWEST = 8                                # pixels that count


def moved(picture: np.ndarray, shift: Shift) -> np.ndarray:
    """Move a picture, linearly between the two nearest pixels; its border is repeated.

    Args:
        picture: Floating point (H, W, C).
        shift: Right and down [px].
    """
    for axis, pixels in ((0, shift[1]), (1, shift[0])):
        if pixels:
            picture = _along(picture, pixels, axis)
    return picture


def shown(shape: tuple[int, ...], shift: Shift) -> np.ndarray:
    """Tell which pixels of a moved picture are no repeated border, bool (H, W)."""
    down, right = (np.arange(count) - pixels
                   for count, pixels in zip(shape[:2], (shift[1], shift[0]), strict=True))
    return (((down >= 0) & (down <= shape[0] - 1))[:, None]
            & ((right >= 0) & (right <= shape[1] - 1)))


def steepness(picture: np.ndarray) -> np.ndarray:
    """Return the largest slope of red, green and blue, (H, W) [levels/px]."""
    down, right = np.gradient(picture, axis=(0, 1))
    return np.hypot(right, down).max(axis=2)


def whole_shift(first: np.ndarray, second: np.ndarray) -> Shift:
    """Return the shift in whole pixels that lines up most edges of two pictures.

    Edges are compared by their direction alone, so that neither light nor a few strong ones
    decide.

    Args:
        first: Floating point (H, W, 3), levels in [0, 255], at least 16 px wide and high.
        second: Likewise.
    """
    most, (height, width) = MOST_PX, first.shape[:2]
    one = _directions(first)
    other = _directions(second)[most:height - most, most:width - most].conj()
    scores = {}
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            part = one[most - down:height - most - down, most - right:width - most - right]
            scores[float(right), float(down)] = ((part * other).real.sum()
                                                 - 0.01 * (abs(right) + abs(down)))
    return max(scores, key=scores.get)


def fine_shift(first: np.ndarray, second: np.ndarray, start: Shift,
               seen: Callable[[np.ndarray], np.ndarray]) -> Shift:
    """Return a shift to fractions of a pixel: least squares on slopes, as Lucas and Kanade do.

    Args:
        first: Floating point (H, W, 3), levels in [0, 255].
        second: Likewise.
        start: At most about a pixel off.
        seen: Brings the first picture to the light of the second one.
    """
    shift = np.array(start)
    for near_px in _NEAR_PX:
        there = seen(moved(first, (shift[0], shift[1])))
        rest = second - there
        down, right = np.gradient(there, axis=(0, 1))
        steep = np.hypot(right, down)
        used = ((np.abs(rest) <= _NOISE + near_px * steep) & (steep > EDGE)
                & shown(first.shape, (shift[0], shift[1]))[..., None])
        if used.sum() < _FEWEST:
            break
        slopes = np.stack([right[used], down[used]], axis=1).astype(np.float64)
        # A step further moves the picture against its slopes: rest = -slopes @ step.
        step = np.linalg.lstsq(slopes.T @ slopes, -slopes.T @ rest[used], rcond=0.02)[0]
        shift = np.clip(shift + np.clip(step, -1, 1), -MOST_PX, MOST_PX)
    return float(shift[0]), float(shift[1])


def _along(picture: np.ndarray, pixels: float, axis: int) -> np.ndarray:
    count = picture.shape[axis]
    places = np.clip(np.arange(count) - pixels, 0, count - 1)
    below = np.floor(places).astype(int)
    share = (places - below).astype(picture.dtype).reshape(
        [-1 if one == axis else 1 for one in range(picture.ndim)])
    return (picture.take(below, axis) * (1 - share)
            + picture.take(np.minimum(below + 1, count - 1), axis) * share)


def _directions(picture: np.ndarray) -> np.ndarray:
    """Return which way a picture gets brighter, complex (H, W) of size 1; 0: nowhere much."""
    down, right = np.gradient(picture.mean(axis=2))
    slope = right + 1j * down
    size = np.abs(slope)
    return np.where(size > EDGE, slope / np.maximum(size, EDGE), 0)
