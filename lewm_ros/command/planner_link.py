"""Which planner is followed, and what it said last. Pure, with injected time.

Every activation of whatever makes chunks has a session, a random number. Heartbeats and chunks
count only for the session that is followed; another one takes over when that one is silent. So
neither a forgotten second planner nor a wrong epoch can speak for a planner that is dead.
"""

from __future__ import annotations

from collections import deque
import math

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import PlanReport, PlanState

_SECOND_S = 1.0        # a session that was heard within this time is alive [s]
_PATIENCE_S = 1.0      # a plan may take so long, at most, without counting as blindness [s]
_SLOWER = 1.5          # than the last plans, but for the slowest of them, the next one may be
_PLANS = 16            # so many count; at one per 0.25 s the last four seconds
_BLIND_S = 2.5         # a planner without frames says so once a second
_WITH_A_PLAN = (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED)


class PlannerLink:
    """The planner that is followed.

    Attributes:
        session: Its number; 0: none yet.
        report: Its newest report; None: nothing but chunks came from it.
    """

    def __init__(self) -> None:
        self.session = 0
        self.report: PlanReport | None = None
        self._heard_s = -math.inf        # its first message, then its newest heartbeat
        self._beat_s = -math.inf         # its newest heartbeat
        self._plans_s: deque[float] = deque(maxlen=_PLANS)   # what its last plans took
        self._plan: tuple[float, float] | None = None
        self._other: tuple[int, float] | None = None   # (session, when) of the newest other one
        self._blind: tuple[str, float] | None = None   # (why, when) it had no frames
        self._unreadable: tuple[str, float] | None = None   # (why, when) a heartbeat was none

    def admit(self, session: int, steady_s: float, timeout_s: float) -> bool:
        """Tell whether a message of this session counts; follow it if nobody else is there.

        Args:
            session: Of a heartbeat or chunk.
            steady_s: Now.
            timeout_s: Silence after which another session takes over [s].
        """
        if session != self.session:
            if steady_s - self._heard_s <= timeout_s:
                self._other = (session, steady_s)
                return False
            self.session, self.report = session, None
            self._plans_s.clear()
            self._heard_s, self._beat_s = steady_s, -math.inf
            if self._other is not None and self._other[0] == session:
                self._other = None
        return True

    def beat(self, report: PlanReport, steady_s: float) -> None:
        """Take a heartbeat of the session that is followed."""
        self.report, self._blind = report, None
        self._heard_s = self._beat_s = steady_s
        total_s, plan = report.total_ms / 1e3, (report.total_ms, report.plan_ms)
        if total_s > 0 and math.isfinite(total_s) and plan != self._plan:
            self._plans_s.append(total_s)
        self._plan = plan    # heartbeats repeat the numbers of the last plan

    def see_nothing(self, why: str, steady_s: float) -> None:
        """Take that a planner has no frames to answer; that is no sign of life of the camera."""
        self._blind = (why, steady_s)

    def refuse(self, why: str, steady_s: float) -> None:
        """Take that somebody's heartbeat has fields that cannot be; it is no sign of life."""
        self._unreadable = (why, steady_s)

    def unreadable(self, steady_s: float) -> str:
        """Say why heartbeats were refused, if one was lately."""
        if self._unreadable is None or steady_s - self._unreadable[1] > _SECOND_S:
            return ''
        return f'plan_status was refused: {self._unreadable[0]}'

    def blind(self, steady_s: float) -> str:
        """Say that the planner lives without frames and why, if it said so lately."""
        if self._blind is None or steady_s - self._blind[1] > _BLIND_S:
            return ''
        return f'the planner has nothing to look at: {self._blind[0]}'

    def heartbeat_age_s(self, steady_s: float) -> float:
        """Return the time since its last heartbeat [s]; inf without one."""
        return steady_s - self._beat_s

    def observation_age_s(self, now_ns: int) -> float:
        """Return the age of the newest frame that it looked at [s]; inf without one."""
        if self.report is None or not self.report.frame_stamp_ns:
            return math.inf
        return (now_ns - self.report.frame_stamp_ns) / 1e9

    def patience_s(self) -> float:
        """Return for how long it may look at no frame because it plans [s].

        It says itself how long the way from a frame to its chunk was; that varies. The slowest
        plan does not count: it may be a pause of the whole process, which stopped the robot
        then, and would delay the next stop.
        """
        usual_s = sorted(self._plans_s)[-2:][0] if self._plans_s else 0.0
        return min(_SLOWER * usual_s, _PATIENCE_S)

    def speed_scale(self) -> float:
        """Return by how much it asks commands to be slowed down, in [0, 1]."""
        return 1.0 if self.report is None else self.report.speed_scale

    def without_plan(self) -> Reason:
        """Say why it has no plan, though it lives, or nothing."""
        if self.report is None or self.report.state in _WITH_A_PLAN:
            return Reason()
        why = f': {self.report.reason}' if self.report.reason else ''
        return Reason(Code.PLAN_WITHDRAWN, f'the planner has no plan, it says '
                      f'{self.report.state.name}{why}')

    def second(self, steady_s: float) -> Reason:
        """Say that two sessions are alive, or nothing."""
        if self._other is None or steady_s - self._other[1] > _SECOND_S or (
                steady_s - self._heard_s > _SECOND_S):
            return Reason()
        return Reason(Code.SECOND_PLANNER, f'two planners at once: session {self.session:x} is '
                      f'followed, {self._other[0]:x} is not; end one of them')
