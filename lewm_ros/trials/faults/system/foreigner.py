"""Somebody who speaks as a planner does, and is none of ours; for trials only."""

from __future__ import annotations

from collections.abc import Callable
import itertools

from lewm_model.types import ActionChunk
from lewm_ros.msg import ActionChunk as ActionChunkMsg, PlanStatus
from lewm_ros.trials.faults.system.rig import Rig
from lewm_ros.wire import qos
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.reports import PlanReport, PlanState, random_session
from lewm_ros.wire.status import plan_report_to_msg
import numpy as np


class Foreigner:
    """Speaks as a planner does, in a session of its own."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._session = rig, random_session()
        self._status = rig.node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
        self._chunks = rig.node.create_publisher(ActionChunkMsg, 'action_chunk', qos.LATEST)
        self._sequence = itertools.count()
        self._timer = None

    def _now_ns(self) -> int:
        return self._rig.report.header.stamp.sec * 10**9 + self._rig.report.header.stamp.nanosec

    def beat(self) -> None:
        """Send a heartbeat."""
        now_ns = self._now_ns()
        self._status.publish(plan_report_to_msg(PlanReport(
            stamp_ns=now_ns, frame_stamp_ns=now_ns, session=self._session, epoch=0,
            state=PlanState.PLANNING)))

    def plan(self) -> None:
        """Send a plan from one end of the command range to the other."""
        robot, now_ns = self._rig.arm.description, self._now_ns()
        ends = np.where(np.arange(20)[:, None] % 2, robot.min_command, robot.max_command)
        chunk = ActionChunk(stamp_ns=now_ns, dt_s=robot.control_dt_s, actions=ends, epoch=0,
                            sequence=next(self._sequence), observation_stamp_ns=now_ns,
                            session=self._session)
        self._chunks.publish(chunk_to_msg(chunk, names=self._rig.robot.names,
                                          interface=self._rig.robot.code))

    def broken_plan(self) -> None:
        """Send a plan that cannot be: NaN, other joints, absurd sizes, in turn."""
        message = ActionChunkMsg(session=self._session, names=self._rig.robot.names, horizon=2,
                                 action_dim=2, dt=0.05, interface=self._rig.robot.code,
                                 actions=[float('nan')] * 4, seq=next(self._sequence))
        kind = message.seq % 3
        if kind == 1:
            message.names = ['somebody', 'else']
        elif kind == 2:
            message.horizon, message.action_dim = 2**32 - 1, 2**32 - 1
        self._chunks.publish(message)

    def every(self, period_s: float, *verbs: Callable[[], None]) -> Callable[[], None]:
        """Speak until undone."""
        self._timer = self._rig.node.create_timer(
            period_s, lambda: [verb() for verb in verbs])

        def undo() -> None:
            self._rig.node.destroy_timer(self._timer)
            self._rig.node.destroy_publisher(self._status)
            self._rig.node.destroy_publisher(self._chunks)
        return undo
