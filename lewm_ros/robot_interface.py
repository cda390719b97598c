"""Action vector to robot command message and back, from the robot's description.

Today: joint velocities as the forward_command_controller of ros2_control takes them, one
`std_msgs/Float64MultiArray` with one value per joint and no header.
"""

from __future__ import annotations

from lewm_model.errors import ConfigError, ShapeError
from lewm_model.robot import RobotDescription
from lewm_ros.msg import ActionChunk
import numpy as np
from std_msgs.msg import Float64MultiArray

# (interface, command_type) of a robot description -> constant of ActionChunk.msg
_SUPPORTED = {
    ('joint_velocity', 'std_msgs/msg/Float64MultiArray'): ActionChunk.JOINT_VELOCITY,
}


class RobotInterface:
    """How one robot is commanded.

    Attributes:
        robot: The description it was built from.
        topic: Command topic, as in the description.
        message_type: Class of the command message.
        code: The robot's interface as a constant of ActionChunk.msg.
    """

    message_type = Float64MultiArray

    def __init__(self, robot: RobotDescription) -> None:
        kind = (robot.interface, robot.command_type)
        if kind not in _SUPPORTED:
            known = '; '.join(f'interface {i} with command_type {c}' for i, c in _SUPPORTED)
            raise ConfigError(f'robot {robot.robot!r} wants interface {robot.interface!r} with '
                              f'command_type {robot.command_type!r}; supported: {known}')
        self.robot = robot
        self.topic = robot.command_topic
        self.code = _SUPPORTED[kind]

    @property
    def names(self) -> list[str]:
        """Joint names in the order of the action vector."""
        return list(self.robot.joint_names)

    def to_msg(self, action: np.ndarray) -> Float64MultiArray:
        """Build the command message of one action (A,), [rad/s].

        Raises:
            ShapeError: If the action has another length or is not finite.
        """
        return Float64MultiArray(data=self._checked(action).tolist())

    def from_msg(self, message: Float64MultiArray) -> np.ndarray:
        """Return the action float64 (A,) of a command message; raises like `to_msg`."""
        return self._checked(np.asarray(message.data))

    def zero(self) -> Float64MultiArray:
        """Build the command that stands still."""
        return self.to_msg(np.zeros(len(self.robot.joint_names)))

    def _checked(self, action: np.ndarray) -> np.ndarray:
        action = np.asarray(action, np.float64)
        if action.shape != (len(self.robot.joint_names),) or not np.isfinite(action).all():
            raise ShapeError(f'a command of {self.robot.robot!r} is '
                             f'{len(self.robot.joint_names)} finite numbers '
                             f'({", ".join(self.robot.joint_names)}), got {action.tolist()}')
        return action
