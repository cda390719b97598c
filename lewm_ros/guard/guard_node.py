"""The node that says the last word when the command node is gone. No torch, nothing to configure.

A process of its own beside the command node, with few imports and one timer. It follows
`executed_command` and `controller_state`, and is silent as long as they come. See `last_word`
for when it speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_model.errors import LewmError
from lewm_model.recordings.joints import JoinedJoints
from lewm_model.robots.robot import RobotDescription
from lewm_ros.guard.last_word import LastWord, TICK_S
from lewm_ros.limits.measured import usual_max_age_s
from lewm_ros.msg import ControllerState, ExecutedCommand, GuardState
from lewm_ros.node.entities import Entities
from lewm_ros.node.guard import Guard
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.run_node import run_node
from lewm_ros.wire import guard_state, qos
from lewm_ros.wire.rates import GUARD_PERIOD_S, STATE_PERIOD_S
from lewm_ros.wire.reports import GuardPhase, GuardReport
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import diagnostics_to_msg
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState

_LEVELS = {GuardPhase.SPEAKING: DiagnosticStatus.ERROR, GuardPhase.SPOKEN: DiagnosticStatus.ERROR,
           GuardPhase.TAKEN_OVER: DiagnosticStatus.WARN}


@dataclass(frozen=True)
class GuardParameters:
    """Settings of the guard."""

    robot: str = parameter(
        'sim_reacher', 'robot description: a shipped name or a YAML file', read_only=True)
    silence_s: float = parameter(
        4 * STATE_PERIOD_S, f'silence of the command node, which speaks every {STATE_PERIOD_S} s, '
        'after which it counts as dead [s]', low=3 * STATE_PERIOD_S, high=5.0, read_only=True)
    hold_s: float = parameter(
        1.0, 'repeat standstill this long, then go silent [s]', low=0.0, high=10.0,
        read_only=True)
    state_max_age_s: float = parameter(
        0.0, 'older joint positions are no place to stop at, for robots commanded by position, '
        'steady clock [s]; 0.0: two control steps, at least 0.2', low=0.0, high=5.0,
        read_only=True)


class GuardNode(Node):
    """Stops the robot in the command node's place."""

    def __init__(self, **kwargs) -> None:
        super().__init__('guard_node', **kwargs)
        settings = NodeParameters(self, GuardParameters).values
        robot = RobotDescription.from_yaml(settings.robot)
        self._robot = RobotInterface(robot)
        max_age_s = settings.state_max_age_s or usual_max_age_s(robot.control_dt_s)
        self._word = LastWord(robot, silence_s=settings.silence_s, hold_s=settings.hold_s,
                              state_max_age_s=max_age_s)
        self._joints = JoinedJoints(self._robot.names, max_age_s)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._shown = self._word.phase
        self.guard = Guard(self.get_logger())
        own = Entities(self, self.guard)
        self._command_pubs = {topic: own.publisher(kind, topic, qos.LATEST)
                              for topic, kind in self._robot.outputs}
        self._state_pub = own.publisher(GuardState, 'guard_state', qos.LATCHED)
        self._diagnostics_pub = own.publisher(DiagnosticArray, '/diagnostics', qos.RECORD)
        own.subscription(ExecutedCommand, self._robot.executed_topic, self._on_executed,
                         qos.RECORD)
        own.subscription(ControllerState, 'controller_state', self._on_state, qos.RECORD)
        for output, (topic, kind) in enumerate(self._robot.outputs):
            own.subscription(kind, topic, partial(self._on_command, output), qos.RECORD)
        if self._word.needs_positions:
            own.joints(self._robot.robot.joint_state_topic, self._on_joints)
        own.timer(TICK_S, self._tick, clock=self._steady)
        own.timer(GUARD_PERIOD_S, self._publish_state, clock=self._steady)
        self._publish_state()

    def _on_executed(self, message: ExecutedCommand) -> None:
        action, stamp_ns, stopping, at_rest = guard_state.msg_to_heard(message, self._robot.names)
        self._word.hear_command_of_node(action, stamp_ns, self._steady_s(), stopping=stopping,
                                        at_rest=at_rest)
        self._show()

    def _on_state(self, message: ControllerState) -> None:
        self._word.hear_report_of_node(*guard_state.msg_to_rest(message))
        self._show()

    def _on_command(self, output: int, message) -> None:
        try:
            self._word.hear_command(*self._robot.read(output, message))
        except LewmError:
            return      # not for this robot's joints; the controller refuses it too
        self._show()

    def _on_joints(self, message: JointState) -> None:
        now_s = self._steady_s()
        if self._joints.add(message, now_s) and (newest := self._joints.newest(now_s)):
            self._word.measure(*newest)

    def _tick(self) -> None:
        command = self._word.tick(self._steady_s())
        if command is not None:
            for topic, message in self._robot.to_msgs(command, self._now_ns()):
                self._command_pubs[topic].publish(message)
        self._show()

    def _show(self) -> None:
        phase = self._word.phase
        if phase is self._shown:
            return
        self._shown = phase
        if phase in _LEVELS:
            self.get_logger().error(f'{phase.name}: {self._word.reason}')
        else:
            self.get_logger().info(phase.name)
        self._publish_state()

    def _publish_state(self) -> None:
        report = GuardReport(self._now_ns(), self._word.phase, self._word.stops,
                             self._word.reason)
        self._state_pub.publish(guard_state.guard_report_to_msg(report))
        fault = self.guard.fault
        level = DiagnosticStatus.ERROR if fault else DiagnosticStatus.OK
        self._diagnostics_pub.publish(diagnostics_to_msg(
            report.stamp_ns, f'{self.get_name()}: guard',
            level=_LEVELS.get(report.phase, level),
            summary=f'{report.phase.name} {report.reason or fault}'.strip(),
            hardware_id=self._robot.robot.robot, values={'stops': report.stops}))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _steady_s(self) -> float:
        return self._steady.now().nanoseconds / 1e9


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(GuardNode, args, urgent=True)


if __name__ == '__main__':
    sys.exit(main())
