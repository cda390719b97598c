"""Scenes with things in them, and photographs of them that were taken otherwise."""

from __future__ import annotations

from lewm_model.images.decode import resize
from lewm_model.images.shift import moved
import numpy as np


def textured(size, rng):
    """Make a scene full of soft spots with some boards on it, uint8 (size, size, 3)."""
    picture = resize(rng.integers(40, 200, (12, 12, 3)).astype(np.uint8), size, size).copy()
    for _ in range(12):
        top, left = rng.integers(0, size - size // 8, 2)
        picture[top:top + size // 8, left:left + size // 6] = rng.integers(20, 220, 3)
    return picture


def walled(size):
    """Make a bright floor within dark walls that stand around it and across."""
    picture, wall = np.full((size, size, 3), 235, np.uint8), size // 16
    picture[:wall] = picture[-wall:] = picture[:, :wall] = picture[:, -wall:] = (30, 40, 60)
    picture[size // 3:, size // 2:size // 2 + wall] = (30, 40, 60)
    return picture


def put(picture, top, left, height, width, colour=(200, 40, 30)):
    """Lay a thing with a pattern into a picture."""
    picture = picture.copy()
    thing = picture[top:top + height, left:left + width]
    thing[:] = colour
    thing[height // 4:height // 2, width // 4:width // 2] = 255 - np.array(colour)
    return picture


def pair(scene, rng, share):
    """Put a thing into a scene twice, at two places that are `share` of it together."""
    size = len(scene)
    side = int(size * (share / 2) ** 0.5)
    (one, other), colour = rng.integers(0, size - side + 1, (2, 2)), rng.integers(0, 256, 3)
    return put(scene, *one, side, side, colour), put(scene, *other, side, side, colour)


def taken(picture, gain=1.0, offset=0.0, shift=(0.0, 0.0), noise=0.0, rng=None):
    """Take a picture otherwise."""
    levels = moved(picture.astype(np.float64), shift) * gain + offset
    if noise:
        levels += rng.normal(0, noise, levels.shape)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
