"""A planner and camera in one small process: chunks and heartbeats at 20 Hz, no model.

Run by the tests of the command node. Sending it SIGUSR1 stops the "camera": the process lives
on, and publishes neither frames' heartbeats nor chunks.
"""

import contextlib
import signal
import sys

from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.msg import ActionChunk as ActionChunkMsg, PlanStatus
from lewm_ros.wire import qos
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.reports import PlanReport, PlanState, random_session
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import plan_report_to_msg
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException


def main() -> None:
    """Plan the action of the command line (`1.5` or `0.2,-1`) for a second, again and again.

    The second argument is the robot, the simulated arm by default.
    """
    robot = RobotDescription.from_yaml(sys.argv[2] if len(sys.argv) > 2 else 'sim_reacher')
    interface = RobotInterface(robot)
    action = np.broadcast_to(np.array(sys.argv[1].split(','), float), (robot.action_dim,))
    rows = round(1 / robot.control_dt_s)
    rclpy.init()
    node = rclpy.create_node('fake_planner')
    chunk_pub = node.create_publisher(ActionChunkMsg, 'action_chunk', qos.LATEST)
    status_pub = node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
    blind = []
    signal.signal(signal.SIGUSR1, lambda *_: blind.append(True))
    sequence, session = 0, random_session()

    def on_frame() -> None:
        nonlocal sequence
        if blind:
            return
        now_ns = node.get_clock().now().nanoseconds
        sequence += 1
        status_pub.publish(plan_report_to_msg(
            PlanReport(stamp_ns=now_ns, frame_stamp_ns=now_ns, session=session, epoch=1,
                       state=PlanState.PLANNING)))
        chunk = ActionChunk(stamp_ns=now_ns, dt_s=robot.control_dt_s,
                            actions=np.tile(action, (rows, 1)), epoch=1, sequence=sequence,
                            observation_stamp_ns=now_ns, session=session)
        chunk_pub.publish(chunk_to_msg(
            chunk, names=interface.names, interface=interface.code))

    node.create_timer(0.05, on_frame)
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
