"""Actions from command messages of every type that a robot description may name.

An action is in force from its stamp until the next one, and at most until a time of its own:
one control step for `ExecutedCommand`, which its node sends every step; the controller's timeout
(`command_hold_s`) for what was sent to the robot.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from lewm_model.errors import BagError
from lewm_model.recordings.states import joint_order
from lewm_model.robot import (
    FLOAT_ARRAY,
    JOINT_COMMAND,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    RobotDescription,
    TWIST_NAMES,
)
import numpy as np

EXECUTED_TYPE = 'lewm_ros/msg/ExecutedCommand'
# Constants of ActionChunk.msg; a bag may be older than our files, so by value.
EXECUTED_INTERFACES = ('twist', 'joint_position', 'joint_velocity', 'joint_effort')
JOINT_FIELDS = {'joint_position': 'position', 'joint_velocity': 'velocity',
                'joint_effort': 'effort'}   # of a JointState, by interface
_TWIST_FIELDS = attrgetter(*TWIST_NAMES)


def twist_values(message: Any) -> tuple[float, ...]:
    """Return the six numbers of a Twist or TwistStamped in the order of `TWIST_NAMES`."""
    return _TWIST_FIELDS(getattr(message, 'twist', message))


class ActionReader:
    """Collects the actions of one topic.

    Attributes:
        skipped: Messages for other joints only.
        partial: Messages for some of the robot's joints, or none (a cancelled trajectory): what
            they leave in force is not known.
        unused: Fields of a twist that were commanded though `joint_names` leaves them out.
    """

    def __init__(self, robot: RobotDescription, message_type: str, bag: str, topic: str) -> None:
        self.skipped = self.partial = 0
        self.unused: set[str] = set()
        self._robot, self._type, self._bag, self._topic = robot, message_type, bag, topic
        self._refused = ''   # said by `arrays`, since a wrong state topic is the better message
        self._hold_ns = (robot.control_dt_ns if message_type == EXECUTED_TYPE
                         else round(robot.command_hold_s * 1e9))
        self._first_names: list[str] | None = None
        # of each message, its actions: (from, until, values), times after the message's [ns]
        self._messages: list[list[tuple[int, int, np.ndarray]]] = []

    def add(self, message: Any) -> bool:
        """Take one message; return False if it is not for this robot's joints."""
        if self._type == JOINT_TRAJECTORY:
            actions = self._trajectory(message)
        else:
            values = self._values(message)
            actions = None if values is None else [(0, self._hold_ns, values)]
        if actions is None:
            self.skipped += 1
            return False
        self._messages.append(actions)
        return True

    def arrays(self, order: np.ndarray, stamps: np.ndarray, runs: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return stamps [ns], ends [ns], actions (M, A) and runs, sorted by run and stamp.

        A trajectory has one action for each of its points; a later message replaces the points
        that had not begun.

        Args:
            order: Indices of the added messages, sorted by run and stamp.
            stamps: Of all added messages [ns].
            runs: Of all added messages.

        Raises:
            BagError: If a message was for another robot or interface, or none for its joints.
        """
        if self._refused:
            raise BagError(f'{self._bag}: {self._refused}')
        if not self._messages:
            raise BagError(
                f'{self._bag}: no command on {self._topic} is for '
                f'{", ".join(self._robot.joint_names)}; the first one names '
                f'{", ".join(self._first_names or ()) or "no joints"}; correct joint_names of '
                f'robot {self._robot.robot!r}')
        found: list[tuple[int, int, np.ndarray, int]] = []
        for index in order:
            begin, run = int(stamps[index]), int(runs[index])
            while found and found[-1][3] == run and found[-1][0] > begin:
                found.pop()
            found += [(begin + start, begin + end, values, run)
                      for start, end, values in self._messages[index]]
        starts, ends, values, run_of = zip(*found, strict=True)
        return (np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64),
                np.array(values, dtype=np.float64), np.array(run_of, dtype=np.int64))

    def _values(self, message: Any) -> np.ndarray | None:
        """Return the action (A,) of a message that holds one."""
        robot = self._robot
        if self._type == EXECUTED_TYPE:
            return self._executed(message)
        if self._type == FLOAT_ARRAY:
            if len(message.data) != robot.action_dim:
                return self._refuse(f'a command on {self._topic} has {len(message.data)} values, '
                                    f'robot {robot.robot!r} has {robot.action_dim} joints: '
                                    f'{", ".join(robot.joint_names)}; correct joint_names')
            return np.array(message.data)
        if self._type == JOINT_STATE:
            return self._named(message.name, getattr(message, JOINT_FIELDS[robot.interface]))
        if self._type == JOINT_COMMAND:
            return self._named(message.joint_names, message.values)
        values = dict(zip(TWIST_NAMES, twist_values(message), strict=True))
        self.unused |= {name for name, value in values.items()
                        if value and name not in robot.joint_names}
        return np.array([values[name] for name in robot.joint_names])

    def _executed(self, message: Any) -> np.ndarray:
        robot, order = self._robot, joint_order(message.names, self._robot.joint_names)
        code = message.interface
        used = (EXECUTED_INTERFACES[code] if code < len(EXECUTED_INTERFACES)
                else f'number {code}')
        if order is None or len(message.executed) != len(message.names):
            return self._refuse(
                f'a command on {self._topic} is for {", ".join(message.names) or "no joints"}, '
                f'robot {robot.robot!r} has {", ".join(robot.joint_names)}; choose the robot that '
                f'was recorded')
        if used != robot.interface:
            return self._refuse(f'commands on {self._topic} are {used}, robot {robot.robot!r} '
                                f'takes {robot.interface}; choose the robot that was recorded')
        return message.executed[order]

    def _refuse(self, reason: str) -> np.ndarray:
        self._refused = self._refused or reason
        return np.full(self._robot.action_dim, np.nan)

    def _named(self, names: list[str], values: np.ndarray) -> np.ndarray | None:
        """Map values by name; None for other joints, NaN if only some are the robot's."""
        if self._first_names is None:
            self._first_names = list(names)
        order = joint_order(names, self._robot.joint_names)
        if order is not None and len(values) > max(order):
            return np.asarray(values)[order]
        if names and not set(names) & set(self._robot.joint_names):
            return None
        self.partial += 1
        return np.full(self._robot.action_dim, np.nan)

    def _trajectory(self, message: Any) -> list[tuple[int, int, np.ndarray]] | None:
        """Return the points as the controller heads for them: each from the one before."""
        attribute = {'joint_position': 'positions',
                     'joint_velocity': 'velocities'}[self._robot.interface]
        if not message.points:   # "stop", and where that is only the controller knows
            self.partial += 1
            return [(0, self._hold_ns, np.full(self._robot.action_dim, np.nan))]
        actions, start = [], 0
        for point in message.points:
            values = self._named(message.joint_names, getattr(point, attribute))
            if values is None:
                return None
            end = max(start, point.time_from_start.sec * 10 ** 9 + point.time_from_start.nanosec)
            actions.append((start, end, values))
            start = end
        # the last point is held; a message that only says where to be at once is one action
        actions[-1] = (actions[-1][0], actions[-1][1] + self._hold_ns, actions[-1][2])
        return actions
