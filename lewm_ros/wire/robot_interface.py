"""Action vector to robot command message and back, from the robot's description.

Every pair of interface and command type that a description may name is known here; the offline
counterpart, which reads recordings, is `lewm_model.recordings.commands`. What it takes to stop a
robot of each interface is in `limits.standstill`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Twist, TwistStamped
from lewm_model import robot as robots
from lewm_model.errors import ConfigError, ShapeError
from lewm_model.recordings.commands import JOINT_FIELDS, twist_values
from lewm_model.recordings.states import joint_order
from lewm_model.robot import RobotDescription
from lewm_ros.msg import ActionChunk
from lewm_ros.wire.conversions import header
import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

EXECUTED_TOPIC = 'executed_command'   # of robots whose description names none
CODES = {'twist': ActionChunk.VELOCITY_TWIST, 'joint_position': ActionChunk.JOINT_POSITION,
         'joint_velocity': ActionChunk.JOINT_VELOCITY, 'joint_effort': ActionChunk.JOINT_EFFORT}
# of a JointTrajectoryPoint, by interface
_POINT_FIELDS = {'joint_position': 'positions', 'joint_velocity': 'velocities'}


class RobotInterface:
    """How one robot is commanded.

    Attributes:
        robot: The description it was built from.
        topic: Command topic, as in the description.
        executed_topic: Where `ExecutedCommand` is published, also if the description names none.
        message_type: Class of the command message.
        code: The robot's interface as a constant of ActionChunk.msg.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self.robot = robot
        self.topic = robot.command_topic
        self.executed_topic = robot.executed_topic or EXECUTED_TOPIC
        self.code = CODES[robot.interface]
        self._codec = _CODECS[robot.command_type]
        self.message_type = self._codec.message_type

    @property
    def names(self) -> list[str]:
        """Names of the action vector's values, in its order."""
        return list(self.robot.joint_names)

    def require(self, interface: str, who: str) -> None:
        """Refuse a robot that `who` cannot work with; raises ConfigError."""
        if self.robot.interface != interface:
            raise ConfigError(f'{who} works with {interface}, robot {self.robot.robot!r} has '
                              f'interface {self.robot.interface}; choose another robot')

    def to_msg(self, action: np.ndarray, stamp_ns: int = 0) -> Any:
        """Build the command message of one action.

        Args:
            action: (A,), robot units: [rad], [rad/s], [m/s], [N m] by the interface.
            stamp_ns: Start of its control step. A type without a header drops it, and so does a
                trajectory if `clocks.command` is 'receive': a zero stamp begins at once.

        Raises:
            ShapeError: If the action has another length or is not finite.
        """
        return self._codec.write(self.robot, self._checked(action).tolist(), stamp_ns)

    def from_msg(self, message: Any) -> np.ndarray:
        """Return the action float64 (A,) of a command message; raises like `to_msg`.

        Joints are found by name where the type has names. Of a trajectory it is the first point.
        """
        return self._checked(self._codec.read(self.robot, message))

    def _checked(self, action: Sequence[float]) -> np.ndarray:
        action = np.asarray(action, np.float64)
        if action.shape != (len(self.robot.joint_names),) or not np.isfinite(action).all():
            raise ShapeError(f'a command of {self.robot.robot!r} is '
                             f'{len(self.robot.joint_names)} finite numbers '
                             f'({", ".join(self.robot.joint_names)}), got {action.tolist()}')
        return action


# Float64MultiArray: forward_command_controller, one value per joint, no names, no time ---------

def _write_array(robot: RobotDescription, action: list[float], stamp_ns: int) -> Any:
    return Float64MultiArray(data=action)


def _read_array(robot: RobotDescription, message: Float64MultiArray) -> Sequence[float]:
    return message.data


# JointTrajectory: one point, one control step ahead ---------------------------------------------
# Positions alone are followed in a straight line and held at the end. With velocities beside them
# the last one would have to be zero (a rule of joint_trajectory_controller), so that the arm
# would brake in every control step.

def _write_trajectory(robot: RobotDescription, action: list[float], stamp_ns: int) -> Any:
    seconds, nanoseconds = divmod(robot.control_dt_ns, 10 ** 9)
    point = JointTrajectoryPoint(
        time_from_start=Duration(sec=seconds, nanosec=nanoseconds),
        **{_POINT_FIELDS[robot.interface]: action})
    at_once = Header(stamp=Time())
    return JointTrajectory(
        header=header(stamp_ns) if robot.clocks.command == 'header' else at_once,
        joint_names=list(robot.joint_names), points=[point])


def _read_trajectory(robot: RobotDescription, message: JointTrajectory) -> Sequence[float]:
    values = getattr(message.points[0], _POINT_FIELDS[robot.interface]) if message.points else []
    return _by_name(robot, message.joint_names, values)


# JointState: drivers that take commands in the form in which they report -------------------------

def _write_joints(robot: RobotDescription, action: list[float], stamp_ns: int) -> Any:
    return JointState(header=header(stamp_ns), name=list(robot.joint_names),
                      **{JOINT_FIELDS[robot.interface]: action})


def _read_joints(robot: RobotDescription, message: JointState) -> Sequence[float]:
    return _by_name(robot, message.name, getattr(message, JOINT_FIELDS[robot.interface]))


# Twist: a base; axes that are no part of the action stay zero ------------------------------------

def _write_twist(robot: RobotDescription, action: list[float], stamp_ns: int) -> Any:
    message = Twist()
    for name, value in zip(robot.joint_names, action, strict=True):
        part, axis = name.split('.')
        setattr(getattr(message, part), axis, value)
    return message


def _write_stamped(robot: RobotDescription, action: list[float], stamp_ns: int) -> Any:
    return TwistStamped(header=header(stamp_ns, robot.command_frame),
                        twist=_write_twist(robot, action, stamp_ns))


def _read_twist(robot: RobotDescription, message: Twist | TwistStamped) -> Sequence[float]:
    values = dict(zip(robots.TWIST_NAMES, twist_values(message, robot.command_type),
                      strict=True))
    return [values[name] for name in robot.joint_names]


@dataclass(frozen=True)
class _Codec:
    message_type: type
    write: Callable[[RobotDescription, list[float], int], Any]
    read: Callable[[RobotDescription, Any], Sequence[float]]


_CODECS = {
    robots.FLOAT_ARRAY: _Codec(Float64MultiArray, _write_array, _read_array),
    robots.JOINT_TRAJECTORY: _Codec(JointTrajectory, _write_trajectory, _read_trajectory),
    robots.JOINT_STATE: _Codec(JointState, _write_joints, _read_joints),
    robots.TWIST: _Codec(Twist, _write_twist, _read_twist),
    robots.TWIST_STAMPED: _Codec(TwistStamped, _write_stamped, _read_twist),
}


def _by_name(robot: RobotDescription, names: Sequence[str], values: Sequence[float]
             ) -> Sequence[float]:
    order = joint_order(names, robot.joint_names)
    if order is None or len(values) <= max(order):
        raise ShapeError(f'a command of {robot.robot!r} names {", ".join(robot.joint_names)} '
                         f'with a value for each, got {len(values)} values for '
                         f'{", ".join(names) or "no joints"}')
    return [values[index] for index in order]
