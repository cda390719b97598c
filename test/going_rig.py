"""A goal node, with a planner and a command node that the test plays itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from action_msgs.msg import GoalStatus
from lewm_ros.action import ReachGoal
from lewm_ros.msg import ControllerState, Goal, GoalSpec, PlanStatus
from lewm_ros.wire import qos
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reach_msgs import msg_to_progress, msg_to_result
from lewm_ros.wire.reaching import ReachProgress, ReachResult
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import (
    CommandState,
    ControllerReport,
    GoalKind,
    PlanReport,
    PlanState,
)
from lewm_ros.wire.status import controller_report_to_msg, plan_report_to_msg
import numpy as np
from rclpy.action import ActionClient
from ros_helpers import Graph

SUCCEEDED, CANCELED, ABORTED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED,
                                GoalStatus.STATUS_ABORTED)


def spec(grey: int, **fields) -> GoalSpec:
    """Return a grey picture as a goal, named by its grey."""
    return GoalSpec(source=GoalSpec.MESSAGE, goal_id=f'grey {grey}', image=rgb_to_image(
        np.full((6, 8, 3), grey, np.uint8), 0), **fields)


class Sent:
    """One ReachGoal that was sent."""

    def __init__(self, graph: Graph, client: ActionClient, goal: ReachGoal.Goal) -> None:
        self.feedback: list[ReachProgress] = []
        self._graph = graph
        future = client.send_goal_async(goal, feedback_callback=lambda message: (
            self.feedback.append(msg_to_progress(message.feedback))))
        self.handle = graph.wait_for(lambda: future.done() and future.result(), 'acceptance')
        self._end = self.handle.get_result_async()

    @property
    def ended(self) -> bool:
        return self._end.done()

    def end(self, timeout_s: float = 90.0) -> tuple[int, ReachResult]:
        """Wait for the end; return the action's status and the result."""
        self._graph.wait_for(self._end.done, 'the result', timeout_s)
        return self._end.result().status, msg_to_result(self._end.result().result)

    def cancel(self) -> Any:
        return self.handle.cancel_goal_async()


class Going:
    """Everybody around the goal node, at 20 Hz, while the graph is spun.

    Attributes:
        distance: What the planner says; below 0.1 it calls the goal reached.
        speaks: Who does.
        controller: What the command node says while there is a goal; None: as it should.
    """

    def __init__(self, graph: Graph, folder: Path, **parameters) -> None:
        self.graph, self.log = graph, folder / 'goal_node.log'
        self.distance, self.speaks = 1.0, {'planner', 'command'}
        self.controller: ControllerReport | None = None
        self.process = graph.spawn('lewm_ros.goals.goal_node', output=self.log,
                                   parameters=parameters)
        self.goals = graph.collect(Goal, 'goal', qos.LATCHED)
        self._status = graph.node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
        self._state = graph.node.create_publisher(ControllerState, 'controller_state',
                                                  qos.RECORD)
        self._goal_id = ''
        self._timer = graph.node.create_timer(0.05, self._speak)
        self._client = ActionClient(graph.node, ReachGoal, '/goal_node/reach_goal')
        graph.wait_for(self._client.server_is_ready, 'the action server')
        graph.spin(0.5)

    def send(self, *goals: GoalSpec, **fields) -> Sent:
        """Send a ReachGoal."""
        return Sent(self.graph, self._client, ReachGoal.Goal(goals=list(goals), **fields))

    def in_force(self) -> str:
        """Return the id of the goal on the topic; '' if there is none."""
        newest = self.goals[-1][1] if self.goals else Goal()
        return newest.goal_id if newest.kind != GoalKind.NONE else ''

    def wait_in_force(self, goal_id: str) -> None:
        """Wait until this is the goal."""
        self.graph.wait_for(lambda: self.in_force() == goal_id, f'goal {goal_id!r}')

    def _speak(self) -> None:
        now_ns = self.graph.node.get_clock().now().nanoseconds
        goal_id, before = self.in_force(), self._goal_id
        self._goal_id = goal_id
        state = (PlanState.NO_GOAL if not goal_id else PlanState.REACHED
                 if self.distance < 0.1 and goal_id == before else PlanState.PLANNING)
        if 'planner' in self.speaks:
            self._status.publish(plan_report_to_msg(PlanReport(
                stamp_ns=now_ns, frame_stamp_ns=now_ns, session=7, epoch=0, state=state,
                goal_id=goal_id, goal_distance=self.distance, goal_tolerance=0.1)))
        moves = bool(goal_id) and 'planner' in self.speaks
        report = self.controller or ControllerReport(
            stamp_ns=now_ns, session=7, at_rest=not moves, reason=Reason() if moves else Reason(
                Code.PLAN_WITHDRAWN, 'no plan'),
            state=CommandState.TRACKING if moves else CommandState.STOPPED)
        if 'command' in self.speaks:
            self._state.publish(controller_report_to_msg(report))
