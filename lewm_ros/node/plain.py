"""The base of nodes without a lifecycle: guarded callbacks, and diagnostics once a second."""

from __future__ import annotations

from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_ros.node.entities import Entities
from lewm_ros.node.guard import Guard
from lewm_ros.wire import qos
from lewm_ros.wire.status import diagnostics_to_msg
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

_DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Health:
    """How a node is doing, for its diagnostics."""

    level: bytes = DiagnosticStatus.OK
    summary: str = 'running'
    values: dict[str, object] = field(default_factory=dict)


class PlainNode(Node):
    """A node of guarded callbacks that says how it is doing.

    What a peer sends ends no callback: it is logged and stays in the diagnostics for some
    seconds, as an ERROR.

    Attributes:
        guard: Catches what callbacks raise; `guard.note` takes what they refuse.
        always: What the node listens to and offers; its callbacks are guarded.
        steady: The clock of its timers.
    """

    def __init__(self, name: str, **options) -> None:
        super().__init__(name, **options)
        self.guard = Guard(self.get_logger())
        self.always = Entities(self, self.guard)
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_pub = self.always.publisher(DiagnosticArray, '/diagnostics', qos.RECORD)
        self.always.timer(_DIAGNOSTICS_PERIOD_S, self.tell_health, clock=self.steady)

    def health(self) -> Health:
        """Return how the node is doing; subclasses know more."""
        return Health()

    @property
    def hardware_id(self) -> str:
        """Name of the robot, for diagnostics."""
        return ''

    def tell_health(self) -> None:
        """Publish the diagnostics now."""
        health, fault = self.health(), self.guard.fault
        self._diagnostics_pub.publish(diagnostics_to_msg(
            self.get_clock().now().nanoseconds, self.get_name(),
            level=DiagnosticStatus.ERROR if fault else health.level,
            summary=f'{health.summary}; {fault}' if fault else health.summary,
            hardware_id=self.hardware_id, values=health.values))
