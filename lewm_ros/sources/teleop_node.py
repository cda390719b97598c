"""Lets a person drive: commands of any teleop node become chunks, and so go through all limits.

The command node limits them, watches camera and person, and publishes what was executed, which
is the action that training needs. A command lasts a moment; silence stops the robot. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import math
import sys

from lewm_model.errors import LewmError
from lewm_model.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros import msg as interfaces
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.run_node import run_node
from lewm_ros.wire import qos
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.reports import PlanReport, PlanState, random_session
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header_stamp_ns
from lewm_ros.wire.status import plan_report_to_msg
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo


@dataclass(frozen=True)
class TeleopParameters:
    """Settings of the teleoperation."""

    robot: str = parameter('sim_reacher', 'robot description: a shipped name or a YAML file',
                           read_only=True)
    timeout_s: float = parameter(0.3, 'a command of the person lasts this long, steady clock [s]',
                                 low=0.05, high=2.0)


class TeleopNode(Node):
    """Turns `teleop_command`, of the robot's own command type, into chunks.

    A robot with several command topics is driven on one topic for each: `teleop_command/<topic>`.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__('teleop_node', **kwargs)
        self._given = NodeParameters(self, TeleopParameters)
        robot = RobotDescription.from_yaml(self._given.values.robot)
        self._interface = RobotInterface(robot)
        self._dt_ns = robot.control_dt_ns
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        # (A,), what the person wants, and when each joint of it came, steady
        self._action = np.full(robot.action_dim, np.nan)
        self._action_s = np.full(robot.action_dim, -math.inf)
        self._anchor_ns: int | None = None       # of the control grid, while the person drives
        self._newest_ns = 0
        self._session = random_session()
        self._epoch = self._sequence = 0
        self._chunk_pub = self.create_publisher(interfaces.ActionChunk, 'action_chunk', qos.LATEST)
        self._status_pub = self.create_publisher(interfaces.PlanStatus, 'plan_status', qos.RECORD)
        for output, (topic, kind) in enumerate(self._interface.outputs):
            own = f'/{topic.strip("/")}' if len(self._interface.outputs) > 1 else ''
            self.create_subscription(kind, f'teleop_command{own}',
                                     partial(self._on_command, output), qos.LATEST)
        # It comes with every frame, has the frame's stamp, and is small.
        self.create_subscription(CameraInfo, robot.camera_info_topic, self._on_frame, qos.IMAGE)

    def _on_command(self, output: int, message) -> None:
        try:
            places, values = self._interface.read(output, message)
        except LewmError as error:
            self.get_logger().error(f'command refused: {error}', throttle_duration_sec=1.0)
            return
        self._action[places], self._action_s[places] = values, self._now_s()

    def _on_frame(self, message: CameraInfo) -> None:
        stamp_ns = header_stamp_ns(message)
        if stamp_ns < self._newest_ns:           # the clock jumped: nothing from before holds
            self._anchor_ns = None
        self._newest_ns = stamp_ns
        age_s = self._now_s() - self._action_s.min()   # with several topics, all must be driven
        driving = age_s < self._given.values.timeout_s
        if driving and self._anchor_ns is None:
            self._anchor_ns, self._epoch = stamp_ns, self._epoch + 1
        elif not driving:
            self._anchor_ns = None
        self._status_pub.publish(plan_report_to_msg(PlanReport(
            stamp_ns=stamp_ns, frame_stamp_ns=stamp_ns, session=self._session,
            epoch=self._epoch, backend='teleop',
            state=PlanState.PLANNING if driving else PlanState.IDLE)))
        if driving:
            self._send(stamp_ns, self._given.values.timeout_s - age_s)

    def _send(self, stamp_ns: int, seconds: float) -> None:
        """Send the command for the rest of its life, on one grid so that no step is cut short."""
        row = (stamp_ns - self._anchor_ns) // self._dt_ns
        count = math.ceil(seconds * 1e9 / self._dt_ns) + 1
        chunk = ActionChunk(
            stamp_ns=self._anchor_ns + row * self._dt_ns, dt_s=self._dt_ns / 1e9,
            actions=np.tile(self._action.astype(np.float32), (count, 1)), epoch=self._epoch,
            sequence=self._sequence, observation_stamp_ns=stamp_ns, session=self._session)
        self._sequence += 1
        self._chunk_pub.publish(chunk_to_msg(
            chunk, names=self._interface.names, interface=self._interface.code,
            model_id='teleop'))

    def _now_s(self) -> float:
        return self._steady.now().nanoseconds / 1e9


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(TeleopNode, args)


if __name__ == '__main__':
    sys.exit(main())
