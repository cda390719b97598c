"""Is the goal reached, and is the robot still getting closer? Pure, stamps come in."""

from __future__ import annotations

from collections.abc import Sequence
import math

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import PlanState
import numpy as np

_WORTH_NOTING = 0.95  # a new best distance must be this share of the old one to be progress


class GoalProgress:
    """Turns distances to the goal into PLANNING, REACHED or STALLED.

    Args:
        tolerance: Squared latent distance below which a picture without its own counts as met.
        dwell_s: It must stay met this long to be reached [s].
        stall_s: No new best distance for this long is a stall [s]; 0 never stalls.
    """

    def __init__(self, *, tolerance: float, dwell_s: float, stall_s: float) -> None:
        self._of_goal, self._limits = 0.0, None
        self.configure(tolerance=tolerance, dwell_s=dwell_s, stall_s=stall_s)
        self.restart()

    def configure(self, *, tolerance: float, dwell_s: float, stall_s: float) -> None:
        """Change the settings; the present goal is judged by them from now on."""
        self._given = tolerance
        self._dwell_ns = round(dwell_s * 1e9)
        self._stall_ns = round(stall_s * 1e9)

    @property
    def tolerance(self) -> float:
        """Of the present goal: its own, or the one given."""
        return self._of_goal or self._given

    def new_goal(self, tolerance: float = 0.0) -> None:
        """Judge another goal, by its own tolerance (0: the one given)."""
        self._of_goal, self._limits = tolerance, None
        self.restart()

    def limit(self, limits: np.ndarray | None, weights: np.ndarray | None) -> None:
        """Judge the goal by the error of each quantity, below its own limit, (N,).

        Its tolerance then is the distance of an error that is at all limits at once: a goal that
        is met is nearer. None: by the tolerance.
        """
        self._limits = limits
        if limits is not None:
            counts = np.isfinite(limits)
            self._of_goal = float(np.sqrt(np.average(limits[counts] ** 2,
                                                     weights=weights[counts])))

    def restart(self) -> None:
        """Forget what was seen, but not the goal."""
        self._met_since_ns: int | None = None
        self._best = float('inf')
        self._best_ns: int | None = None

    def update(self, stamp_ns: int, distance: float, errors: Sequence[float] = (), *,
               moving: bool = True) -> PlanState:
        """Judge the newest frame.

        Args:
            stamp_ns: Its capture time.
            distance: To the goal; not finite is neither met nor closer.
            errors: Of the quantities that the goal names.
            moving: Whether the robot follows plans; one that does not cannot stall.
        """
        met = (distance < self.tolerance if self._limits is None
               else bool(np.all(np.asarray(errors) < self._limits)))
        if not met:
            self._met_since_ns = None
        elif self._met_since_ns is None:
            self._met_since_ns = stamp_ns
        closer = math.isfinite(distance) and distance < _WORTH_NOTING * self._best
        if closer or met:
            self._best = min(distance, self._best)
        if closer or met or not moving or self._best_ns is None:
            self._best_ns = stamp_ns
        if self._met_since_ns is not None and stamp_ns - self._met_since_ns >= self._dwell_ns:
            return PlanState.REACHED
        if self._stall_ns and stamp_ns - self._best_ns >= self._stall_ns:
            return PlanState.STALLED
        return PlanState.PLANNING

    def why(self, state: PlanState) -> Reason:
        """Say what a stall is, for people; nothing of other states."""
        if state is not PlanState.STALLED:
            return Reason()
        return Reason(Code.NO_PROGRESS, f'the goal has not come closer for '
                      f'{self._stall_ns / 1e9:g} s (stall_s): it may be out of reach, or not what '
                      f'the model knows')
