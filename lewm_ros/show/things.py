"""Which of the quantities that a bundle reads are places, and of what. No rclpy, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import re

from lewm_model.heads.readable import Readable
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

    def poses(self, values: np.ndarray) -> np.ndarray:
        """Return x, y, z [m] and yaw [rad], (..., 4), of quantities (..., Q); 0 where unread."""
        found = np.zeros((*values.shape[:-1], 4))
        found[..., :len(self.axes)] = values[..., list(self.axes)]
        if self.yaw is not None:
            found[..., 3] = values[..., self.yaw]
        return found


def things_of(readable: Sequence[Readable]) -> tuple[Thing, ...]:
    """Return what has x and y in metres among the quantities, in their order."""
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
            axes = tuple(once[axis] for axis in 'xyz' if axis in once)
            found.append(Thing(of or 'robot', axes, tuple(readable[axis].name for axis in axes),
                               once.get('yaw')))
    return tuple(found)
