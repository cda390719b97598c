"""Which of the quantities that a bundle reads are places, and of what. No rclpy, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
import re

from lewm_model.heads.readable import Readable
from lewm_model.robots.clicks import Clicks
import numpy as np

_AXIS = re.compile(r'(?:.*[ _.])?([xyz])')
JOINT = 'joint'    # a joint's position is no place, not even of a linear one


@dataclass(frozen=True)
class Thing:
    """Something whose place is read: columns of quantities."""

    name: str
    axes: tuple[int, ...]     # of x, y and perhaps z [m]
    names: tuple[str, ...]    # the same quantities
    yaw: int | None = None    # of the only angle of the same thing [rad]
    yaw_name: str = ''        # the same quantity
    ahead: float = 0.0        # by so much it is ahead of the arrow, see `Clicks.yaw_ahead` [rad]

    def poses(self, values: np.ndarray) -> np.ndarray:
        """Return x, y, z [m] and yaw [rad], (..., 4), of quantities (..., Q); 0 where unread."""
        found = np.zeros((*values.shape[:-1], 4))
        found[..., :len(self.axes)] = values[..., list(self.axes)]
        if self.yaw is not None:
            found[..., 3] = values[..., self.yaw] - self.ahead
        return found

    def pose_said(self, said: Mapping[str, float]) -> np.ndarray | None:
        """Return the pose (4,) that some quantities say; yaw NaN: they leave the turn open.

        None: they do not say where it is.
        """
        if not set(self.names) <= set(said):
            return None
        pose = np.zeros(4)
        pose[:len(self.names)] = [said[name] for name in self.names]
        pose[3] = said.get(self.yaw_name, math.nan) - self.ahead
        return pose


def things_of(readable: Sequence[Readable], clicks: Clicks | None = None) -> tuple[Thing, ...]:
    """Return what has x and y in metres among the quantities, in their order.

    Args:
        readable: The quantities.
        clicks: Of the robot file: arrows that are drawn are those that are clicked.
    """
    groups: dict[str, dict[str, list[int]]] = {}
    for column, one in enumerate(readable):
        axis = _AXIS.fullmatch(one.name)
        if one.of != JOINT and one.kind == 'position' and one.unit == 'm' and axis:
            groups.setdefault(one.of, {}).setdefault(axis.group(1), []).append(column)
        elif one.kind == 'angle':
            groups.setdefault(one.of, {}).setdefault('yaw', []).append(column)
    found = []
    for of, columns in groups.items():
        once = {axis: places[0] for axis, places in columns.items() if len(places) == 1}
        if 'x' in once and 'y' in once:
            axes, yaw = tuple(once[axis] for axis in 'xyz' if axis in once), once.get('yaw')
            turn = '' if yaw is None else readable[yaw].name
            found.append(Thing(
                of or 'robot', axes, tuple(readable[axis].name for axis in axes), yaw, turn,
                clicks.yaw_ahead if clicks is not None and turn == clicks.yaw else 0.0))
    return tuple(found)
