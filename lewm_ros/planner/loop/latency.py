"""How long answers take, how many control steps to reserve, and when one takes too long."""

from __future__ import annotations

from collections import deque
import math

import numpy as np

_WINDOW = 40  # answers; at one per block (0.25 s) the last ten seconds
# An answer is stuck after so many times the usual, but not sooner than this [s]
_STUCK_TIMES = 4.0
_STUCK_USUAL = 0.9      # this quantile is the usual: a few pauses must not delay the next alarm
_STUCK_LEAST_S = 0.25
_HUNG_LEAST_S = 0.15    # likewise of a part of an answer
_HUNG_STEPS = 5         # and not later than after so many control steps


class Latency:
    """Running quantiles of the time from a frame's capture to its published chunk.

    Args:
        dt_s: Control step [s].
        max_steps: Never reserve more than this.
        margin_s: Added to the 95th percentile, for the way to the robot [s].
        first_s: What to believe before anything was measured [s].
    """

    def __init__(self, *, dt_s: float, max_steps: int, margin_s: float, first_s: float) -> None:
        self.margin_s = margin_s
        self._dt_s = dt_s
        self._max_steps = max_steps
        self._first_s = first_s
        self._seconds: deque[float] = deque(maxlen=_WINDOW)

    def add(self, seconds: float) -> None:
        """Note one measured latency [s]."""
        self._seconds.append(seconds)

    def hung_limit_s(self) -> float:
        """Return after how long a part of an answer, which is usually short, hangs [s].

        A few times the usual, but no longer than a few control steps, because the robot moves on
        meanwhile; one that is usually longer than that gets twice its usual time.
        """
        usual_s = self.quantile_s(_STUCK_USUAL)
        return max(_HUNG_LEAST_S, 2 * usual_s,
                   min(_STUCK_TIMES * usual_s, _HUNG_STEPS * self._dt_s))

    def add_step(self, seconds: float) -> None:
        """Note a part of an answer; one that hung as if it had ended at `hung_limit_s`."""
        self.add(min(max(seconds, 0.0), self.hung_limit_s()))

    def add_late(self, replan_steps: int) -> None:
        """Note an answer that was stuck, as if it had ended at the limit.

        It counts, else a planner that became slow would be called stuck for ever. But it may have
        been a pause, and one pause must not let the next one take as long: the limit doubles when
        a tenth of the answers were stuck.
        """
        self.add(self.stuck_limit_s(replan_steps))

    def add_planned(self, seconds: float, replan_steps: int) -> None:
        """Note one measured latency [s]; one beyond the limit as the limit, see `add_late`."""
        self.add(min(max(seconds, 0.0), self.stuck_limit_s(replan_steps)))

    def restart(self, first_s: float) -> None:
        """Forget what was measured, as with another engine; believe `first_s` for now [s]."""
        self._first_s = first_s
        self._seconds.clear()

    def quantile_s(self, q: float) -> float:
        """Return the running quantile [s], `q` in [0, 1]."""
        seconds = list(self._seconds)  # a copy: another thread may be adding
        return float(np.quantile(seconds, q)) if seconds else self._first_s

    def steps(self) -> int:
        """Return d, the control steps that will have started when the next answer arrives."""
        seconds = self.quantile_s(0.95) + self.margin_s
        # 1e-9: a latency of exactly two steps must not become three by rounding
        return min(max(math.ceil(seconds / self._dt_s - 1e-9), 1), self._max_steps)

    def stuck_limit_s(self, replan_steps: int) -> float:
        """Return after how long an answer is stuck [s].

        A few times the usual latency, but no longer than a plan is followed before the next: a
        thread that hangs must stop the robot soon. A planner slower than that gets twice its
        usual time.
        """
        usual_s = self.quantile_s(_STUCK_USUAL)
        return max(_STUCK_LEAST_S, 2 * usual_s,
                   min(_STUCK_TIMES * usual_s, replan_steps * self._dt_s))
