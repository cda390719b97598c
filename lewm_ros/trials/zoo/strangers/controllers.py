"""Controllers of fake robots: what a command message makes the axes do, and what silence does.

Written without the product's own message code on purpose: it is the stranger's side.
"""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Twist, TwistStamped
from lewm_model.robots import robot as kinds
from lewm_ros.trials.zoo.robots.description import CommandTopic
import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

MESSAGES = {kinds.FLOAT_ARRAY: Float64MultiArray, kinds.JOINT_TRAJECTORY: JointTrajectory,
            kinds.JOINT_STATE: JointState, kinds.TWIST: Twist, kinds.TWIST_STAMPED: TwistStamped}
_OLD_S = 0.5     # a stamped twist older than this is refused, as diff_drive_controller does


class Controller:
    """Follows one command topic.

    Attributes:
        refused: Messages that this controller did not obey, with the reason of the last one.
    """

    def __init__(self, facts: CommandTopic, axes: Sequence[str]) -> None:
        self.facts = facts
        self.refused, self.reason = 0, ''
        self._axes = [axes.index(axis) for axis in facts.axes]
        self._from = self._to = None    # positions: the line that is followed
        self._begin_s = self._end_s = 0.0
        self._speeds = np.zeros(len(facts.axes))
        self._heard_s = -1e9

    def receive(self, message, now_s: float, pose: np.ndarray) -> None:
        """Take a command, or refuse it as such a controller does."""
        try:
            values, takes_s = self._read(message, now_s)
        except ValueError as error:
            self.refused, self.reason = self.refused + 1, str(error)
            return
        self._heard_s = now_s
        if self.facts.interface == 'joint_position':
            here = self._setpoint(now_s)
            self._from = pose[self._axes].copy() if here is None else here
            self._to = np.where(np.isfinite(values), values, self._from)
            self._begin_s, self._end_s = now_s, now_s + takes_s
        else:
            self._speeds = values

    def act(self, now_s: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        """Fill in what this controller's axes are to do now."""
        setpoint = self._setpoint(now_s)
        if setpoint is not None:
            targets[self._axes] = setpoint
            return
        silent = (self.facts.on_silence == 'zero'
                  and now_s - self._heard_s > self.facts.timeout_s)
        speeds[self._axes] = 0.0 if silent else self._speeds

    def _setpoint(self, now_s: float) -> np.ndarray | None:
        if self._to is None:
            return None
        length = self._end_s - self._begin_s
        share = 1.0 if length <= 0 else min(max((now_s - self._begin_s) / length, 0.0), 1.0)
        return self._from + share * (self._to - self._from)

    def _read(self, message, now_s: float) -> tuple[np.ndarray, float]:
        """Return (values in the order of the axes, seconds to get there)."""
        kind, axes = self.facts.type, self.facts.axes
        if kind == kinds.FLOAT_ARRAY:
            if len(message.data) != len(axes):
                raise ValueError(f'{len(message.data)} values for {len(axes)} joints')
            return np.array(message.data, float), 0.0
        if kind == kinds.JOINT_TRAJECTORY:
            return self._trajectory(message, now_s)
        if kind == kinds.JOINT_STATE:
            values = (message.position if self.facts.interface == 'joint_position'
                      else message.velocity)
            known = dict(zip(message.name, values, strict=True))
            return np.array([known.get(axis, np.nan) for axis in axes]), 0.0
        twist = message
        if kind == kinds.TWIST_STAMPED:
            age_s = now_s - stamp_s(message)
            if age_s > _OLD_S:
                raise ValueError(f'the twist is {age_s:.2f} s old')
            twist = message.twist
        return np.array([getattr(getattr(twist, axis.split('.')[0]), axis.split('.')[1])
                         for axis in axes]), 0.0

    def _trajectory(self, message: JointTrajectory, now_s: float) -> tuple[np.ndarray, float]:
        if set(message.joint_names) != set(self.facts.axes) or not message.points:
            raise ValueError(f'a goal for {", ".join(message.joint_names) or "no joints"}; '
                             f'partial goals are not allowed')
        point = message.points[-1]
        takes_s = point.time_from_start.sec + point.time_from_start.nanosec / 1e9
        begin_s = stamp_s(message)
        if begin_s and begin_s + takes_s < now_s:
            raise ValueError('the trajectory ends in the past')
        known = dict(zip(message.joint_names, point.positions, strict=True))
        return (np.array([known[axis] for axis in self.facts.axes]),
                takes_s if not begin_s else max(begin_s + takes_s - now_s, 0.0))


def stamp_s(message) -> float:
    """Return the header stamp in seconds."""
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


def build_command(facts: CommandTopic, values: np.ndarray, stamp, takes_s: float):
    """Build the message that a stranger's teleoperation sends."""
    values = [float(value) for value in values]
    if facts.type == kinds.FLOAT_ARRAY:
        return Float64MultiArray(data=values)
    if facts.type == kinds.JOINT_STATE:
        message = JointState(name=list(facts.axes))
        message.header.stamp = stamp
        if facts.interface == 'joint_position':
            message.position = values
        else:
            message.velocity = values
        return message
    if facts.type == kinds.JOINT_TRAJECTORY:
        from builtin_interfaces.msg import Duration
        from trajectory_msgs.msg import JointTrajectoryPoint
        sec = int(takes_s)
        return JointTrajectory(joint_names=list(facts.axes), points=[JointTrajectoryPoint(
            positions=values, time_from_start=Duration(
                sec=sec, nanosec=round((takes_s - sec) * 1e9)))])
    twist = Twist()
    for axis, value in zip(facts.axes, values, strict=True):
        part, name = axis.split('.')
        setattr(getattr(twist, part), name, value)
    if facts.type == kinds.TWIST:
        return twist
    message = TwistStamped(twist=twist)
    message.header.stamp, message.header.frame_id = stamp, 'base_link'
    return message


def read_command(facts: CommandTopic, message) -> np.ndarray:
    """Return what a command message says, in the order of the axes; without a controller."""
    reader = Controller(facts, facts.axes)
    if facts.type == kinds.JOINT_TRAJECTORY:
        known = dict(zip(message.joint_names, message.points[-1].positions, strict=True))
        return np.array([known.get(axis, np.nan) for axis in facts.axes])
    return reader._read(message, 0.0)[0]
