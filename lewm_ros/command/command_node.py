"""The node between plan and robot: topics, services and timers around `ControlLoop`. No torch.

A process of its own, so it outlives a planner that hangs, crashes or runs out of memory. The
control timer runs on the node clock (sim time in simulation) and is set anew after each tick to
the next point of the chunk's time grid; a second timer on the steady clock does the same work,
so the robot stops when the node clock stands still. Both run the same idempotent tick.
"""

from __future__ import annotations

import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lewm_model.errors import LewmError
from lewm_model.recordings.joints import JoinedJoints
from lewm_model.robots.robot import RobotDescription
from lewm_ros.command.control_loop import ControlLoop
from lewm_ros.command.diagnosis import diagnose, numbers
from lewm_ros.command.e_stop_reader import EStopReader, publisher_of
from lewm_ros.command.guard_watch import GuardWatch
from lewm_ros.command.neighbours import Neighbours
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.command.timing import check_change
from lewm_ros.limits.urdf import JointLimits, read_joint_limits
from lewm_ros.msg import ActionChunk, ControllerState, ExecutedCommand, GuardState, PlanStatus
from lewm_ros.node.managed import ManagedNode
from lewm_ros.node.parameters import NodeParameters
from lewm_ros.node.run_node import run_node
from lewm_ros.wire import checks, guard_state, qos
from lewm_ros.wire.motion import executed_to_msg, msg_to_chunk
from lewm_ros.wire.rates import STATE_PERIOD_S
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, ControllerReport, ExecutedStep
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import (
    controller_report_to_msg,
    diagnostics_to_msg,
    msg_to_plan_report,
)
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from std_srvs.srv import SetBool, Trigger

_WATCHDOG_PERIOD_S = 0.02
_DIAGNOSTICS_PERIOD_S = 1.0
_JOIN_S = 5.0                   # joints may report in messages of their own, at their own rates
_SHORTEST_DELAY_NS = 1_000_000  # of the control timer; keeps a stalled clock from spinning it


