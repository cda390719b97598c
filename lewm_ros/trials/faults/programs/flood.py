"""Publish on every topic that the nodes read, as fast as one process can; for trials only.

    python -m lewm_ros.trials.faults.programs.flood ROBOT

Nothing that is sent here is of any use to anybody.
"""

from __future__ import annotations

import sys

from diagnostic_msgs.msg import DiagnosticArray
from lewm_model.robots.robot import RobotDescription
from lewm_ros.msg import ActionChunk, ExecutedCommand, Goal, PlanStatus
from lewm_ros.node.interrupt import Interrupt, NO_HANDLERS
from lewm_ros.wire import qos
import rclpy
from sensor_msgs.msg import JointState


def main() -> int:
    """Publish until the end."""
    robot = RobotDescription.from_yaml(sys.argv[1])
    rclpy.init(signal_handler_options=NO_HANDLERS)
    end = Interrupt()
    node = rclpy.create_node('flood')
    pairs = [(node.create_publisher(kind, topic, profile), message) for kind, topic, profile,
             message in (
        (PlanStatus, 'plan_status', qos.RECORD, PlanStatus(session=7)),
        (ActionChunk, 'action_chunk', qos.LATEST, ActionChunk(
            session=7, names=list(robot.joint_names), horizon=100, action_dim=2,
            actions=[9e9] * 200)),
        (ExecutedCommand, robot.executed_topic, qos.RECORD, ExecutedCommand(
            names=['nobody'], executed=[1.0], requested=[1.0])),
        (Goal, 'goal', qos.LATCHED, Goal(kind=77)),
        (JointState, robot.joint_state_topic, qos.SENSOR, JointState(
            name=['nobody'] * 30, position=[1.0] * 30)),
        (DiagnosticArray, '/diagnostics', qos.RECORD, DiagnosticArray()))]
    while not end.is_set():
        for publisher, message in pairs:
            publisher.publish(message)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
