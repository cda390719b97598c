"""The demo's ear on the running system: it sets goals, watches the truth, keeps the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from lewm_model.errors import LewmError
from lewm_ros.msg import (
    ActionChunk,
    ControllerState,
    ExecutedCommand,
    GoalSpec,
    PlanStatus,
    SimState,
)
from lewm_ros.srv import ResetSim, SetGoal
from lewm_ros.startup.bringup import Bringup, own_node
from lewm_ros.trials.record import Frame, Record
from lewm_ros.wire import giving, qos
from lewm_ros.wire.pictures import image_to_rgb
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.reports import CommandState, PlanReport, PlanState
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns
from lewm_ros.wire.status import msg_to_plan_report
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC
from lewm_sim.tasks import Outcome, Task
import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

_TRUTHS = 10_000    # one for each control step


class DemoError(LewmError):
    """The system does not do what the demo needs."""


class DemoClient:
    """Subscriptions and service clients in one place.

    Args:
        node: Owner; its namespace is the system's.
        executor: Spun while waiting.
        task: What is simulated.
        check: Called while waiting; raises when a process ended.
    """

    def __init__(self, node: Node, executor: Executor, task: Task,
                 check: Callable[[], None]) -> None:
        self.record = Record()
        self.truth: np.ndarray | None = None   # newest truth, (q,)
        self.truth_stamp_ns = 0
        self.truths: deque[tuple[int, np.ndarray]] = deque(maxlen=_TRUTHS)   # stamps, values
        self.rgb: np.ndarray | None = None    # newest picture
        self.rgb_stamp_ns = 0
        self.report: PlanReport | None = None
        self.fault_since_s: float | None = None   # steady clock; None: the planner is well
        self._imagination = b''    # JPEG of the newest picture
        self.node, self._executor = node, executor
        self._task = task
        self._check = check
        self._pictures: dict[int, np.ndarray] = {}
        self._open_chunks: dict[int, tuple[int, int]] = {}  # seq -> (committed, frame stamp)
        self._reset = node.create_client(ResetSim, 'sim_node/reset')
        self._set_goal = node.create_client(SetGoal, 'goal_node/set_goal')
        self._clear_goal = node.create_client(Trigger, 'goal_node/clear_goal')
        for kind, topic, callback, profile in (
                (Image, task.robot.image_topic, self._on_image, qos.SENSOR),
                (SimState, TRUTH_TOPIC, self._on_truth, qos.RECORD),
                (PlanStatus, 'plan_status', self._on_status, qos.RECORD),
                (ActionChunk, 'action_chunk', self._on_chunk, qos.RECORD),
                (ExecutedCommand, task.robot.executed_topic, self._on_executed, qos.RECORD),
                (ControllerState, 'controller_state', self._on_controller, qos.RECORD),
                (DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.RECORD)):
            node.create_subscription(kind, topic, callback, profile)

    def watch_imagination(self) -> None:
        """Look at what the planner imagines from now on; `note_frame` keeps it."""
        self.node.create_subscription(Image, 'imagination', self._on_imagination, qos.IMAGE)

    # Requests --------------------------------------------------------------------------------

    def spin(self, seconds: float = 0.02) -> None:
        """Handle what arrives; raise if a process ended."""
        self._executor.spin_once(timeout_sec=seconds)
        self._check()

    def wait_for_data(self, timeout_s: float) -> None:
        """Wait until camera, truth and planner have been heard; raises DemoError."""
        for name, value in ((self._task.robot.image_topic, lambda: self.rgb),
                            ('plan_status', lambda: self.report),
                            (TRUTH_TOPIC, lambda: self.truth)):
            self._wait(lambda value=value: value() is not None, name, timeout_s)

    def reset(self, state: np.ndarray) -> int:
        """Put the scene into a state, (n,), and wait until camera and truth show it.

        Returns:
            When that was, simulated time [ns].
        """
        answer = self._call(self._reset, ResetSim.Request(state=state.tolist()))
        reset_ns = stamp_to_ns(answer.sim_time)
        self._wait(lambda: self.rgb_stamp_ns > reset_ns and self.truth_stamp_ns > reset_ns,
                   'picture and truth after the reset', 10.0)
        return reset_ns

    def set_goal(self, picture: Path) -> str:
        """Make a picture file the goal; return the goal's id."""
        return self.give(giving.file(str(picture.resolve())))

    def give(self, spec: GoalSpec) -> str:
        """Make what a spec asks for the goal; return the goal's id."""
        return self._call(self._set_goal, giving.add_request(spec)).goal_id

    def clear(self) -> None:
        """Take the goal back: the robot stands still until there is another one."""
        self._call(self._clear_goal, Trigger.Request())

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise DemoError(f'waited {timeout_s:g} s in vain for {what}')
            self.spin()

    def _call(self, client, request, timeout_s: float = 10.0):
        self._wait(client.service_is_ready, f'service {client.srv_name}', timeout_s)
        future = client.call_async(request)
        self._wait(future.done, f'an answer of {client.srv_name}', timeout_s)
        if not future.result().success:
            raise DemoError(f'{client.srv_name}: {future.result().message}')
        return future.result()

    def note_frame(self, goal: int, outcome: Outcome) -> None:
        """Keep the newest truth with its picture, once, as soon as both have arrived."""
        rgb = self._pictures.pop(self.truth_stamp_ns, None)
        if rgb is None:
            return
        self.record.frames.append(Frame(
            self.truth_stamp_ns, rgb, goal, outcome, self.report.goal_distance,
            self.report.plan_ms, self.report.surprise, self.report.surprise_limit,
            self._surprised, self._imagination))
        self._pictures = {stamp_ns: picture for stamp_ns, picture in self._pictures.items()
                          if stamp_ns > self.truth_stamp_ns}

    # What arrives ----------------------------------------------------------------------------

    def _on_image(self, message: Image) -> None:
        self.rgb = image_to_rgb(message)
        self.rgb_stamp_ns = header_stamp_ns(message)
        self._pictures[self.rgb_stamp_ns] = self.rgb

    def _on_imagination(self, message: Image) -> None:
        rgb = image_to_rgb(message)
        self._imagination = cv2.imencode('.jpg', rgb[..., ::-1], (
            cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes()

    def _on_truth(self, message: SimState) -> None:
        told = msg_to_truth(message)
        if told.quantities != self._task.quantities:
            raise DemoError(f'{TRUTH_TOPIC} tells {", ".join(one.name for one in told.quantities)}'
                            f'; task {self._task.name!r} has '
                            f'{", ".join(one.name for one in self._task.quantities)}')
        self.truth, self.truth_stamp_ns = told.values, told.stamp_ns
        self.truths.append((told.stamp_ns, told.values))

    def _on_status(self, message: PlanStatus) -> None:
        surprised, self.report = self._surprised, msg_to_plan_report(message)
        self.record.surprise_alarms += self._surprised and not surprised
        self.record.plans_late = self.report.deadline_misses
        if self.report.state is not PlanState.FAULT:
            self.fault_since_s = None
        elif self.fault_since_s is None:
            self.fault_since_s = time.monotonic()

    @property
    def _surprised(self) -> bool:
        """Whether the planner says that the surprise guard has raised its alarm."""
        return self.report is not None and self.report.reason.code is Code.SURPRISED

    def _on_chunk(self, message: ActionChunk) -> None:
        self.record.plan_ms.append(1e3 * message.plan_time_s)
        self.record.model_id = message.model_id
        self._open_chunks[message.seq] = (message.committed_steps,
                                          stamp_to_ns(message.obs_stamp))

    def _on_executed(self, message: ExecutedCommand) -> None:
        if message.state != CommandState.TRACKING:
            return
        self.record.command_times_s.append(time.monotonic())
        committed, frame_ns = self._open_chunks.get(message.chunk_seq, (0, None))
        # Committed rows were decided before the frame was seen; the first later row is the
        # first command that this frame can have changed.
        if frame_ns is not None and message.step >= committed:
            del self._open_chunks[message.chunk_seq]
            self.record.camera_to_command_ms.append(
                (header_stamp_ns(message) - frame_ns) / 1e6)

    def _on_controller(self, message: ControllerState) -> None:
        self.record.commands_clipped = message.commands_clipped
        self.record.commands_slewed = message.commands_slewed
        self.record.deadline_misses = message.deadline_misses

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for pair in status.values:
                if pair.key == 'real_time_factor':
                    self.record.real_time_factors.append(float(pair.value))


@contextmanager
def connected(running: Bringup, name: str, task: Task, start: np.ndarray
              ) -> Iterator[DemoClient]:
    """Activate a system that was brought up; yield its client with the scene at the start.

    Args:
        running: The processes, started and not configured yet.
        name: Of this process's node.
        task: What is simulated.
        start: State of the simulator, (n,).

    Yields:
        The client; its record stays readable after the `with` block.

    Raises:
        SystemDown: A node ended or refused.
        DemoError: Something stayed silent.
    """
    with own_node(name) as (node, executor):
        client = DemoClient(node, executor, task, running.check)
        running.activate(node, executor)
        client.wait_for_data(timeout_s=10.0)
        client.reset(start)
        yield client
