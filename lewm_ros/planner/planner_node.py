"""The planner as a lifecycle node: camera frames and a goal in, action chunks out.

Callbacks look at each frame (decode, compare), put messages into the inbox of a `Worker` and
answer each frame with a heartbeat; the worker's thread does everything else (encode, plan,
publish). So heartbeats go on while a plan is being made, and withdraw plans when the camera is in
trouble, that thread hangs or its engine is broken: the command node then stops the robot.
"""

from __future__ import annotations

from dataclasses import replace
import math
import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_model.errors import PlanningError
from lewm_model.planning.policy import Policy
from lewm_model.types import ActionChunk
from lewm_ros.msg import (
    ActionChunk as ActionChunkMsg,
    ControllerState,
    ExecutedCommand,
    Goal,
    Imagined,
    LatentState,
    PlanStatus,
)
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.managed import ManagedNode
from lewm_ros.node.parameters import NodeParameters
from lewm_ros.node.run_node import run_node
from lewm_ros.planner.answers import Answers
from lewm_ros.planner.diagnostics import planner_diagnostics
from lewm_ros.planner.frozen import FrozenWatch, Motion
from lewm_ros.planner.glance import Glance
from lewm_ros.planner.imagined import ImaginedTopic
from lewm_ros.planner.intake import Intake
from lewm_ros.planner.latent_topic import LatentTopic
from lewm_ros.planner.loop.goal_sight import GoalSight
from lewm_ros.planner.loop.latency import Latency
from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.loop.session import Session
from lewm_ros.planner.parameters import check_change, PlannerParameters
from lewm_ros.planner.questions import Questions
from lewm_ros.planner.setup import fallback, free_memory, loop_settings, prepare, Prepared
from lewm_ros.planner.surprise.calibrating import Calibrating
from lewm_ros.planner.surprise.doubts import Doubts
from lewm_ros.planner.surprise.view_picture import compose
from lewm_ros.planner.worker import Inbox, Worker
from lewm_ros.srv import EncodeImage, PlanOnce
from lewm_ros.wire import qos
from lewm_ros.wire.decoders import same_pictures
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.refusals import refuse
from lewm_ros.wire.reports import PlanReport, PlanState
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import CALIBRATION, diagnostics_to_msg, plan_report_to_msg
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

_JOIN_S = 5.0            # patience with a plan in progress when the node is deactivated
_LOOK_S = 0.02           # how often somebody looks whether the planner thread hangs
_LAST_WORD = Duration(seconds=0.2)   # for the last message to arrive before its topic goes


