"""What was heard of a running system until now. Plain values; no rclpy, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math
from typing import Generic, TypeVar

from lewm_ros.wire.reports import ControllerReport, GoalRequest, GuardReport, PlanReport

T = TypeVar('T')


@dataclass(frozen=True)
class Heard(Generic[T]):
    """Something that was said, and when it came."""

    value: T
    at_s: float      # steady clock


@dataclass(frozen=True)
class Driver:
    """Who publishes plan_status: a planner, or what takes its place."""

    node: str                       # '': the middleware does not tell
    said: Heard[PlanReport]         # the newest
    frame_s: float | None = None    # capture of the newest camera frame; None: it saw none

    def heard(self, report: PlanReport, at_s: float, node: str) -> Driver:
        """Return the same one after another report.

        The age of a frame counts from the first report about it: later ones may be without a
        new frame. Clocks of other machines are not compared with ours.
        """
        frame_s = self.frame_s
        if report.stamp_ns != self.said.value.stamp_ns:
            frame_s = captured_s(report, at_s)
        return Driver(node or self.node, Heard(report, at_s), frame_s)


def captured_s(report: PlanReport, at_s: float) -> float | None:
    """Return when the newest frame of a first report was captured; None: there was none."""
    if report.stamp_ns == 0:
        return None
    return at_s - (report.obs_age_s if math.isfinite(report.obs_age_s) else 0.0)


@dataclass(frozen=True)
class Health:
    """A node's diagnostics."""

    level: int        # of DiagnosticStatus: 0 OK, 1 WARN, 2 ERROR, 3 STALE
    summary: str


@dataclass(frozen=True)
class Snapshot:
    """Everything that a screen is made of."""

    now_s: float                                   # steady clock
    began_s: float                                 # when listening began
    nodes: frozenset[str] = frozenset()            # in the graph, in the system's namespace
    drivers: tuple[Driver, ...] = ()
    controller: Heard[ControllerReport] | None = None
    guard: Heard[GuardReport] | None = None
    goal: GoalRequest | None = None
    health: Mapping[str, Heard[Health]] = field(default_factory=dict)   # by node
    lifecycle: Mapping[str, str] = field(default_factory=dict)          # such as 'active'
    episode: str = ''                              # that is being recorded
    refused: str = ''                              # a message that could not be read, lately

    @property
    def followed(self) -> Driver | None:
        """The one that the command node follows; without that, who spoke last."""
        session = self.controller.value.session if self.controller else 0
        by_time = sorted(self.drivers, key=lambda one: one.said.at_s)
        same = [one for one in by_time if session and one.said.value.session == session]
        return (same or by_time or [None])[-1]
