"""An expert that pushes the T into a pose, from the simulator's truth, and stops when it is there.

At each step it looks along the outline of the T for the push that brings it nearest to its target
for the way that the disk has to go. It goes around the T to where that push begins, and pushes on
until another is much better. The motion of the T that it counts on is that of `shape.twists`.
"""

from __future__ import annotations

from lewm_sim.tasks.push_t.shape import (
    clearance,
    contacts,
    GYRATION,
    OUTLINE,
    RADIUS,
    twists,
)
import numpy as np

_FRICTION = 0.6              # counted on; the scene has 0.8
_SLANTS = (-0.45, 0.0, 0.45)  # of a push against the face's normal [rad]
_BEFORE = 0.014              # a push begins that far from the face [m]
_SAFE = 0.006                # ways lead past the T at this distance [m]
_LONGEST = 0.08              # of a push that is planned [m]
_TRAVEL_M = 0.02             # what beginning a new push costs, as a way [m]
_NEAR = 0.018                # pushes that the disk can go on with without leaving the T [m]
_STAY = 0.6                  # a push goes on while it is this share as good as the best
_REACH = 0.222               # of the disk, in x and y [m]
_INSIDE = 0.12               # the T is not pushed nearer to the rim, in x and y [m]
_SPEED, _PUSH_SPEED = 0.24, 0.16   # [m/s]

# Way-points around the T, one at each of its corners.
CORNERS = OUTLINE + (RADIUS + 2 * _SAFE) * np.array([
    (1, 1), (-1, 1), (-1, -1), (-1, -1), (-1, -1), (1, -1), (1, -1), (1, -1)])


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Return points (..., 2) turned by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


def wrapped(angle: float) -> float:
    """Return an angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


class PushExpert:
    """Pushes the T to one target pose; then `act` returns None.

    Args:
        target: x, y [m] and angle [rad] of the T.
        dt_s: Control step.
        position: Within this distance it has arrived [m].
        angle: And within this angle [rad].
    """

    def __init__(self, target: np.ndarray, dt_s: float, *, position: float = 0.01,
                 angle: float = 0.15) -> None:
        self.target = np.asarray(target, float)
        self._dt_s, self._position, self._angle = dt_s, position, angle
        found = contacts()
        count = len(_SLANTS)
        self._points = np.repeat(found.points, count, axis=0)
        self._inward = np.repeat(found.inward, count, axis=0)
        slants = np.tile(_SLANTS, len(found.points))
        self._ways = np.stack([turned(one, slant) for one, slant in
                               zip(self._inward, slants, strict=True)])
        twist = twists(self._points, self._ways, self._inward, _FRICTION)
        begins = self._points - RADIUS * self._inward - _BEFORE * self._ways
        usable = np.isfinite(twist).all(axis=-1) & (clearance(begins) > RADIUS + _SAFE)
        self._points, self._inward = self._points[usable], self._inward[usable]
        self._ways, self._twists = self._ways[usable], twist[usable]
        self._centres = self._points - RADIUS * self._inward      # of the disk, touching
        self._begins = begins[usable]
        self._between = np.stack([self._lengths(one, CORNERS) for one in CORNERS])
        self._last = np.stack([self._lengths(one, self._begins) for one in CORNERS])
        self._push: int | None = None
        self._touching = False

    def arrived(self, block: np.ndarray) -> bool:
        """Tell whether the T (x, y, angle) is at the target."""
        return (np.linalg.norm(block[:2] - self.target[:2]) < self._position
                and abs(wrapped(block[2] - self.target[2])) < self._angle)

    def act(self, pusher: np.ndarray, block: np.ndarray) -> np.ndarray | None:
        """Return the velocity of the disk (2,) [m/s], or None when the T is at the target."""
        if self.arrived(block):
            return None
        here = turned(pusher - block[:2], -block[2])              # of the disk, in the T's frame
        ways, first = self._to_corners(here, block)
        near = self._touching & (np.linalg.norm(self._centres - here, axis=-1) < _NEAR)
        reach, gain = self._judge(here, block, ways, near)
        if self._push is not None:                # going on is better than beginning anew
            gain = np.where(near if self._touching else np.arange(len(gain)) == self._push,
                            gain / _STAY, gain)
        push = int(np.argmax(gain))
        begin, centre, way = self._begins[push], self._centres[push], self._ways[push]
        beside = here - centre
        self._touching = bool(near[push]) or bool(np.linalg.norm(here - begin) < 0.008) or (
            self._touching and push == self._push)
        self._push = push
        if self._touching:
            speed = min(_PUSH_SPEED, 0.04 + reach[push] / (3 * self._dt_s))
            sideways = np.array([-way[1], way[0]])
            velocity = speed * way - 3.0 * (beside @ sideways) * sideways
        else:
            corner = int(np.argmin(ways + self._last[:, push]))
            straight = np.isfinite(self._lengths(here, begin[None])[0])
            leads = begin if straight else CORNERS[first[corner]]
            distance = np.linalg.norm(leads - here)
            velocity = min(_SPEED, distance / self._dt_s) * (leads - here) / max(distance, 1e-9)
        return turned(velocity, block[2])

    def _judge(self, here: np.ndarray, block: np.ndarray, ways: np.ndarray,
               near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far each push should go [m], and what it brings for its way, (N,)."""
        scale = np.array([1.0, 1.0, GYRATION])
        error = np.array([*turned(self.target[:2] - block[:2], -block[2]),
                          wrapped(self.target[2] - block[2])]) * scale
        twist = self._twists * scale
        reach = np.clip((twist @ error) / (twist ** 2).sum(axis=-1), 0.0, _LONGEST)
        brings = np.linalg.norm(error) - np.linalg.norm(error - reach[:, None] * twist, axis=-1)
        travel = np.minimum(self._lengths(here, self._begins),
                            (ways[:, None] + self._last).min(axis=0)) + _TRAVEL_M
        travel[near] = 0.0
        world = block[:2] + turned(self._begins, block[2])
        gain = brings / (reach + 0.5 * travel + 0.01)
        gain[(np.abs(world) > _REACH).any(axis=-1)] = 0.0
        ends = block[:2] + turned(self._twists[:, :2] * (reach[:, None] + 0.02), block[2])
        gain[(np.abs(ends) > np.maximum(_INSIDE, np.abs(block[:2]))).any(axis=-1)] *= 0.2
        return reach, gain

    def _to_corners(self, here: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ways to the corners [m], and the corner that each begins with, (8,)."""
        usable = (np.abs(block[:2] + turned(CORNERS, block[2])) <= _REACH).all(axis=-1)
        ways = np.where(usable, self._lengths(here, CORNERS), np.inf)
        first = np.arange(len(CORNERS))
        for _ in range(5):                        # corners on the way, at most
            longer = ways[:, None] + self._between
            over = longer.argmin(axis=0)
            better = (longer.min(axis=0) < ways) & usable
            first = np.where(better, first[over], first)
            ways = np.where(better, longer.min(axis=0), ways)
        return ways, first

    def _lengths(self, start: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return lengths of straight ways of a disk, infinite where they hit the T, (N,)."""
        shares = np.linspace(0, 1, 14)[:, None]
        line = start + shares * (ends[:, None] - start)           # (N, 14, 2)
        far = np.linalg.norm(ends - start, axis=-1)
        # Where it starts it may be nearer, if it goes away from there.
        least = np.minimum(RADIUS + _SAFE, clearance(start) + 0.3 * shares[:, 0] * far[:, None])
        return np.where((clearance(line) >= least - 1e-4).all(axis=-1), far, np.inf)
