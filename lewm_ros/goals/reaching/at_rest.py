"""Whether a robot whose goal was taken away stands, by what planner and command node say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from lewm_ros.goals.reaching import signs
from lewm_ros.wire.reports import ControllerReport, PlanReport

UNHEARD_S = 0.5        # who is silent for so long has nothing to say
ReportT = TypeVar('ReportT')


@dataclass
class Heard(Generic[ReportT]):
    """The newest report of somebody, and when it came, steady clock."""

    when_s: float
    report: ReportT | None = None


class AtRest:
    """Waits until the robot was told to stand still, and nothing else could come after that.

    Args:
        since_s: When the goal was taken away, steady clock; what was heard before does not count.
        rest_s: It must stay so for so long, node clock: what moves also needs time to stop.
        gone_s: A planner that is silent for longer has sent nothing.
    """

    def __init__(self, since_s: float, *, rest_s: float, gone_s: float) -> None:
        self.since_s = since_s
        self._rest_ns, self._gone_s = round(rest_s * 1e9), gone_s
        self._quiet_s: float | None = None       # since when the planner sends nothing
        self._rest_since_ns: int | None = None

    def look(self, plan: Heard[PlanReport], controller: Heard[ControllerReport], now_ns: int,
             steady_s: float) -> bool:
        """Tell whether it stands."""
        if not self._told(plan, controller, steady_s):
            self._rest_since_ns = None
            return False
        if self._rest_since_ns is None or now_ns < self._rest_since_ns:   # the clock jumped back
            self._rest_since_ns = now_ns
        return now_ns - self._rest_since_ns >= self._rest_ns

    def _told(self, plan: Heard[PlanReport], controller: Heard[ControllerReport],
              steady_s: float) -> bool:
        if controller.report is None or controller.when_s <= self.since_s or (
                not signs.rests(controller.report)):
            return False
        if signs.command_ends(controller.report) is not None:
            return True    # it follows no plan at all
        if self._quiet_s is None:
            if plan.report is not None and plan.when_s > self.since_s and (
                    not signs.has_plan(plan.report)):
                self._quiet_s = plan.when_s
            elif (steady_s - plan.when_s > self._gone_s
                  or steady_s - max(plan.when_s, self.since_s) > UNHEARD_S):
                self._quiet_s = steady_s
        # what it sent last may have been on its way when the command node said so before
        return self._quiet_s is not None and controller.when_s > self._quiet_s
