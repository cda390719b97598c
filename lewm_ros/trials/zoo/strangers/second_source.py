"""A second publisher of a robot's joints: `joint_state_publisher` with zeros, forgotten.

python -m lewm_ros.trials.zoo.strangers.second_source two_sources
"""

from __future__ import annotations

import sys

from lewm_ros.node.run_node import run_node
from lewm_ros.trials.zoo.robots.table import zoo_robot
from lewm_ros.trials.zoo.strangers.sensors import profile
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import JointState

NAME = 'joint_state_publisher'


class SecondSource(Node):
    """Says ten times a second that all joints are at zero."""

    def __init__(self, name: str) -> None:
        super().__init__(NAME)
        states = zoo_robot(name).states[0]
        self._names = list(states.names)
        self._publisher = self.create_publisher(JointState, states.topic, profile(True))
        self.create_timer(0.1, self._say)

    def _say(self) -> None:
        message = JointState(name=self._names, position=[0.0] * len(self._names))
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run until it is interrupted."""
    return run_node(lambda: SecondSource(remove_ros_args(args or sys.argv)[1]), args)


if __name__ == '__main__':
    sys.exit(main())
