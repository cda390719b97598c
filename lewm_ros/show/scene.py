"""What is drawn in space: where the plan leads, where other candidates would, where the goal is.

How a thing is turned is a line from where it is to where its arrow points, the same arrow that
somebody drags in a viewer. No rclpy, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

from lewm_ros.show.things import Thing
from lewm_ros.wire.shapes import Colour, Dots, Label, Line, Shape
import numpy as np

_PLAN, _GOAL, _INK = (0.12, 0.38, 0.75, 1.0), (0.09, 0.55, 0.29, 0.8), (0.13, 0.14, 0.16, 1.0)
_THIN = 0.006        # of a line, as a share of the extent
_LOOK = 0.12         # length of the line in the direction of a thing, likewise
_OVER, _UNDER = 0.012, 0.006   # heights of plan and candidates over the ground where no height is
#                                read, likewise: at 0 they lie in the floor of a robot description


def plan_shapes(poses: Mapping[Thing, np.ndarray], goals: Mapping[Thing, np.ndarray],
                extent: float, block_s: float) -> dict[str, list[Shape]]:
    """Return the way of each thing, the time it takes and its turn then, and where it is wanted.

    Args:
        poses: Of each thing, (1+T, 4): where it is, and after each block.
        goals: Poses (4,) of the things whose place the goal says; yaw NaN: any turn will do.
        extent: Of what training had seen [m]; sizes are shares of it.
        block_s: From one pose to the next [s].
    """
    found: dict[str, list[Shape]] = {}
    for thing, way in poses.items():
        points = _raised(thing, way[:, :3], _OVER * extent)
        found[f'{thing.name}: plan'] = [
            Line(points, _PLAN, _THIN * extent), Dots(points[1:], _PLAN, 3 * _THIN * extent),
            Label(points[-1] + [0.0, 0.0, 6 * _THIN * extent],
                  f'{thing.name} +{(len(way) - 1) * block_s:.2f} s', _INK, 8 * _THIN * extent),
            *_turn(thing, way[-1], extent, _PLAN)]
    for thing, pose in goals.items():
        found[f'{thing.name}: goal'] = [Dots(
            _raised(thing, pose[None, :3], _OVER * extent), _GOAL, 8 * _THIN * extent),
            *_turn(thing, pose, extent, _GOAL)]
    return found


def fan_shapes(fans: Mapping[Thing, np.ndarray], costs: np.ndarray, extent: float
               ) -> dict[str, list[Shape]]:
    """Return where candidates of the search would lead, the best green, the worst red.

    Args:
        fans: Of each thing, (N, 1+T, 4), the best candidate first.
        costs: (N,).
        extent: As in `plan_shapes`.
    """
    colours = cost_colours(costs)
    # the best last: viewers draw in order, and it should not be hidden
    return {thing.name: [Line(_raised(thing, way[:, :3], _UNDER * extent), colour,
                              0.7 * _THIN * extent)
                         for way, colour in reversed(list(zip(fan, colours, strict=True)))]
            for thing, fan in fans.items()}


def _turn(thing: Thing, pose: np.ndarray, extent: float, colour: Colour) -> list[Line]:
    """Return a line in the direction of a pose (4,), unless it has none."""
    if thing.yaw is None or not math.isfinite(pose[3]):
        return []
    ahead = _LOOK * extent * np.array([math.cos(pose[3]), math.sin(pose[3]), 0.0])
    return [Line(_raised(thing, np.stack([pose[:3], pose[:3] + ahead]), _OVER * extent), colour,
                 2 * _THIN * extent)]


def _raised(thing: Thing, points: np.ndarray, height: float) -> np.ndarray:
    """Return points (N, 3) so much higher [m], unless the height of the thing is read."""
    return points if len(thing.axes) == 3 else points + [0.0, 0.0, height]


def cost_colours(costs: np.ndarray) -> list[Colour]:
    """Return a colour for each cost, (N,): green for the least, yellow, red for the most."""
    spread = float(np.ptp(costs)) if len(costs) else 0.0
    shares = (costs - costs.min()) / spread if spread > 0 else np.zeros(len(costs))
    return [(min(1.0, 0.15 + 1.7 * share), min(0.75, 1.5 * (1 - share)), 0.1, 0.8)
            for share in shares.tolist()]


def extent_of(things: Sequence[Thing], lows: np.ndarray, highs: np.ndarray) -> float:
    """Return the largest side of where training had things [m]."""
    axes = [axis for thing in things for axis in thing.axes]
    return float((highs - lows)[axes].max())