class CommandNode(ManagedNode):
    """Samples the newest chunk by time, limits it, and stops the robot when in doubt."""

    def __init__(self, **kwargs) -> None:
        super().__init__('command_node', **kwargs)
        self._settings = NodeParameters(
            self, CommandParameters, self._on_parameters, check_change=self._check_change,
            state=lambda: self._state_machine.current_state[1])
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._loop: ControlLoop | None = None   # exists while the node is active
        self._guard_watch = GuardWatch()
        self._shown: CommandState | None = None
        # followed in every lifecycle state, as is the guard
        self._e_stop = EStopReader(self, self.always, self._on_e_stop)
        self._scale = 1.0
        self.always.everyone(Float64, 'speed_scale', self._on_speed_scale)
        self.always.subscription(GuardState, 'guard_state', self._on_guard_state, qos.LATCHED)
        self.always.service(SetBool, '~/enable', self._on_enable)
        self.always.service(Trigger, '~/stop', self._on_stop)
        self.always.service(Trigger, '~/clear_fault', self._on_clear_fault)
        self.always.service(Trigger, '~/clear_e_stop', self._on_clear_e_stop)

    # Lifecycle -------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read the robot description and offer the topics; nothing is sent yet."""
        robot = RobotDescription.from_yaml(self._settings.values.robot)
        self._robot = RobotInterface(robot)
        ControlLoop(robot, self._settings.values)   # can it be stopped, and in time?
        self._joint_limits: dict[str, JointLimits] = {}
        self._description, self._description_problem = '', ''
        offer = self.configured.publisher
        self._command_pubs = {topic: offer(kind, topic, qos.LATEST)
                              for topic, kind in self._robot.outputs}
        self._executed_pub = offer(ExecutedCommand, self._robot.executed_topic, qos.RECORD)
        self._state_pub = offer(ControllerState, 'controller_state', qos.RECORD)
        self._diagnostics_pub = offer(DiagnosticArray, '/diagnostics', qos.RECORD)
        if robot.interface in ('joint_position', 'joint_velocity'):
            self.configured.subscription(String, 'robot_description', self._on_description,
                                         qos.LATCHED)

    def activate(self) -> None:
        """Start listening and commanding; motion waits for ~/enable if `require_enable`."""
        robot, settings = self._robot.robot, self._settings.values
        self._loop = ControlLoop(robot, settings, e_stop=self._e_stop.buttons.pressed)
        self._loop.set_speed_scale(self._scale)
        self._loop.limit_joints(self._joint_limits)
        self._shown, self._joints = None, None
        states = robot.joint_state_topic if self._loop.needs_positions else ''
        self._neighbours = Neighbours(self, list(self._command_pubs), states,
                                      shared_state='state' in robot.shared_topics)
        unguarded = self._guard_needed()
        if unguarded:
            self._loop.disable(Reason(Code.GUARD_MISSING, unguarded), self._now_ns())
        listen, tick = self.active.subscription, self.active.timer
        listen(ActionChunk, 'action_chunk', self._on_chunk, qos.LATEST)
        listen(PlanStatus, 'plan_status', self._on_status, qos.RECORD)
        self._listen_to_joints()
        self._control_timer = tick(robot.control_dt_s, self._tick)
        tick(_WATCHDOG_PERIOD_S, self._tick, clock=self._steady)
        tick(STATE_PERIOD_S, self._look_and_say, clock=self._steady)
        tick(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=self._steady)
        self._look()
        self._tick()

    def stop_acting(self) -> None:
        """If the node was active, the stop command is the last thing it says."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        step = loop.halt(self._now_ns(), self._steady_s())
        if step is not None:
            self._publish_step(step)
        # the guard must know that the silence to come is meant
        self._state_pub.publish(controller_report_to_msg(
            loop.report(self._now_ns(), self._steady_s())))
        for publisher in self._command_pubs.values():
            publisher.wait_for_all_acked(Duration(seconds=0.2))

    def callback_failed(self, reason: str) -> None:
        """Stop the robot; the way out of the active state stops it even if the loop is broken."""
        if self._loop is None:
            return
        try:
            self._loop.fault(Reason(Code.INTERNAL, reason), self._now_ns())
            self._tick()
        except Exception as error:
            self.guard.note('stopping after a fault', error)
            self.leave(reason)

    # Inputs ----------------------------------------------------------------------------------

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._loop is None:
            return  # it was already waiting when the node was deactivated
        try:
            chunk = msg_to_chunk(message, names=self._robot.names, interface=self._robot.code)
        except LewmError as error:
            self._loop.fault(Reason(Code.CHUNK_MALFORMED, str(error)), self._now_ns())
        else:
            refusal = self._loop.receive_chunk(chunk, self._now_ns(), self._steady_s())
            if refusal:
                self.get_logger().warning(f'refused: {refusal}', throttle_duration_sec=1.0)
        self._tick()

    def _on_status(self, message: PlanStatus) -> None:
        if self._loop is None:
            return
        try:
            report = msg_to_plan_report(message)
        except LewmError as error:
            self.get_logger().error(f'plan_status refused: {error}', throttle_duration_sec=1.0)
            self._loop.refuse_heartbeat(str(error), self._steady_s())
            return
        if report.reason.code is Code.NO_FRAME:   # a sign of life is an answer to a frame
            self._loop.see_nothing(report.reason, self._steady_s())
        else:
            self._loop.heartbeat(report, self._steady_s())

    def _listen_to_joints(self) -> None:
        if self._joints is None and self._loop.needs_positions:
            self._joints = JoinedJoints(self._robot.names, _JOIN_S)
            self._joint_reader = self.active.joints(self._robot.robot.joint_state_topic,
                                                    self._on_joints)

    def _on_joints(self, message: JointState, info: dict[str, Any]) -> None:
        if self._loop is None:
            return
        # of other joints: left out; if ours never come, the state's reason says so
        now_s = self._steady_s()
        if self._joints.add(message, now_s) and (newest := self._joints.newest(now_s)):
            positions, measured_s = newest
            self._loop.measure(positions, measured_s,
                               self._neighbours.source(publisher_of(info)))

    def _on_description(self, message: String) -> None:
        if message.data == self._description:
            return
        self._description, self._description_problem = message.data, ''
        try:
            limits = read_joint_limits(message.data, self._robot.names)
            if self._loop is not None:
                self._loop.limit_joints(limits)
                self._listen_to_joints()
        except LewmError as error:
            self._description_problem = str(error)
            self.get_logger().error(f'robot_description is not used: {error}')
        else:
            self._joint_limits = limits

    def _on_speed_scale(self, message: Float64) -> None:
        self._scale = checks.within(message.data, 0.0, 1.0, 'speed_scale')
        if self._loop is not None:
            self._loop.set_speed_scale(self._scale)

    def _on_e_stop(self, pressed: bool) -> None:
        self.get_logger().warning(f'e-stop {"pressed" if pressed else "released"}')
        if self._loop is not None:
            self._loop.set_e_stop(pressed, self._now_ns())
            self._tick()

    def _on_guard_state(self, message: GuardState) -> None:
        report = guard_state.msg_to_guard_report(message)
        if self._guard_watch.hear(report, self._steady_s()) and self._loop is not None:
            self.get_logger().error('the guard stopped the robot while this node was silent')
            self._loop.stopped_by_guard(self._now_ns())
            self._tick()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response):
        if self._loop is None:
            return _answer(response, 'the node is not active')
        if request.data:
            self._look()
            refusal = (self._e_stop.buttons.problem() or self._guard_needed()
                       or self._loop.enable(self._now_ns()))
        else:
            self._loop.disable(Reason(Code.STOPPED_BY_CALL, 'disabled by ~/enable'),
                               self._now_ns())
            refusal = ''
        self._tick()
        return _answer(response, refusal)

    def _guard_needed(self) -> str:
        return (self._guard_watch.problem(self._steady_s()) if self._settings.values.require_guard
                else '')

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response):
        if self._loop is not None:
            self._loop.disable(Reason(Code.STOPPED_BY_CALL, 'stopped by ~/stop; call ~/enable'),
                               self._now_ns())
            self._tick()
        return _answer(response, '')  # a node that is not active moves nothing

    def _on_clear_fault(self, request: Trigger.Request, response: Trigger.Response):
        if self._loop is None:
            return _answer(response, 'the node is not active')
        return _answer(response, self._loop.clear_fault())

    def _on_clear_e_stop(self, request: Trigger.Request, response: Trigger.Response):
        return _answer(response, self._e_stop.clear_vanished())

    def _check_change(self, before: CommandParameters, after: CommandParameters) -> None:
        if self._state_machine.current_state[1] != 'unconfigured':
            check_change(before, after, self._robot.robot.control_dt_s,
                         following=self._loop is not None and self._loop.following)

    def _on_parameters(self, values: CommandParameters) -> None:
        if self._loop is not None:
            self._loop.settings = values

    def _look(self) -> None:
        # at the graph: e-stop buttons, others who command, the robot's controller
        self._e_stop.look()
        look, loop = self._neighbours, self._loop
        look.look(moving=loop.following)
        alone = self._settings.values.allow_other_publishers or not look.others()
        loop.set_audience(look.nobody() or (Reason() if alone else look.others()), look.lost())

    # Outputs ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self._loop is None:
            return
        now_ns = self._now_ns()
        step = self._loop.tick(now_ns, self._steady_s())
        if step is not None:
            self._publish_step(step)
        if self._loop.state is not self._shown:
            self._show_state()
        delay_ns = max(self._loop.next_step_ns(now_ns) - now_ns, _SHORTEST_DELAY_NS)
        self._control_timer.timer_period_ns = delay_ns
        self._control_timer.reset()

    def _publish_step(self, step: ExecutedStep) -> None:
        for topic, message in self._robot.to_msgs(step.executed, step.stamp_ns):
            self._command_pubs[topic].publish(message)
        self._executed_pub.publish(executed_to_msg(
            step, names=self._robot.names, interface=self._robot.code))

    def _report(self) -> ControllerReport:
        return self._loop.report(self._now_ns(), self._steady_s())

    def _show_state(self) -> None:
        report = self._report()
        self._shown = report.state
        text = f'{report.state.name}{": " if report.reason else ""}{report.reason}'
        if report.state is CommandState.FAULT:
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)
        self._publish_state()

    def _look_and_say(self) -> None:
        self._look()
        self._publish_state()

    def _publish_state(self) -> None:
        self._state_pub.publish(controller_report_to_msg(self._report()))

    def _publish_diagnostics(self) -> None:
        report, steady_s = self._report(), self._steady_s()
        level, summary = diagnose(
            report, fault=self.guard.fault, clipped_share=self._loop.clipped_share(),
            doubts=[*self._loop.doubts(steady_s), *self._neighbours.doubts()],
            notes=[self._description_problem, self._guard_watch.problem(steady_s),
                   self._joints and self._joint_reader.silence()])
        self._diagnostics_pub.publish(diagnostics_to_msg(
            report.stamp_ns, f'{self.get_name()}: commands', level=level, summary=summary,
            hardware_id=self._robot.robot.robot, values={
                **numbers(report), 'state_publishers': self._neighbours.state_publishers()}))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _steady_s(self) -> float:
        return self._steady.now().nanoseconds / 1e9


def _answer(response, refusal: str):
    response.success, response.message = not refusal, refusal
    return response


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    # The last act, also after a crash: the robot is left standing.
    return run_node(CommandNode, args, last_act=CommandNode.shut_down, urgent=True)


if __name__ == '__main__':
    sys.exit(main())
