"""A robot in one small process: a controller for its commands, a body without mass, a camera.

    python -m fake_robot ROBOT

A base integrates its twist and stops by itself after `command_hold_s`; an arm follows positions
at 2 rad/s, as its motors would, and holds the last one. Both report their state at 50 Hz and show
it in a grey picture every control step.
"""

import contextlib
from functools import partial
import sys

from geometry_msgs.msg import Quaternion
from lewm_model.robots.robot import ODOMETRY, RobotDescription
from lewm_ros.wire import qos
from lewm_ros.wire.motion import joints_to_msg
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

PERIOD_S = 0.02
MOTOR_RATE = 2.0      # of an arm's joints [rad/s]


class FakeRobot(Node):
    """Obeys the command topic of a description and publishes its state and camera topics."""

    def __init__(self, robot: RobotDescription) -> None:
        super().__init__('fake_robot')
        self._interface = RobotInterface(robot)
        self._robot = robot
        self._command: np.ndarray | None = None
        self._command_ns = 0
        self._pose = np.zeros(3) if robot.state_type == ODOMETRY else np.full(
            robot.action_dim, 0.05)      # x, y, yaw, or joint positions
        state_type = Odometry if robot.state_type == ODOMETRY else JointState
        self._state_pub = self.create_publisher(state_type, robot.joint_state_topic, qos.SENSOR)
        self._image_pub = self.create_publisher(Image, robot.image_topic, qos.IMAGE)
        for output, (topic, kind) in enumerate(self._interface.outputs):
            self.create_subscription(kind, topic, partial(self._on_command, output), qos.LATEST)
        self.create_timer(PERIOD_S, self._advance)
        self.create_timer(robot.control_dt_s, self._show)

    def _on_command(self, output: int, message) -> None:
        places, values = self._interface.read(output, message)
        self._command = np.array(self._pose[:self._robot.action_dim] if self._command is None
                                 else self._command)
        self._command[places] = values
        self._command_ns = self.get_clock().now().nanoseconds

    def _advance(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if self._robot.state_type == ODOMETRY:
            self._state_pub.publish(self._drive(now_ns))
        else:
            if self._command is not None:
                most = MOTOR_RATE * PERIOD_S
                self._pose = self._pose + np.clip(self._command - self._pose, -most, most)
            for command in self._robot.command_topics:   # an arm and its gripper report apart
                places = command.places(self._robot.joint_names)
                self._state_pub.publish(joints_to_msg(
                    now_ns, command.joints, self._pose[places], np.zeros(len(places))))

    def _drive(self, now_ns: int) -> Odometry:
        late = now_ns - self._command_ns > self._robot.command_hold_s * 1e9
        speed = dict(zip(self._robot.joint_names, np.zeros(self._robot.action_dim) if late
                         else self._command, strict=True))
        yaw = self._pose[2]
        forward, turn = speed.get('linear.x', 0.0), speed.get('angular.z', 0.0)
        self._pose = self._pose + PERIOD_S * np.array(
            [forward * np.cos(yaw), forward * np.sin(yaw), turn])
        message = Odometry(header=header(now_ns, 'odom'), child_frame_id='base_link')
        message.pose.pose.position.x, message.pose.pose.position.y = self._pose[:2].tolist()
        half = float(self._pose[2] / 2)
        message.pose.pose.orientation = Quaternion(z=np.sin(half), w=np.cos(half))
        message.twist.twist.linear.x, message.twist.twist.angular.z = float(forward), float(turn)
        return message

    def _show(self) -> None:
        grey = int(20 * np.abs(self._pose).sum()) % 256
        self._image_pub.publish(rgb_to_image(
            np.full((8, 8, 3), grey, np.uint8), self.get_clock().now().nanoseconds, 'camera'))


def main() -> None:
    """Run until the end of the process."""
    rclpy.init()
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(FakeRobot(RobotDescription.from_yaml(sys.argv[1])))


if __name__ == '__main__':
    main()
