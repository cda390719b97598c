"""Actions from command messages of every type that a robot description may name.

An action is in force from its stamp until the next one, and at most until a time of its own:
one control step for `ExecutedCommand`, which its node sends every step; the controller's timeout
(`command_hold_s`) for what was sent to the robot. Messages may be for some of the joints only;
`merge_commands` puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from lewm_model.errors import BagError, ShapeError
from lewm_model.recordings.joints import named_values
from lewm_model.robots.robot import (
    CommandTopic,
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
# of a JointState, and interface_name of a JointCommand, by interface
JOINT_FIELDS = {'joint_position': 'position', 'joint_velocity': 'velocity',
                'joint_effort': 'effort'}
POINT_FIELDS = {'joint_position': 'positions', 'joint_velocity': 'velocities'}
_TWIST_FIELDS = attrgetter(*TWIST_NAMES)


def twist_values(message: Any) -> tuple[float, ...]:
    """Return the six numbers of a Twist or TwistStamped in the order of `TWIST_NAMES`."""
    return _TWIST_FIELDS(getattr(message, 'twist', message))


@dataclass(frozen=True, eq=False)
class Order:
    """What one message tells some of the robot's joints."""

    joints: tuple[int, ...]                          # places in the action vector
    actions: list[tuple[int, int, np.ndarray]]       # (from, until, values of `joints`), times
    #                                                  after the message's [ns], in order


