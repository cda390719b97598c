"""Is the goal reached, and is the robot still getting closer? Pure, stamps come in."""

from __future__ import annotations

from lewm_ros.wire.reports import PlanState

_WORTH_NOTING = 0.95  # a new best distance must be this share of the old one to be progress


class GoalProgress:
    """Turns distances to the goal into PLANNING, REACHED or STALLED.

    Args:
        tolerance: Squared latent distance below which the goal counts as met.
        dwell_s: It must stay met this long to be reached [s].
        stall_s: No new best distance for this long is a stall [s]; 0 never stalls.
    """

    def __init__(self, *, tolerance: float, dwell_s: float, stall_s: float) -> None:
        self._given = tolerance
        self._dwell_ns = round(dwell_s * 1e9)
        self._stall_ns = round(stall_s * 1e9)
        self.restart()

    def restart(self, tolerance: float = 0.0) -> None:
        """Forget everything, as for a new goal with its own tolerance (0: the one given)."""
        self.tolerance = tolerance or self._given
        self._met_since_ns: int | None = None
        self._best = float('inf')
        self._best_ns: int | None = None

    def update(self, stamp_ns: int, distance: float) -> PlanState:
        """Judge the newest frame; a distance that is not finite is never progress."""
        met = distance < self.tolerance
        if not met:
            self._met_since_ns = None
        elif self._met_since_ns is None:
            self._met_since_ns = stamp_ns
        if self._best_ns is None or met or distance < _WORTH_NOTING * self._best:
            self._best, self._best_ns = min(distance, self._best), stamp_ns
        if self._met_since_ns is not None and stamp_ns - self._met_since_ns >= self._dwell_ns:
            return PlanState.REACHED
        if self._stall_ns and stamp_ns - self._best_ns >= self._stall_ns:
            return PlanState.STALLED
        return PlanState.PLANNING
