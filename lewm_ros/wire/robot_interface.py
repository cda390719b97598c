"""Action vector to robot command message and back, from the robot's description.

Every pair of interface and command type that a description may name is known here; the offline
counterpart, which reads recordings, is `lewm_model.recordings.commands`. What it takes to stop a
robot of each interface is in `limits.standstill`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import importlib
from typing import Any

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Twist, TwistStamped
from lewm_model.errors import ConfigError, ShapeError
from lewm_model.recordings.commands import JOINT_FIELDS, twist_values
from lewm_model.recordings.joints import named_values
from lewm_model.robots import robot as robots
from lewm_model.robots.robot import RobotDescription
from lewm_ros.msg import ActionChunk
from lewm_ros.wire.stamps import header
import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

EXECUTED_TOPIC = 'executed_command'   # of robots whose description names none
CODES = {'twist': ActionChunk.VELOCITY_TWIST, 'joint_position': ActionChunk.JOINT_POSITION,
         'joint_velocity': ActionChunk.JOINT_VELOCITY, 'joint_effort': ActionChunk.JOINT_EFFORT}
Names = Sequence[str]   # the joints of one command topic, in its order
# of a JointTrajectoryPoint, by interface
_POINT_FIELDS = {'joint_position': 'positions', 'joint_velocity': 'velocities'}


class RobotInterface:
    """How one robot is commanded.

    Attributes:
        robot: The description it was built from.
        outputs: (topic, message class) of every topic that commands go to, in the order of
            `to_msgs`.
        executed_topic: Where `ExecutedCommand` is published, also if the description names none.
        code: The robot's interface as a constant of ActionChunk.msg.

    Raises:
        ConfigError: If the package of a command message is not installed.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self.robot = robot
        self.executed_topic = robot.executed_topic or EXECUTED_TOPIC
        self.code = CODES[robot.interface]
        self._parts = [(command, command.places(robot.joint_names), codec_of(command.type))
                       for command in robot.command_topics]
        self.outputs = tuple((command.topic, codec.message_type)
                             for command, _, codec in self._parts)

    @property
    def names(self) -> list[str]:
        """Names of the action vector's values, in its order."""
        return list(self.robot.joint_names)

    def require(self, interface: str, who: str) -> None:
        """Refuse a robot that `who` cannot work with; raises ConfigError."""
        if self.robot.interface != interface:
            raise ConfigError(f'{who} works with {interface}, robot {self.robot.robot!r} has '
                              f'interface {self.robot.interface}; choose another robot')

    def to_msgs(self, action: np.ndarray, stamp_ns: int = 0) -> list[tuple[str, Any]]:
        """Build the command messages of one action: (topic, message) for each of `outputs`.

        Args:
            action: (A,), robot units: [rad], [rad/s], [m/s], [N m] by the interface.
            stamp_ns: Start of its control step. A type without a header drops it, and so does a
                trajectory if `clocks.command` is 'receive': a zero stamp begins at once.

        Raises:
            ShapeError: If the action has another length or is not finite.
        """
        action = self._checked(action, self.robot.joint_names)
        return [(command.topic, codec.write(self.robot, command.joints, action[places].tolist(),
                                            stamp_ns))
                for command, places, codec in self._parts]

    def read(self, output: int, message: Any) -> tuple[list[int], np.ndarray]:
        """Return (places in the action vector, their values) of a message of an output.

        Joints are found by name where the type has names. Of a trajectory it is the first point.

        Args:
            output: Index in `outputs`.
            message: Of that output's class.

        Raises:
            ShapeError: If it does not hold one finite number for each of the topic's joints.
        """
        command, places, codec = self._parts[output]
        return places, self._checked(codec.read(self.robot, command.joints, message),
                                     command.joints)

    def from_msg(self, message: Any) -> np.ndarray:
        """Return the action float64 (A,) of a message for a robot with one command topic."""
        if len(self._parts) > 1:
            raise ShapeError(f'robot {self.robot.robot!r} has {len(self._parts)} command topics, '
                             f'one message is not its action')
        return self.read(0, message)[1]

    def _checked(self, values: Sequence[float], names: Sequence[str]) -> np.ndarray:
        values = np.asarray(values, np.float64)
        if values.shape != (len(names),) or not np.isfinite(values).all():
            raise ShapeError(f'a command of {self.robot.robot!r} is {len(names)} finite numbers '
                             f'({", ".join(names)}), got {values.tolist()}')
        return values


# Float64MultiArray: forward_command_controller, one value per joint, no names, no time ---------

def _write_array(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                 ) -> Any:
    return Float64MultiArray(data=action)


def _read_array(robot: RobotDescription, names: Names, message: Float64MultiArray
                ) -> Sequence[float]:
    return message.data


