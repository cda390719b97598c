"""The planner as a lifecycle node: camera frames and a goal in, action chunks out.

Callbacks only put messages into a box and answer each frame with a heartbeat; one planner thread
does everything else (decode, encode, plan, publish). So heartbeats go on while a plan is being
made, and stop when the planner thread dies or is stuck: the command node then stops the robot.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_model.errors import LewmError
from lewm_model.types import ActionChunk
from lewm_ros.msg import ActionChunk as ActionChunkMsg, ExecutedCommand, Goal, PlanStatus
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.entities import Entities
from lewm_ros.node.guard import Guard
from lewm_ros.node.parameters import NodeParameters
from lewm_ros.node.run_node import run_node
from lewm_ros.planner.goal_progress import GoalProgress
from lewm_ros.planner.latency import Latency
from lewm_ros.planner.plan_loop import LoopSettings, PlanLoop
from lewm_ros.planner.setup import PlannerParameters, prepare, Prepared
from lewm_ros.wire import qos
from lewm_ros.wire.goals import msg_to_goal
from lewm_ros.wire.motion import chunk_to_msg, msg_to_executed
from lewm_ros.wire.reasons import Code, Reason, reason_of
from lewm_ros.wire.reports import GoalKind, PlanState, random_session
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns
from lewm_ros.wire.status import diagnostics_to_msg, plan_report_to_msg
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

_WAKE_S = 0.2          # the thread looks at its stop flag at least this often
_JOIN_S = 5.0          # patience with a plan in progress when the node is deactivated


@dataclass
class Box:
    """What callbacks leave for the planner thread; only the newest of each counts."""

    frames: tuple[Frame, ...] = ()     # one of each camera
    goal: Goal | None = None
    reset: Header | None = None
    executed: deque | None = None


class PlannerNode(LifecycleNode):
    """Runs a policy; see `plan_loop` for what it decides."""

    def __init__(self, **kwargs) -> None:
        super().__init__('planner_node', **kwargs)
        self.settings = NodeParameters(self, PlannerParameters).values
        self._prepared: Prepared | None = None
        self._loop: PlanLoop | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Condition()
        self._box = Box(executed=deque(maxlen=1000))
        self._stop = False
        self._busy_since_s: float | None = None
        self._crash = ''
        self._while_active: list = []  # subscriptions and timers
        self._cameras: CameraInput | None = None      # exists while the node is active
        self._camera_entities = Entities(self, Guard(self.get_logger()))

    # Lifecycle ------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up; a bundle that is missing or does not fit is a failure."""
        try:
            self._prepared = prepare(self.settings)
            self._interface = RobotInterface(self._prepared.robot)
        except LewmError as error:
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._chunk_pub = self.create_lifecycle_publisher(
            ActionChunkMsg, 'action_chunk', qos.LATEST)
        self._status_pub = self.create_lifecycle_publisher(PlanStatus, 'plan_status', qos.RECORD)
        self._diagnostics_pub = self.create_lifecycle_publisher(
            DiagnosticArray, '/diagnostics', qos.RECORD)
        bundle, config = self._prepared.policy.bundle, self._prepared.policy.config
        self.get_logger().info(
            f'bundle {self.settings.bundle!r} ({bundle.model_id}) for robot {bundle.robot!r}: '
            f'{config.num_candidates} candidates, {config.iterations} iterations, '
            f'{config.horizon} blocks, {1e3 * self._prepared.first_latency_s:.0f} ms per plan '
            f'on {self._prepared.policy.backend}')
        if bundle.view is None:
            self.get_logger().warning(
                f'bundle {self.settings.bundle!r} does not say what shape its pictures had, so '
                f'those of the camera and goals are not checked; train it anew to have it')
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the planner thread, then listen."""
        prepared, settings = self._prepared, self.settings
        prepared.policy.reset()
        self._loop = PlanLoop(
            prepared.policy,
            LoopSettings(prepared.replan_steps, settings.obs_max_age_s,
                         settings.obs_max_future_s, settings.dry_run,
                         prepared.policy.backend),
            latency=Latency(dt_s=prepared.robot.control_dt_s,
                            max_steps=prepared.max_committed_steps,
                            margin_s=settings.latency_margin_s,
                            first_s=prepared.first_latency_s),
            progress=GoalProgress(tolerance=prepared.goal_tolerance,
                                  dwell_s=settings.goal_dwell_s, stall_s=settings.stall_s),
            session=random_session(), publish=self._publish_chunk, now_ns=self._now_ns)
        self._box = Box(executed=deque(maxlen=1000))
        self._stop, self._crash, self._busy_since_s = False, '', None
        self._thread = threading.Thread(target=self._work, name='planner', daemon=True)
        self._thread.start()
        super().on_activate(state)  # publishers first: the first frame is answered at once
        self._cameras = CameraInput(self, self._camera_entities, prepared.robot, self._on_frames)
        self._while_active = [
            self.create_subscription(Goal, 'goal', self._on_goal, qos.LATCHED),
            self.create_subscription(Header, 'scene_reset', self._on_reset, qos.RECORD),
            self.create_subscription(ExecutedCommand, self._interface.executed_topic,
                                     self._on_executed, qos.RECORD),
            self.create_timer(1.0, self._publish_diagnostics,
                              clock=Clock(clock_type=ClockType.STEADY_TIME))]
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and planning; the silence stops the robot."""
        self.end_work()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self.end_work()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a transition that raised."""
        self.end_work()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def end_work(self) -> None:
        """Stop listening and planning; may be called in any state."""
        for entity in self._while_active:
            destroy = (self.destroy_timer if hasattr(entity, 'cancel')
                       else self.destroy_subscription)
            destroy(entity)
        self._while_active = []
        self._camera_entities.withdraw()
        self._cameras = None
        if self._thread is not None:
            with self._wake:
                self._stop = True
                self._wake.notify()
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                self.get_logger().error(f'the planner thread is stuck for over {_JOIN_S} s')
            self._thread = None

    def _release(self) -> None:
        if self._prepared is not None:
            for publisher in (self._chunk_pub, self._status_pub, self._diagnostics_pub):
                self.destroy_lifecycle_publisher(publisher)
        self._prepared = self._loop = None

    # Callbacks: the executor's thread --------------------------------------------------------

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        self._put(frames=frames)
        stamp_ns = header_stamp_ns(frames[0])
        if not self._trouble():
            self._status_pub.publish(plan_report_to_msg(replace(
                self._loop.report, stamp_ns=stamp_ns,
                obs_age_s=(self._now_ns() - stamp_ns) / 1e9)))

    def _on_goal(self, message: Goal) -> None:
        self._put(goal=message)

    def _on_reset(self, message: Header) -> None:
        self._put(reset=message)

    def _on_executed(self, message: ExecutedCommand) -> None:
        with self._wake:  # no need to wake anybody: it is read with the next frame
            self._box.executed.append(message)

    def _put(self, **messages) -> None:
        with self._wake:
            for name, message in messages.items():
                setattr(self._box, name, message)
            self._wake.notify()

    def _trouble(self) -> str:
        """Say what is wrong with the planner thread, or nothing."""
        if self._crash:
            return f'the planner thread died: {self._crash}'
        busy_since_s = self._busy_since_s
        if busy_since_s is not None:
            busy_s = time.monotonic() - busy_since_s
            if busy_s > self.settings.stuck_limit_s:
                return f'the planner thread is stuck for {busy_s:.1f} s'
        return ''

    def _publish_diagnostics(self) -> None:
        report, latency = self._loop.report, self._loop.latency
        cameras = self._cameras
        silence = cameras.silence()
        trouble = self._trouble() or silence
        sight = self._prepared.sight
        warnings = [*filter(None, [sight.note]), *cameras.warnings(sight.misfits)]
        if warnings:
            self.get_logger().warning('; '.join(warnings), throttle_duration_sec=10.0)
        bad = bool(trouble) or report.state in (PlanState.FAULT, PlanState.NO_OBS)
        level = (DiagnosticStatus.ERROR if bad else DiagnosticStatus.WARN
                 if warnings or report.state is PlanState.STALLED else DiagnosticStatus.OK)
        if trouble:
            self.get_logger().error(trouble, throttle_duration_sec=5.0)
        if silence:     # there is no frame to answer with the reason
            self._status_pub.publish(plan_report_to_msg(replace(
                report, state=PlanState.NO_OBS, reason=Reason(Code.NO_FRAME, silence),
                stamp_ns=cameras.stamp_ns)))
        self._diagnostics_pub.publish(diagnostics_to_msg(
            self._now_ns(), f'{self.get_name()}: planner', level=level,
            summary=trouble or report.reason.text or '; '.join(warnings) or report.state.name,
            values={'state': report.state.name, 'goal': report.goal_id,
                    'goal_distance': f'{report.goal_distance:.4f}',
                    'encode_ms': f'{report.encode_ms:.1f}', 'plan_ms': f'{report.plan_ms:.1f}',
                    'latency_p50_ms': f'{1e3 * latency.quantile_s(0.5):.1f}',
                    'latency_p95_ms': f'{1e3 * latency.quantile_s(0.95):.1f}',
                    'committed_steps': latency.steps(),
                    'deadline_misses': report.deadline_misses, **cameras.values(),
                    'model_id': self._prepared.policy.bundle.model_id,
                    'backend': self._prepared.policy.backend}))

    # The planner thread ----------------------------------------------------------------------

    def _work(self) -> None:
        """Handle what is in the box until told to stop."""
        try:
            while True:
                with self._wake:
                    self._busy_since_s = None
                    self._wake.wait_for(self._has_work, _WAKE_S)
                    if self._stop:
                        return
                    box, self._box = self._box, Box(executed=deque(maxlen=1000))
                    self._busy_since_s = time.monotonic()
                self._handle(box)
        except Exception as error:  # a bug must not end in silence: heartbeats stop, people hear
            self._crash = f'{type(error).__name__}: {error}'
            self.get_logger().fatal(f'the planner thread died: {self._crash}')
            raise

    def _has_work(self) -> bool:
        box = self._box
        return self._stop or any(m is not None for m in (box.frames or None, box.goal, box.reset))

    def _handle(self, box: Box) -> None:
        loop = self._loop
        if box.reset is not None:
            loop.reset('the scene was reset', stamp_to_ns(box.reset.stamp))
        if box.goal is not None:
            self._take_goal(box.goal)
        try:
            for message in box.executed:
                loop.executed(*msg_to_executed(message, self._interface.names,
                                                           self._interface.code))
            if box.frames:
                loop.step(self._prepared.sight.observation(box.frames))
        except LewmError as error:
            loop.fault(reason_of(error, Code.FRAME_UNREADABLE))
        if loop.report.state is PlanState.FAULT:
            self.get_logger().error(loop.report.reason.text, throttle_duration_sec=1.0)

    def _take_goal(self, message: Goal) -> None:
        try:
            goal = msg_to_goal(message)
            if goal.kind is GoalKind.PICTURE:
                goal = replace(goal, rgb=self._prepared.sight.goal(goal.rgb))
        except LewmError as error:
            self._loop.refuse_goal(str(error))
            return
        if goal.kind is GoalKind.NONE:
            self._loop.clear_goal()
        elif goal.kind is GoalKind.PROBE:
            self._loop.refuse_goal(f'goal {goal.goal_id!r} is a target for '
                                   f'{", ".join(goal.names)}; this planner takes pictures only')
        else:
            self._loop.set_goal(goal.rgb, goal.goal_id, goal.source.name.lower(),
                                goal.tolerance)
        self.get_logger().info(f'goal {goal.goal_id!r}' if goal.goal_id else 'no goal')

    def _publish_chunk(self, chunk: ActionChunk, committed_steps: int,
                       plan_time_s: float) -> None:
        policy = self._prepared.policy
        self._chunk_pub.publish(chunk_to_msg(
            chunk, names=self._interface.names, interface=self._interface.code,
            committed_steps=committed_steps, plan_time_s=plan_time_s,
            cost=policy.last_plan.cost, model_id=policy.bundle.model_id))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(PlannerNode, args, last_act=PlannerNode.end_work)


if __name__ == '__main__':
    sys.exit(main())