class PlannerNode(ManagedNode):
    """Runs a policy; see `plan_loop` for what it decides."""

    def __init__(self, **kwargs) -> None:
        super().__init__('planner_node', **kwargs)
        self._given = NodeParameters(
            self, PlannerParameters, self._on_parameters, state=lambda: self.state_label,
            check_change=lambda old, new: check_change(old, new, active=self._worker is not None))
        self._prepared: Prepared | None = None   # exists while configured
        self._worker: Worker | None = None       # exists while active
        self._stuck: list[Worker] = []           # of earlier activations, still in their threads
        self._cameras: CameraInput | None = None
        self._warned = ''                        # of the cameras, in the log
        # A callback that awaits keeps its group busy: in one of their own they block nobody.
        waiting = ReentrantCallbackGroup()
        for kind, name, callback in ((PlanOnce, '~/plan_once', self._on_plan_once),
                                     (EncodeImage, '~/encode_image', self._on_encode_image)):
            self.always.service(kind, name, callback, callback_group=waiting)

    # Lifecycle -------------------------------------------------------------------------------

    def configure(self) -> None:
        """Load and warm up; a bundle that is missing or does not fit is a refusal."""
        self._stuck = [worker for worker in self._stuck if not worker.join(0)]
        if self._stuck:
            raise PlanningError(f'the planner thread of an earlier activation still hangs; wait, '
                                f'or restart this process. It is in:\n{self._stuck[0].where()}')
        settings = self._given.values
        self._prepared = prepare(settings)
        self._interface = RobotInterface(self._prepared.robot)
        offer = self.configured.publisher
        self._chunk_pub = offer(ActionChunkMsg, 'action_chunk', qos.LATEST)
        self._status_pub = offer(PlanStatus, 'plan_status', qos.RECORD)
        self._view_pub = offer(Image, 'view_check', qos.LATCHED)
        self._imagined_pub = offer(Imagined, 'imagined', qos.IMAGE)
        self._latent_pub = offer(LatentState, 'latent', qos.IMAGE)
        self._diagnostics_pub = offer(DiagnosticArray, '/diagnostics', qos.RECORD)
        for note in self._prepared.notes:
            self.get_logger().warning(note)
        policy = self._prepared.policy
        bundle, config = policy.bundle, policy.config
        self.get_logger().info(
            f'bundle {settings.bundle!r} ({bundle.model_id}) for robot {bundle.robot!r}: '
            f'{config.num_candidates} candidates, {config.iterations} iterations, '
            f'{config.horizon} blocks, {1e3 * self._prepared.first_latency_s:.0f} ms per plan '
            f'on {policy.backend}')
        if bundle.view is None:
            self.get_logger().warning(
                f'bundle {settings.bundle!r} does not say what shape its pictures had, so those '
                f'of the camera and goals are not checked; train it anew to have it')

    def activate(self) -> None:
        """Start the planner thread, then listen."""
        prepared = self._prepared
        self._cameras = CameraInput(self, self.active, prepared.robot, self._on_frames)
        self._worker = worker = self._make_worker(prepared)
        worker.start()
        robot, listen = prepared.robot, self.active.subscription
        listen(Goal, 'goal', lambda message: worker.put(goal=message), qos.LATCHED)
        listen(Header, 'scene_reset', lambda message: worker.put(reset=message), qos.RECORD)
        for kind, message_type, topic, profile in (
                ('executed', ExecutedCommand, self._interface.executed_topic, qos.RECORD),
                ('controller', ControllerState, 'controller_state', qos.RECORD)):
            listen(message_type, topic,
                   lambda message, kind=kind: self._on_robot(kind, message), profile)
        if self._robot_side.needs_joints or self._glance.listens:
            self.active.joints(robot.joint_state_topic,
                               lambda message: self._on_robot('joints', message))
        self.active.service(Trigger, '~/calibrate_surprise', self._on_calibrate)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.active.timer(_LOOK_S, self._look_at_thread, clock=steady)
        self.active.timer(1.0, self._publish_diagnostics, clock=steady)

    def stop_acting(self) -> None:
        """Withdraw all plans with a last status, so the robot stops at once; end the thread."""
        worker = self._worker
        if worker is None:
            return
        last = worker.close()
        self._worker = None
        self._questions.hand_over(last.reason)
        self._publish_status(last)
        self._diagnostics_pub.publish(diagnostics_to_msg(
            self._now_ns(), f'{self.get_name()}: planner', summary=last.reason.text, values={},
            level=DiagnosticStatus.ERROR if worker.trouble() else DiagnosticStatus.STALE))
        for publisher in (self._status_pub, self._diagnostics_pub):
            publisher.wait_for_all_acked(_LAST_WORD)
        if not worker.join(_JOIN_S):
            self._stuck.append(worker)   # it keeps its policy, which no other may use now
            raise PlanningError(f'the planner thread is stuck for over {_JOIN_S} s, the bundle is '
                                f'given up. It is in:\n{worker.where()}')

    def release(self) -> None:
        """Let go of the model."""
        self._prepared = None
        free_memory()

    def _make_worker(self, prepared: Prepared) -> Worker:
        settings, policy, robot = self._given.values, prepared.policy, prepared.robot
        policy.reset()
        session = Session(lambda *sent: self._publish_chunk(loop.policy, *sent))
        self._robot_side = RobotSide(robot, settings.state_max_age_s)
        latency = Latency(dt_s=robot.control_dt_s, max_steps=prepared.max_committed_steps,
                          margin_s=settings.latency_margin_s, first_s=prepared.first_latency_s)

        def calibration() -> tuple[str, float]:
            given = self._given.values
            return given.surprise_file, given.calibrate_s

        self._calibrating = Calibrating(policy.bundle, calibration, self.guard.say)
        doubts = Doubts(
            loop_settings(settings, prepared).doubts, say=self.guard.say,
            watch=self._calibrating.watch,
            show=lambda *view: self._view_pub.publish(rgb_to_image(compose(*view),
                                                                   self._now_ns())))
        loop = PlanLoop(policy, loop_settings(settings, prepared), session=session,
                        robot=self._robot_side, latency=latency, now_ns=self._now_ns,
                        fall_back=fallback(settings, policy), doubts=doubts,
                        goal_sight=GoalSight(prepared.sight.tiles))
        frozen = FrozenWatch(settings.frozen_frames, Motion(robot), same_pictures)
        intake = Intake(loop, self._robot_side, self._interface, prepared.sight, frozen=frozen,
                        say=self.guard.say)
        self._glance = Glance(self._interface, prepared.sight, frozen=frozen, say=self.guard.say,
                              settings=lambda: self._given.values, now_ns=self._now_ns)

        def stuck_limit_s() -> float:
            given = self._given.values
            return given.stuck_limit_s or latency.stuck_limit_s(
                given.replan_steps or policy.steps_per_plan)

        def hung_limit_s() -> float:
            return math.inf if self._given.values.stuck_limit_s else loop.hung_limit_s()

        shown = (LatentTopic(self._latent_pub, loop, self.guard.say),
                 ImaginedTopic(self._imagined_pub, loop, self.guard.say))

        def handle(inbox: Inbox) -> None:
            intake.take(inbox)
            for topic in shown:
                topic.show()

        self._questions = Questions()
        self._answers = Answers(
            self._questions, loop, session, robot=self._robot_side, interface=self._interface,
            sight=prepared.sight, now_ns=self._now_ns, say=self.guard.say,
            max_age_s=lambda: loop_settings(self._given.values, prepared).obs_max_age_s)
        worker = Worker(loop, session, handle, stuck_limit_s=stuck_limit_s,
                        hung_limit_s=hung_limit_s,
                        tell=lambda: self._publish_status(worker.report()), beside=self._answers,
                        give_up=lambda reason: self.leave(
                            reason, still=lambda: self._worker is worker))
        return worker

    def _on_parameters(self, values: PlannerParameters) -> None:
        if self._worker is not None:
            self._worker.put(settings=loop_settings(values, self._prepared))

    def _on_calibrate(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        answer.success, answer.message = self._calibrating.ask()
        return answer

    # Questions --------------------------------------------------------------------------------

    async def _on_plan_once(self, request: PlanOnce.Request, _: PlanOnce.Response):
        return await self._ask(PlanOnce, request)

    async def _on_encode_image(self, request: EncodeImage.Request, _: EncodeImage.Response):
        return await self._ask(EncodeImage, request)

    async def _ask(self, kind: type, request: Any) -> Any:
        if self._worker is None:
            return refuse(kind.Response(), Reason(
                Code.INACTIVE, f'the planner is {self.state_label}; activate it first'))
        future = Future(executor=self.executor)
        refusal = self._questions.ask(kind, request, future.set_result)
        if refusal:
            self.guard.say('question', f'a question is not answered: {refusal}')
            return refuse(kind.Response(), refusal)
        self._worker.wake()
        return await future

    # Frames and heartbeats -------------------------------------------------------------------

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        look = self._glance.at(frames)
        if look is not None:
            self._worker.see(look)
        age_s = (self._now_ns() - self._cameras.stamp_ns) / 1e9
        self._publish_status(replace(self._worker.report(), obs_age_s=age_s))

    def _on_robot(self, kind: str, message: Any) -> None:
        if kind == 'executed':
            self._glance.executed(message)
        elif kind == 'joints':
            self._glance.joints(message)
            if not self._robot_side.needs_joints:
                return
        self._worker.put_waiting(kind, message)

    def _look_at_thread(self) -> None:
        if self._worker.became_stuck():    # the next frame may be a camera period away
            self._publish_status(self._worker.report())
        self._questions.hand_over(self._worker.trouble(), self._answers.why_not)

    def _publish_status(self, report: PlanReport) -> None:
        self._status_pub.publish(plan_report_to_msg(
            replace(report, stamp_ns=self._cameras.stamp_ns)))

    def _publish_chunk(self, policy: Policy, chunk: ActionChunk, committed_steps: int,
                       seconds: float) -> None:
        self._chunk_pub.publish(chunk_to_msg(
            chunk, names=self._interface.names, interface=self._interface.code,
            committed_steps=committed_steps, plan_time_s=seconds, cost=policy.last_plan.cost,
            model_id=policy.bundle.model_id))

    def _publish_diagnostics(self) -> None:
        worker = self._worker
        report, silence = worker.report(), self._cameras.silence()
        if silence:   # there is no frame to answer with the reason
            report = replace(report, state=PlanState.NO_OBS,
                             reason=Reason(Code.NO_FRAME, silence))
            self._publish_status(report)
        trouble = worker.trouble().text or self.guard.fault or silence
        sight = self._prepared.sight
        warnings = '; '.join(filter(None, [sight.note, *self._cameras.warnings(sight.misfits)]))
        if trouble:
            self.guard.say('trouble', trouble, 'error')
        if warnings and warnings != self._warned:    # it stays in the diagnostics
            self.guard.say('cameras', warnings)
        self._warned = warnings
        self._diagnostics_pub.publish(planner_diagnostics(
            self._now_ns(), self.get_name(), report, worker.loop, trouble=trouble,
            warnings=warnings, hardware_id=self._prepared.robot.robot,
            values={CALIBRATION: self._calibrating.said, **self._cameras.values()}))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(PlannerNode, args, last_act=PlannerNode.shut_down)


if __name__ == '__main__':
    sys.exit(main())
