"""What the command node knows about the guard beside it. Pure, with injected time."""

from __future__ import annotations

from lewm_ros.wire.rates import GUARD_PERIOD_S
from lewm_ros.wire.reports import GuardPhase, GuardReport

_MISSING_S = 4 * GUARD_PERIOD_S


class GuardWatch:
    """Whether a guard is there, and whether it has stopped the robot in this node's place."""

    def __init__(self) -> None:
        self._heard_s: float | None = None
        self._stops: int | None = None
        self._hears_us = False

    def hear(self, report: GuardReport, steady_s: float) -> bool:
        """Take a report; tell whether the guard began to stop the robot since the last one.

        What a guard did before this node first heard it was meant for somebody else.
        """
        acted = self._stops is not None and report.stops > self._stops
        self._heard_s, self._stops = steady_s, report.stops
        self._hears_us = report.phase is not GuardPhase.WAITING
        return acted

    def problem(self, steady_s: float) -> str:
        """Say why nobody would stop the robot if this node died, or nothing."""
        if self._heard_s is not None and steady_s - self._heard_s <= _MISSING_S:
            return '' if self._hears_us else 'guard_node does not hear this node yet'
        return ('no guard_node: if this process is killed in motion, the robot may go on with '
                'its last command; start guard_node beside it')