class ActionReader:
    """Collects the actions of one topic.

    Attributes:
        orders: What the messages say, as added.
        skipped: Messages for other joints or another interface only.
        cancelled: Trajectories without points: where they leave the robot is not known.
        malformed: Messages that no controller could follow; left out.
        unknown: Messages with numbers that are not finite: what they leave in force is not known.
        reason: What was wrong with the first of these two.
        unused: Fields of a twist that were commanded though `joint_names` leaves them out.

    Args:
        robot: Whose actions they are.
        command: The topic; of type EXECUTED_TYPE for executed commands.
    """

    def __init__(self, robot: RobotDescription, command: CommandTopic) -> None:
        self.orders: list[Order] = []
        self.skipped = self.cancelled = self.malformed = self.unknown = 0
        self.reason = ''
        self.unused: set[str] = set()
        self._robot, self._type, self.joints = robot, command.type, command.joints
        self._places = tuple(command.places(robot.joint_names))
        self._hold_ns = (robot.control_dt_ns if command.type == EXECUTED_TYPE
                         else round(robot.command_hold_s * 1e9))
        self._first_names: list[str] | None = None

    def add(self, message: Any) -> bool:
        """Take one message; return False if it is left out."""
        try:
            order = (self._trajectory(message) if self._type == JOINT_TRAJECTORY
                     else self._single(message))
        except ShapeError as error:
            self.malformed += 1
            self.reason = self.reason or str(error)
            return False
        if order is None:
            self.skipped += 1
            return False
        if not self.cancels(order) and not all(
                np.isfinite(values).all() for *_, values in order.actions):
            self.unknown += 1
            self.reason = self.reason or 'a command has numbers that are not finite'
        self.orders.append(order)
        return True

    def cancels(self, order: Order) -> bool:
        """Tell whether an order is a trajectory without points."""
        return self._type == JOINT_TRAJECTORY and len(order.actions) == 1 and bool(
            np.isnan(order.actions[0][2]).all())

    def check(self, bag: str, topic: str, max_bad_share: float) -> None:
        """Refuse a topic that commands nothing, or too much that is broken.

        Raises:
            BagError: Says what was wrong with the messages.
        """
        robot, bad = self._robot, self.malformed + self.unknown
        if not self.orders and not bad:
            raise BagError(
                f'{bag}: no command on {topic} is for {", ".join(self.joints)}; the first one '
                f'names {", ".join(self._first_names or ()) or "no joints"}; correct joint_names '
                f'of robot {robot.robot!r}')
        total = len(self.orders) + self.malformed
        if bad > max_bad_share * total:
            raise BagError(f'{bag}: {bad} of {total} commands on {topic} cannot be used (the '
                           f'first: {self.reason}); correct the description of robot '
                           f'{robot.robot!r} or the sender, or allow more with --max-bad-share '
                           f'(now {max_bad_share:g})')

    def _single(self, message: Any) -> Order | None:
        """Return the order of a message that holds one action."""
        if self._type == FLOAT_ARRAY:
            if len(message.data) != len(self.joints):
                raise ShapeError(f'a command has {len(message.data)} values for the '
                                 f'{len(self.joints)} joints {", ".join(self.joints)}')
            return self._order(self._places, np.array(message.data))
        if self._type == EXECUTED_TYPE:
            return self._executed(message)
        if self._type == JOINT_STATE:
            field = JOINT_FIELDS[self._robot.interface]
            return self._named(message.name, getattr(message, field), field)
        if self._type == JOINT_COMMAND:
            wanted = JOINT_FIELDS[self._robot.interface]
            if message.interface_name != wanted:
                return None   # of another controller on the same topic
            return self._named(message.joint_names, message.values, wanted)
        values = dict(zip(TWIST_NAMES, twist_values(message), strict=True))
        self.unused |= {name for name, value in values.items()
                        if value and name not in self._robot.joint_names}
        return self._order(self._places, np.array([values[name] for name in self.joints]))

    def _executed(self, message: Any) -> Order:
        robot, code = self._robot, message.interface
        used = (EXECUTED_INTERFACES[code] if code < len(EXECUTED_INTERFACES)
                else f'number {code}')
        values = named_values(message.names, message.executed, 'executed')
        if not set(values) >= set(self.joints):
            raise ShapeError(
                f'it is for {", ".join(message.names) or "no joints"}, robot {robot.robot!r} has '
                f'{", ".join(robot.joint_names)}; choose the robot that was recorded')
        if used != robot.interface:
            raise ShapeError(f'commands are {used}, robot {robot.robot!r} takes '
                             f'{robot.interface}; choose the robot that was recorded')
        return self._order(self._places, np.array([values[name] for name in self.joints]))

    def _named(self, names: Sequence[str], values: np.ndarray, what: str) -> Order | None:
        """Return an order for those of the topic's joints that are named; None for none."""
        joints = self._ours(names)
        if joints is None:
            return None
        return self._order(*self._pick(joints, names, values, what))

    def _ours(self, names: Sequence[str]) -> list[str] | None:
        if self._first_names is None:
            self._first_names = list(names)
        if not len(names):
            raise ShapeError('a command names no joints')
        return [name for name in self.joints if name in names] or None

    def _pick(self, joints: list[str], names: Sequence[str], values: np.ndarray, what: str
              ) -> tuple[tuple[int, ...], np.ndarray]:
        found = named_values(names, values, what)
        if not found:
            raise ShapeError(f'a command for {", ".join(joints)} has no {what}')
        place = dict(zip(self.joints, self._places, strict=True))
        return (tuple(place[name] for name in joints),
                np.array([found[name] for name in joints]))

    def _order(self, joints: tuple[int, ...], values: np.ndarray) -> Order:
        return Order(joints, [(0, self._hold_ns, values)])

    def _trajectory(self, message: Any) -> Order | None:
        """Return the points as the controller heads for them: each from the one before."""
        if not message.points:   # "stop", and where that is only the controller knows
            self.cancelled += 1
            return self._order(self._places, np.full(len(self._places), np.nan))
        ours = self._ours(message.joint_names)
        if ours is None:
            return None
        field = POINT_FIELDS[self._robot.interface]
        actions, start, joints = [], 0, ()
        for point in message.points:
            joints, values = self._pick(ours, message.joint_names, getattr(point, field), field)
            end = max(start, point.time_from_start.sec * 10 ** 9 + point.time_from_start.nanosec)
            actions.append((start, end, values))
            start = end
        # the last point is held; a message that only says where to be at once is one action
        actions[-1] = (actions[-1][0], actions[-1][1] + self._hold_ns, actions[-1][2])
        return Order(joints, actions)
