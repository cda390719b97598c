"""The T and the disk as flat shapes: how far apart they are, and where a disk can touch the T.

Everything is in the T's own frame: origin in the centre of mass, the bar across +y, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RADIUS = 0.028                       # of the disk
GYRATION = 0.0615                    # of the T: square root of inertia over mass
# Centre and half size of bar and stem, as in scene.xml.
BOXES = (((0.0, 0.036), (0.084, 0.021)), ((0.0, -0.048), (0.021, 0.063)))
OUTLINE = np.array([(0.084, 0.057), (-0.084, 0.057), (-0.084, 0.015), (-0.021, 0.015),
                    (-0.021, -0.111), (0.021, -0.111), (0.021, 0.015), (0.084, 0.015)])
_SPACING = 0.012                     # of contacts along a face
_CORNER = 0.006                      # nothing is pushed at that near a corner


def clearance(points: np.ndarray) -> np.ndarray:
    """Return how far points (..., 2) are from the T; below 0: inside."""
    found = []
    for centre, half in BOXES:
        beyond = np.abs(points - np.array(centre)) - np.array(half)
        found.append(np.linalg.norm(np.maximum(beyond, 0), axis=-1)
                     + np.minimum(beyond.max(axis=-1), 0))
    return np.minimum(*found)


@dataclass(frozen=True)
class Contacts:
    """Where a disk can touch the T, N places."""

    points: np.ndarray     # (N, 2), on the outline
    inward: np.ndarray     # (N, 2), unit vectors into the T


def contacts() -> Contacts:
    """Return contacts along all faces that a disk reaches."""
    points, inward = [], []
    for first, second in zip(OUTLINE, np.roll(OUTLINE, -1, axis=0), strict=True):
        along = second - first
        length = np.linalg.norm(along)
        along = along / length
        into = np.array([-along[1], along[0]])       # the outline runs counter-clockwise
        for way in np.arange(_CORNER, length - _CORNER / 2, _SPACING):
            points.append(first + way * along)
            inward.append(into)
    found = Contacts(np.array(points), np.array(inward))
    free = clearance(found.points - RADIUS * found.inward) > RADIUS - 1e-6
    return Contacts(found.points[free], found.inward[free])


def twists(points: np.ndarray, directions: np.ndarray, inward: np.ndarray, friction: float
           ) -> np.ndarray:
    """Return how the T moves when it is pushed, per metre of the push, (N, 3).

    The contact sticks where friction allows it, else there is no answer (NaN).

    Args:
        points: Contacts, (N, 2).
        directions: Which way each is pushed, unit vectors (N, 2).
        inward: Normals of the contacts, (N, 2).
        friction: Coefficient.
    """
    # With mass 1 and inertia GYRATION^2, and the arm (-y, x) of a turn at the contact, a force f
    # moves the contact by (1 + arm arm^T / GYRATION^2) f.
    arms = np.stack([-points[:, 1], points[:, 0]], axis=-1)
    mobility = np.eye(2) + arms[:, :, None] * arms[:, None, :] / GYRATION ** 2
    force = np.linalg.solve(mobility, directions[..., None])[..., 0]
    normal = (force * inward).sum(axis=-1)
    across = np.abs(force[:, 0] * inward[:, 1] - force[:, 1] * inward[:, 0])
    turn = (arms * force).sum(axis=-1) / GYRATION ** 2
    found = np.concatenate([force, turn[:, None]], axis=-1)
    found[across > friction * normal] = np.nan
    return found
