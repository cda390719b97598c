"""What the camera bench hears of planner and command node."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.robots.robot import RobotDescription
from lewm_ros.msg import ActionChunk, ExecutedCommand, PlanStatus
from lewm_ros.planner.parameters import PlannerParameters
from lewm_ros.wire.motion import joints_to_msg
from lewm_ros.wire.reports import CommandState
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

_ALL = QoSProfile(depth=5000, reliability=ReliabilityPolicy.RELIABLE)
_STATE_PERIOD_S = 0.02


class CameraEar:
    """Notes which frames were answered and when a frame first changed a command.

    It also stands for the robot: listens on the command topics, and reports joints at rest.

    Args:
        node: Owner of the subscriptions.
        robot: Of the case.
    """

    def __init__(self, node: Node, robot: RobotDescription) -> None:
        self._answered: set[int] = set()
        self._plan_ms: list[float] = []
        self._open: dict[int, tuple[int, int, float]] = {}   # committed, stamp, chunk [s]
        self._lags: list[tuple[float, float]] = []           # camera to command, to chunk [s]
        self._robot, self._node = robot, node
        node.create_subscription(PlanStatus, 'plan_status', self._on_status, _ALL)
        node.create_subscription(ActionChunk, 'action_chunk', self._on_chunk, _ALL)
        interface = RobotInterface(robot)
        node.create_subscription(ExecutedCommand, interface.executed_topic, self._on_executed,
                                 _ALL)
        for topic, kind in interface.outputs:
            node.create_subscription(kind, topic, lambda message: None, 10)
        self._joints = node.create_publisher(JointState, robot.joint_state_topic, 10)
        node.create_timer(_STATE_PERIOD_S, self._rest)

    def facts(self, sent: Sequence[int], control_dt_s: float) -> dict:
        """Return counts and times; `sent` are the stamps of all frames [ns]."""
        answered = len(self._answered & set(sent))
        lags = np.array(self._lags or [(np.nan, np.nan)])
        cuts = np.round(1e3 * np.quantile(lags[:, 0], (0.5, 0.99, 1.0)), 1).tolist()
        return {
            'sent': len(sent), 'answered': answered, 'share': round(answered / len(sent), 4),
            'camera_to_command_ms': dict(zip(('p50', 'p99', 'max'), cuts, strict=True)),
            'plan_ms': dict(zip(('p50', 'p99'), np.round(np.quantile(
                self._plan_ms or [np.nan], (0.5, 0.99)), 1).tolist(), strict=True)),
            'chunk_ms': dict(zip(('p50', 'p95'), np.round(1e3 * np.quantile(
                lags[:, 1], (0.5, 0.95)), 1).tolist(), strict=True)),
            'plans': len(self._lags), 'within_limit': in_time(self._lags, control_dt_s),
            'raw_ms': np.round(1e3 * lags, 1).tolist()}

    def _on_status(self, message: PlanStatus) -> None:
        self._answered.add(header_stamp_ns(message))

    def _on_chunk(self, message: ActionChunk, info: dict) -> None:
        frame_ns = stamp_to_ns(message.obs_stamp)
        self._plan_ms.append(1e3 * message.plan_time_s)
        self._open[message.seq] = (message.committed_steps, frame_ns,
                                   (info['source_timestamp'] - frame_ns) / 1e9)

    def _on_executed(self, message: ExecutedCommand) -> None:
        committed, frame_ns, chunk_s = self._open.get(message.chunk_seq, (0, None, 0.0))
        # Committed rows were decided before the frame was seen; the first later row is the
        # first command that this frame can have changed.
        if frame_ns is not None and message.state == CommandState.TRACKING and (
                message.step >= committed):
            del self._open[message.chunk_seq]
            self._lags.append(((header_stamp_ns(message) - frame_ns) / 1e9, chunk_s))

    def _rest(self) -> None:
        names = self._robot.state_names
        still = np.zeros(len(names))
        self._joints.publish(joints_to_msg(self._node.get_clock().now().nanoseconds, names, still,
                                           still))


def in_time(lags: Sequence[tuple[float, float]], control_dt_s: float) -> int:
    """Count the frames that changed a command within one control period and one plan.

    Control steps are reserved for the slowest plans of late, not for the one that is being made.
    So one plan is the 95th percentile of the times from a frame to its chunk, and what the planner
    reserves for the way to the robot, or the frame's own time if that was longer.

    Args:
        lags: From the frame to the first command that it changed, and to its chunk [s].
        control_dt_s: Control period.
    """
    if not lags:
        return 0
    lag_s, chunk_s = np.array(lags).T
    reserved_s = np.quantile(chunk_s, 0.95) + PlannerParameters().latency_margin_s
    return int((lag_s <= control_dt_s + np.maximum(chunk_s, reserved_s) + 1e-6).sum())
