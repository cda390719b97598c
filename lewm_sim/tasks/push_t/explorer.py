"""Wandering data: way-points near and through the T, which is pushed on the way or not."""

from __future__ import annotations

import numpy as np

_NEAR = 0.13             # standard deviation of way-points around the T [m]
_THROUGH = 0.6           # share of the way-points that lie behind the T
_REACH = 0.222           # of the disk, in x and y [m]
_SPEEDS = (0.06, 0.22)   # [m/s]
_NOISE = 0.04            # of each action [m/s]
_STEPS = (4, 14)         # after which another way-point is drawn, if it is not reached before


class Explorer:
    """Goes from one way-point to the next.

    Args:
        rng: Of this episode.
        dt_s: Control step.
    """

    def __init__(self, rng: np.random.Generator, dt_s: float) -> None:
        self._rng, self._dt_s = rng, dt_s
        self._left = 0

    def act(self, truth: np.ndarray) -> np.ndarray:
        """Return the velocity of the disk (2,) [m/s]; truth: disk x, y, T x, y, angle."""
        pusher, block = truth[:2], truth[2:4]
        if self._left == 0 or np.linalg.norm(self._goal - pusher) < 0.01:
            self._draw(pusher, block)
        self._left -= 1
        way = self._goal - pusher
        distance = np.linalg.norm(way)
        speed = min(self._speed, distance / self._dt_s)
        action = speed * way / max(distance, 1e-9) + self._rng.normal(size=2) * _NOISE
        return np.clip(action, -0.25, 0.25)

    def _draw(self, pusher: np.ndarray, block: np.ndarray) -> None:
        rng = self._rng
        if rng.random() < _THROUGH:
            towards = block - pusher
            towards = towards / max(np.linalg.norm(towards), 1e-9)
            goal = block + rng.uniform(-0.02, 0.1) * towards + rng.normal(size=2) * 0.04
        else:
            goal = block + rng.normal(size=2) * _NEAR
        self._goal = np.clip(goal, -_REACH, _REACH)
        self._speed = rng.uniform(*_SPEEDS)
        self._left = int(rng.integers(*_STEPS))