# JointTrajectory: one point, one control step ahead ---------------------------------------------
# Positions alone are followed in a straight line and held at the end. With velocities beside them
# the last one would have to be zero (a rule of joint_trajectory_controller), so that the arm
# would brake in every control step.

def _write_trajectory(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                      ) -> Any:
    seconds, nanoseconds = divmod(robot.control_dt_ns, 10 ** 9)
    point = JointTrajectoryPoint(
        time_from_start=Duration(sec=seconds, nanosec=nanoseconds),
        **{_POINT_FIELDS[robot.interface]: action})
    at_once = Header(stamp=Time())
    return JointTrajectory(
        header=header(stamp_ns) if robot.clocks.command == 'header' else at_once,
        joint_names=list(names), points=[point])


def _read_trajectory(robot: RobotDescription, names: Names, message: JointTrajectory
                     ) -> Sequence[float]:
    values = getattr(message.points[0], _POINT_FIELDS[robot.interface]) if message.points else []
    return _by_name(robot, names, message.joint_names, values)


# JointState: drivers that take commands in the form in which they report -------------------------

def _write_joints(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                  ) -> Any:
    return JointState(header=header(stamp_ns), name=list(names),
                      **{JOINT_FIELDS[robot.interface]: action})


def _read_joints(robot: RobotDescription, names: Names, message: JointState
                 ) -> Sequence[float]:
    return _by_name(robot, names, message.name,
                    getattr(message, JOINT_FIELDS[robot.interface]))


# Twist: a base; axes that are no part of the action stay zero ------------------------------------

def _write_twist(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                 ) -> Any:
    message = Twist()
    for name, value in zip(names, action, strict=True):
        part, axis = name.split('.')
        setattr(getattr(message, part), axis, value)
    return message


def _write_stamped(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                   ) -> Any:
    return TwistStamped(header=header(stamp_ns, robot.command_frame),
                        twist=_write_twist(robot, names, action, stamp_ns))


def _read_twist(robot: RobotDescription, names: Names, message: Twist | TwistStamped
                ) -> Sequence[float]:
    values = dict(zip(robots.TWIST_NAMES, twist_values(message), strict=True))
    return [values[name] for name in names]


# control_msgs/JointCommand: named joints, one interface, a stamp ---------------------------------
# Its package is no part of our wheels and the message is young (control_msgs 6.10; Jazzy 5.10), so
# it is imported when a robot asks for it.

def _write_command(robot: RobotDescription, names: Names, action: list[float], stamp_ns: int
                   ) -> Any:
    return _joint_command()(header=header(stamp_ns), joint_names=list(names),
                            interface_name=JOINT_FIELDS[robot.interface], values=action)


def _read_command(robot: RobotDescription, names: Names, message: Any) -> Sequence[float]:
    wanted = JOINT_FIELDS[robot.interface]
    if message.interface_name != wanted:
        raise ShapeError(f'a command of {robot.robot!r} has interface_name {wanted!r}, got '
                         f'{message.interface_name!r}')
    return _by_name(robot, names, message.joint_names, message.values)


def _joint_command() -> type:
    try:
        return importlib.import_module('control_msgs.msg').JointCommand
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f'the robot takes {robots.JOINT_COMMAND}, which is not installed here ({error}); '
            f'install ros-$ROS_DISTRO-control-msgs 6.10 or newer (Jazzy: 5.10)') from error


@dataclass(frozen=True)
class Codec:
    """One type of command message."""

    message_type: type
    write: Callable[[RobotDescription, Names, list[float], int], Any]
    read: Callable[[RobotDescription, Names, Any], Sequence[float]]


def codec_of(command_type: str) -> Codec:
    """Return how to write and read a type of COMMAND_TYPES; raises ConfigError if not there."""
    if command_type == robots.JOINT_COMMAND:
        return Codec(_joint_command(), _write_command, _read_command)
    return _CODECS[command_type]


_CODECS = {
    robots.FLOAT_ARRAY: Codec(Float64MultiArray, _write_array, _read_array),
    robots.JOINT_TRAJECTORY: Codec(JointTrajectory, _write_trajectory, _read_trajectory),
    robots.JOINT_STATE: Codec(JointState, _write_joints, _read_joints),
    robots.TWIST: Codec(Twist, _write_twist, _read_twist),
    robots.TWIST_STAMPED: Codec(TwistStamped, _write_stamped, _read_twist),
}


def _by_name(robot: RobotDescription, names: Names, listed: Sequence[str],
             values: Sequence[float]) -> Sequence[float]:
    try:
        found = named_values(listed, values, 'command')
    except ShapeError as error:
        raise ShapeError(f'a command of {robot.robot!r}: {error}') from error
    if not set(names) <= set(found):
        raise ShapeError(f'a command of {robot.robot!r} names {", ".join(names)} with a value for '
                         f'each, got {len(values)} values for {", ".join(listed) or "no joints"}')
    return [found[name] for name in names]
