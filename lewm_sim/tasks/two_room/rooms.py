"""The shortest way of the robot through two rooms with one door.

Lengths in metres, origin in the middle, x to the right, y up; positions are of the robot's centre.
"""

from __future__ import annotations

import numpy as np

RADIUS = 0.07                  # of the robot
INNER = 0.98                   # half the inside of both rooms together
WALL = 0.05                    # half the thickness of the wall between them
DOOR, HALF_DOOR = 0.63, 0.14   # y of the door's centre, half its width
REACH = INNER - RADIUS         # where the centre can be, from the middle


def way(start: np.ndarray, goal: np.ndarray, clearance: float = RADIUS) -> np.ndarray:
    """Return the corners of the shortest way, (n, 2), from `start` (2,) to `goal` (2,), included.

    It leads through one point of each end of the door that lies between the two. Convex: the
    points are found one after the other, each on the line between its neighbours.

    Args:
        start: Where the robot is.
        goal: Where it shall be.
        clearance: Of the centre from the posts of the door.
    """
    low, high = sorted((start[0], goal[0]))
    ends = [x for x in (-WALL, WALL) if low < x < high]
    if start[0] > goal[0]:
        ends.reverse()
    half = HALF_DOOR - clearance
    points = np.array([start, *((x, DOOR) for x in ends), goal], dtype=np.float64)
    for _ in range(8 if len(ends) > 1 else 1):
        for place in range(1, len(points) - 1):
            before, after = points[place - 1], points[place + 1]
            share = (points[place, 0] - before[0]) / (after[0] - before[0])
            straight = before[1] + share * (after[1] - before[1])
            points[place, 1] = np.clip(straight, DOOR - half, DOOR + half)
    return points


def length(points: np.ndarray) -> float:
    """Return the length of a way (n, 2)."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def random_place(rng: np.random.Generator, room: int) -> np.ndarray:
    """Draw a place (2,) in a room, 0 on the left and 1 on the right."""
    x = rng.uniform(WALL + RADIUS, REACH)
    return np.array([x if room else -x, rng.uniform(-REACH, REACH)])


def room_of(place: np.ndarray) -> int:
    """Return the room of a place (2,)."""
    return int(place[0] > 0)
