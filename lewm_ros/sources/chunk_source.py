"""Heartbeats and chunks of who drives instead of the planner, said as the planner says them."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.types import ActionChunk
from lewm_ros import msg as interfaces
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.reports import PlanReport, PlanState, random_session
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import plan_report_to_msg
import numpy as np


class ChunkSource:
    """One session: heartbeats, and chunks that are counted.

    Args:
        name: Of the source, for people.
        interface: Of the robot that is driven.
        send_chunk: Publishes on `action_chunk`.
        send_status: Publishes on `plan_status`.

    Attributes:
        session: Random; the command node follows one session at a time.
        epoch: Counts from 0; chunks of an earlier one are withdrawn.
        dt_ns: The robot's control step.
    """

    def __init__(self, name: str, interface: RobotInterface,
                 send_chunk: Callable[[interfaces.ActionChunk], None],
                 send_status: Callable[[interfaces.PlanStatus], None]) -> None:
        self._name, self._interface = name, interface
        self._send_chunk, self._send_status = send_chunk, send_status
        self.session = random_session()
        self.epoch = 0
        self.dt_ns = interface.robot.control_dt_ns
        self._sequence = 0

    def withdraw(self) -> None:
        """Begin a new epoch: what was sent before no longer holds."""
        self.epoch += 1

    def heartbeat(self, frame_ns: int, *, driving: bool) -> None:
        """Say that camera and source live; once per frame, stamped as the frame is."""
        self._send_status(plan_report_to_msg(PlanReport(
            stamp_ns=frame_ns, frame_stamp_ns=frame_ns, session=self.session, epoch=self.epoch,
            backend=self._name, state=PlanState.PLANNING if driving else PlanState.IDLE)))

    def send(self, actions: np.ndarray, *, start_ns: int, frame_ns: int) -> None:
        """Send a chunk.

        Args:
            actions: (N, A), robot units, one row per control step.
            start_ns: When row 0 is executed.
            frame_ns: Of the frame that was answered.
        """
        self._send_chunk(chunk_to_msg(
            ActionChunk(stamp_ns=start_ns, dt_s=self.dt_ns / 1e9,
                        actions=actions.astype(np.float32), epoch=self.epoch,
                        sequence=self._sequence, observation_stamp_ns=frame_ns,
                        session=self.session),
            names=self._interface.names, interface=self._interface.code, model_id=self._name))
        self._sequence = (self._sequence + 1) % 2**32
