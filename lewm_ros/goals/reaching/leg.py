"""The way to one goal: how near, since when near enough, and whether it still gets closer. Pure.

Stamps are those of camera frames. The planner's heartbeats repeat the numbers of the frame that
it looked at last, so a frame counts once; only the planner's state may change with a later report
on the same frame.
"""

from __future__ import annotations

from collections.abc import Sequence
import math

from lewm_ros.goals.reaching.trend import Trend
from lewm_ros.wire.reaching import Target
from lewm_ros.wire.reports import PlanReport, PlanState

_WORTH_NOTING = 0.95   # a new best distance must be this share of the old one to be progress
_LONGEST_STEP_S = 1.0  # between two frames: a longer gap is no time in which the robot was seen
_BACK_NS = 10**9       # frames further back come after a clock that jumped


class Leg:
    """Follows the planner's reports on one goal.

    Args:
        target: The goal.
        dwell_s: It must stay met this long; 0: as the planner judges [s].
        since_ns: Frames up to this stamp were looked at with another goal in mind.

    Attributes:
        taken: Whether the planner has taken the goal.
        reached: Whether it was reached.
        still_s: For how long the robot has moved without getting closer [s].
    """

    def __init__(self, target: Target, *, dwell_s: float, since_ns: int) -> None:
        self.target = target
        self.since_ns = since_ns
        self.taken = self.reached = False
        self._dwell_ns = round(dwell_s * 1e9)
        self.distance = self.tolerance = math.nan
        self.errors: tuple[float, ...] = ()
        self.restart(since_ns)

    def restart(self, since_ns: int) -> None:
        """Forget what was seen; of a clock that jumped, or a scene that was put elsewhere."""
        self.since_ns = min(self.since_ns, since_ns)
        self.best = math.nan
        self._mark = math.inf     # the distance that was progress last
        self.still_s = 0.0
        self._first_ns: int | None = None
        self._seen_ns = -1
        self._met_since_ns: int | None = None
        self._trend = Trend()

    def see(self, report: PlanReport, *, moving: bool) -> None:
        """Take a report on this goal, of a frame after `since_ns`.

        Args:
            report: Of a planner that has a plan.
            moving: Whether the robot may move: only that time counts as without progress.
        """
        stamp_ns = report.frame_stamp_ns
        if stamp_ns < self._seen_ns - _BACK_NS:
            self.restart(stamp_ns - 1)
        if stamp_ns < self._seen_ns:
            return
        self.taken = True
        if self._first_ns is None:
            self._first_ns = stamp_ns
        if stamp_ns > self._seen_ns:
            self._measure(report, moving)
        # While the first plan to a goal is made, the state still is that of the goal before.
        said = stamp_ns > self._first_ns and report.state is PlanState.REACHED
        met = is_met(report, self.target, said)
        if not met:
            self._met_since_ns = None
        elif self._met_since_ns is None:
            self._met_since_ns = stamp_ns
        if met:
            self.still_s = 0.0
        self.reached = (met and stamp_ns - self._met_since_ns >= self._dwell_ns
                        if self._dwell_ns else said)

    def _measure(self, report: PlanReport, moving: bool) -> None:
        passed_s = (report.frame_stamp_ns - self._seen_ns) / 1e9 if self._seen_ns >= 0 else 0.0
        self._seen_ns = report.frame_stamp_ns
        self.distance, self.tolerance = report.goal_distance, report.goal_tolerance
        self.errors = report.goal_errors
        self._trend.add(self._seen_ns, self._straight(self.distance))
        if math.isfinite(self.distance) and not self.distance >= self.best:
            self.best = self.distance
        if self.best < _WORTH_NOTING * self._mark:
            self._mark, self.still_s = self.best, 0.0
        elif moving:
            self.still_s += min(passed_s, _LONGEST_STEP_S)

    def seconds_left(self) -> float:
        """Return when the goal will be met if it goes on like this; NaN: nobody can say [s]."""
        return self._trend.seconds_to(self._straight(self.tolerance))

    def why_not(self) -> str:
        """Say what may be the matter with a goal that does not come closer."""
        if self.distance < self.tolerance and self.errors:
            errors = ', '.join(f'{name} {error:.3g}' for name, error in zip(
                self.target.names, self.errors, strict=False))
            return (f'near enough on the whole, not in each (off by {errors}); allow more by '
                    f'tolerances')
        return 'it may be out of reach, or not what the model knows'

    def _straight(self, distance: float) -> float:
        # Of pictures it is squared: its root falls evenly where the robot moves evenly.
        return math.sqrt(distance) if not self.target.names and distance >= 0 else distance


def is_met(report: PlanReport, target: Target, said: bool) -> bool:
    """Tell whether a goal is met, by the planner's own rule.

    Where the limits are the planner's alone (quantities without tolerances), what it said decides.
    """
    if target.tolerances:
        return _all_below(report.goal_errors, target.tolerances)
    if target.names and not target.tolerance:
        return said
    return report.goal_distance < report.goal_tolerance


def _all_below(errors: Sequence[float], limits: Sequence[float]) -> bool:
    return len(errors) == len(limits) and all(
        error < limit for error, limit in zip(errors, limits, strict=True))
