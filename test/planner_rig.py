"""A graph with a planner process, a camera made by the test, and what the planner says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lewm_ros.msg import ActionChunk, ControllerState, Goal, PlanStatus
from lewm_ros.wire import qos
from lewm_ros.wire.goals import picture_goal_to_msg
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reports import CommandState, ControllerReport, PlanState
from lewm_ros.wire.status import controller_report_to_msg
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nano import tiny_bundle
import numpy as np
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from ros_helpers import Graph
from sensor_msgs.msg import Image

STEP_NS = 50_000_000
PERIOD_S = 0.05       # of the camera
FOLLOWED = (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED)   # there is a plan


class Rig:
    """A planner, a camera at 20 Hz and what the planner says."""

    def __init__(self, graph: Graph, folder: Path, *, activate: bool = True,
                 module: str = 'lewm_ros.planner.planner_node', **parameters) -> None:
        self.graph = graph
        self.log = folder / 'planner_node.log'
        if 'bundle' not in parameters:
            tiny_bundle().save(folder / 'tiny')
            parameters['bundle'] = str(folder / 'tiny')
        self.process = graph.spawn(module, output=self.log, parameters=parameters)
        self.camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
        self.goal_pub = graph.node.create_publisher(Goal, 'goal', qos.LATCHED)
        self.controller_pub = graph.node.create_publisher(
            ControllerState, 'controller_state', qos.RECORD)
        self.status = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        self.chunks = graph.collect(ActionChunk, 'action_chunk', qos.RECORD)
        self.diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
        self.stamps: list[int] = []
        if activate:
            graph.transition('planner_node', 'configure', 'activate')
            graph.wait_for(self.camera.get_subscription_count, 'the camera reader')

    def send_goal(self, grey: int, **values) -> str:
        """Ask for a grey picture; return its id."""
        goal = picture_goal_to_msg(np.full((64, 64, 3), grey, np.uint8), stamp_ns=0, **values)
        self.goal_pub.publish(goal)
        return goal.goal_id

    def controller(self, state: CommandState) -> None:
        """Be the command node for a moment."""
        self.controller_pub.publish(controller_report_to_msg(ControllerReport(
            stamp_ns=self.now_ns(), state=state, session=self.last.session)))

    def film(self, seconds: float, *, age_s: float = 0.0,
             until: Callable[[], Any] = lambda: False) -> None:
        """Publish frames in real time, stamped `age_s` before now, until something is so.

        Frames that it comes too late for are left out: no camera sends them in a burst.
        """
        next_s = time.monotonic()
        end_s = next_s + seconds
        while next_s < end_s and not until():
            stamp_ns = self.now_ns() - round(age_s * 1e9)
            frame = np.full((64, 64, 3), len(self.stamps) % 256, np.uint8)
            self.camera.publish(rgb_to_image(frame, stamp_ns))
            self.stamps.append(stamp_ns)
            late_s = max(time.monotonic() - next_s, 0.0)
            next_s += PERIOD_S * (1 + late_s // PERIOD_S)
            self.graph.spin_until(until, max(next_s - time.monotonic(), 0.001))

    def film_until(self, condition: Callable, what: str, timeout_s: float = 60.0, *,
                   age_s: float = 0.0) -> None:
        """Film until something is so; it is asked after every message, so what passes is seen."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            self.film(0.1, age_s=age_s, until=condition)

    def film_without_chunks(self) -> None:
        """Film until 0.6 s pass without a chunk: one that was on its way does not count."""
        def silent() -> bool:
            count = len(self.chunks)
            self.film(0.6)
            return len(self.chunks) == count

        self.graph.wait_for(silent, '0.6 s without chunks')

    def film_planning(self, what: str = 'a plan', timeout_s: float = 60.0) -> None:
        """Film until a chunk follows that was not there before."""
        count = len(self.chunks)
        self.film_until(lambda: len(self.chunks) > count and self.status
                        and self.last.state in FOLLOWED, what, timeout_s)

    def change(self, transition: int) -> bool:
        """Ask for a transition; return whether it succeeded."""
        return self.graph.call(ChangeState, '/planner_node/change_state', ChangeState.Request(
            transition=Transition(id=transition))).success

    def lifecycle_state(self) -> str:
        """Ask for the label of the lifecycle state."""
        return self.graph.lifecycle_state('/planner_node')

    def set_parameters(self, **values) -> str:
        """Set a batch; return why it was refused, or nothing."""
        message = [ParameterMsg(name=name, value=Parameter(name, value=value)
                                .get_parameter_value()) for name, value in values.items()]
        result = self.graph.call(
            SetParametersAtomically, '/planner_node/set_parameters_atomically',
            SetParametersAtomically.Request(parameters=message)).result
        return '' if result.successful else result.reason

    def now_ns(self) -> int:
        """Return the node clock."""
        return self.graph.node.get_clock().now().nanoseconds

    @property
    def last(self) -> PlanStatus:
        """The newest status."""
        return self.status[-1][1]
