"""Good messages of every kind that our nodes listen to, to be damaged."""

from __future__ import annotations

from typing import Any

from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk, Imagined
from lewm_ros import msg as interfaces
from lewm_ros.action import ReachGoal
from lewm_ros.wire import giving
from lewm_ros.wire.goals import picture_goal_to_msg
from lewm_ros.wire.imagined import imagined_to_msg
from lewm_ros.wire.motion import chunk_to_msg, executed_to_msg, joints_to_msg
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reach_msgs import order_to_msg
from lewm_ros.wire.reaching import ReachOrder
from lewm_ros.wire.reports import (
    CommandState,
    ControllerReport,
    ExecutedStep,
    PlanReport,
    PlanState,
)
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import controller_report_to_msg, plan_report_to_msg
import numpy as np

NOW_NS = 5_000_000_000
# Of a chunk and of a status that have nothing to do with each other: together they must not move.
CHUNK_SESSION, STATUS_SESSION = 0xC0FFEE_0001, 0xC0FFEE_0002


def samples_of(robot: str) -> dict[type, Any]:
    """Return good messages for a robot, by class."""
    described = RobotDescription.from_yaml(robot)
    interface = RobotInterface(described)
    size, names = described.action_dim, interface.names
    picture = np.full((8, 8, 3), 90, np.uint8)
    chunk = ActionChunk(stamp_ns=NOW_NS, dt_s=described.control_dt_s,
                        actions=np.full((10, size), 0.1, np.float32), epoch=0, sequence=3,
                        observation_stamp_ns=NOW_NS, session=CHUNK_SESSION)
    messages = [
        chunk_to_msg(chunk, names=names, interface=interface.code),
        plan_report_to_msg(PlanReport(stamp_ns=NOW_NS, frame_stamp_ns=NOW_NS,
                                      session=STATUS_SESSION, epoch=0,
                                      state=PlanState.PLANNING)),
        controller_report_to_msg(ControllerReport(stamp_ns=NOW_NS, state=CommandState.TRACKING,
                                                  session=STATUS_SESSION)),
        executed_to_msg(ExecutedStep(stamp_ns=NOW_NS, requested=np.zeros(size),
                                     executed=np.zeros(size)), names=names,
                        interface=interface.code),
        picture_goal_to_msg(picture, stamp_ns=NOW_NS),
        imagined_to_msg(Imagined(
            stamp_ns=NOW_NS, sequence=3, goal_id='g', seen=np.zeros(4, np.float32),
            goal=np.ones(4, np.float32), plan=np.zeros((3, 4), np.float32),
            costs=np.arange(2, dtype=np.float32), fan=np.zeros((2, 3, 4), np.float32)),
            session=STATUS_SESSION, epoch=0, model_id='m', block_s=0.25),
        rgb_to_image(picture, NOW_NS),
        joints_to_msg(NOW_NS, names, np.zeros(size), np.zeros(size)),
        ReachGoal.Impl.SendGoalService.Request(goal=order_to_msg(
            ReachOrder(timeout_s=5.0), [giving.picture(picture)] * 2)),
        *(message for _, message in interface.to_msgs(np.zeros(size), NOW_NS))]
    found = {type(message): message for message in messages}
    found.setdefault(interfaces.EpisodeInfo, interfaces.EpisodeInfo(episode_id='e', phase=1))
    return found
