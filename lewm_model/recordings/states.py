"""Measured states from messages: joints by name, or the pose of a base from odometry."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from lewm_model.errors import BagError
from lewm_model.robot import ODOMETRY, RobotDescription
import numpy as np


def joint_order(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return where each of `wanted` is in `names`, or None if some are not there."""
    place = {name: index for index, name in enumerate(names)}
    return [place[name] for name in wanted] if all(name in place for name in wanted) else None


class StateReader:
    """Collects the states of one topic.

    Attributes:
        skipped: Messages without the robot's joints; others may share the topic (a gripper).
    """

    def __init__(self, robot: RobotDescription) -> None:
        self.skipped = 0
        self._robot = robot
        self._first: Any = None
        # plain numbers: an object for each of 500 messages a second would fill the memory
        self._positions, self._velocities = array('d'), array('d')

    def add(self, message: Any) -> bool:
        """Take one message; return False if it does not hold the robot's state."""
        if self._first is None:
            self._first = message
        state = _base(message) if self._robot.state_type == ODOMETRY else _joints(
            message, self._robot.state_names)
        if state is None:
            self.skipped += 1
            return False
        self._positions.extend(state[0])
        self._velocities.extend(state[1])
        return True

    def arrays(self, bag: str, topic: str) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities, float64 (J, P), as added.

        Args:
            bag: Where it is, for the error.
            topic: Likewise.

        Raises:
            BagError: If no message held the robot's joints.
        """
        if not self._positions:
            names = getattr(self._first, 'name', None)
            raise BagError(
                f'{bag}: no message on {topic} has positions for all of '
                f'{", ".join(self._robot.state_names)}; the first one names '
                f'{", ".join(names or ()) or "no joints"}; correct joint_names (or '
                f'state_joint_names) of robot {self._robot.robot!r}')
        shape = (-1, len(self._robot.state_names))
        return (np.array(self._positions).reshape(shape),
                np.array(self._velocities).reshape(shape))

    def unwrap(self, positions: np.ndarray, runs: np.ndarray) -> None:
        """Take the jumps at +-pi out of a yaw, in place, run by run; states sorted by time."""
        if self._robot.state_type != ODOMETRY:
            return
        finite = np.isfinite(positions[:, 2])
        for run in np.unique(runs):
            rows = np.flatnonzero((runs == run) & finite)
            positions[rows, 2] = np.unwrap(positions[rows, 2])


def _joints(message: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    order = joint_order(message.name, names)   # it may differ from message to message
    if order is None or len(message.position) <= max(order):
        return None
    velocity = (message.velocity[order] if len(message.velocity) > max(order)
                else np.full(len(order), np.nan))
    return message.position[order], velocity


def _base(message: Any) -> tuple[np.ndarray, np.ndarray]:
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    x, y, z, w = quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    with np.errstate(over='ignore', invalid='ignore'):
        norm = quaternion @ quaternion
    # Zeros (a driver that has no heading yet), or garbage, have no yaw: NaN, never 0.
    yaw = (np.arctan2(2 * (w * z + x * y), norm - 2 * (y ** 2 + z ** 2))
           if 0.5 < norm < 2 else np.nan)
    speed = message.twist.twist
    return (np.array([place.x, place.y, yaw]),
            np.array([speed.linear.x, speed.linear.y, speed.angular.z]))
