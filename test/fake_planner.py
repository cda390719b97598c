"""A planner and camera in one small process: chunks and heartbeats at 20 Hz, no model.

Run by the tests of the command node. Sending it SIGUSR1 stops the "camera": the process lives
on, and publishes neither frames' heartbeats nor chunks.
"""

import contextlib
import signal
import sys

from lewm_model.types import ActionChunk
from lewm_ros import conversions, qos
from lewm_ros.msg import ActionChunk as ActionChunkMsg, PlanStatus
from lewm_ros.reports import PlanReport, PlanState
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException

NAMES = ['shoulder', 'wrist']


def main() -> None:
    """Plan to turn at the speed given on the command line, for a second, again and again."""
    speed = float(sys.argv[1])
    rclpy.init()
    node = rclpy.create_node('fake_planner')
    chunk_pub = node.create_publisher(ActionChunkMsg, 'action_chunk', qos.LATEST)
    status_pub = node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
    blind = []
    signal.signal(signal.SIGUSR1, lambda *_: blind.append(True))
    sequence = 0

    def on_frame() -> None:
        nonlocal sequence
        if blind:
            return
        now_ns = node.get_clock().now().nanoseconds
        sequence += 1
        status_pub.publish(conversions.plan_report_to_msg(
            PlanReport(stamp_ns=now_ns, epoch=1, state=PlanState.PLANNING)))
        chunk = ActionChunk(stamp_ns=now_ns, dt_s=0.05, actions=np.full((20, 2), speed),
                            epoch=1, sequence=sequence, observation_stamp_ns=now_ns)
        chunk_pub.publish(conversions.chunk_to_msg(
            chunk, names=NAMES, interface=ActionChunkMsg.JOINT_VELOCITY))

    node.create_timer(0.05, on_frame)
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
