"""What teleoperation and exploration say in the planner's place."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.sources.chunk_source import ChunkSource  # noqa: E402
from lewm_ros.wire.motion import msg_to_chunk  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from lewm_ros.wire.robot_interface import RobotInterface  # noqa: E402
from lewm_ros.wire.status import msg_to_plan_report  # noqa: E402


def source() -> tuple[ChunkSource, list, list]:
    chunks, reports = [], []
    made = ChunkSource('a person', RobotInterface(RobotDescription.from_yaml('sim_reacher')),
                       chunks.append, reports.append)
    return made, chunks, reports


def test_heartbeats_and_chunks_belong_to_one_session():
    """Same session and epoch in both; the epoch rises when earlier chunks no longer hold."""
    made, chunks, reports = source()
    for epoch in range(2):
        made.heartbeat(70, driving=True)
        made.send(np.ones((3, 2)), start_ns=100, frame_ns=70)
        report = msg_to_plan_report(reports[-1])
        chunk = msg_to_chunk(chunks[-1], names=['shoulder', 'wrist'], interface=2)
        assert (report.session, report.epoch) == (chunk.session, chunk.epoch)
        assert (chunk.session, chunk.epoch, chunk.sequence) == (made.session, epoch, epoch)
        assert (chunk.stamp_ns, chunk.observation_stamp_ns) == (100, 70)
        assert (report.stamp_ns, report.frame_stamp_ns) == (70, 70)
        made.withdraw()


def test_two_sources_are_told_apart():
    """Each draws a session of its own, not 0."""
    sessions = {source()[0].session for _ in range(50)}
    assert len(sessions) == 50 and 0 not in sessions


def test_a_heartbeat_says_whether_somebody_drives():
    """IDLE is alive but does not move the robot."""
    made, _, reports = source()
    made.heartbeat(1, driving=False)
    made.heartbeat(2, driving=True)
    assert [msg_to_plan_report(report).state for report in reports] == [
        PlanState.IDLE, PlanState.PLANNING]
