"""How many plans were made, and how long they took, from the planner's reports. Pure."""

from __future__ import annotations

from collections import deque
import math

from lewm_ros.wire.reports import PlanReport
import numpy as np

_REMEMBERED = 1000


class Plans:
    """Counts plans: every heartbeat repeats the numbers of the last one."""

    def __init__(self) -> None:
        self._numbers = ''
        self._count = 0
        self._latencies_ms: deque[float] = deque(maxlen=_REMEMBERED)

    def see(self, report: PlanReport) -> None:
        """Take a report; the numbers of the first one are of a plan made before."""
        numbers = f'{report.plan_ms} {report.total_ms} {report.start_cost}'
        if self._numbers and numbers != self._numbers:
            self._count += 1
            self._latencies_ms.append(report.total_ms)
        self._numbers = numbers

    @property
    def replans(self) -> int:
        """Plans after the first one."""
        return max(self._count - 1, 0)

    @property
    def latency_ms(self) -> float:
        """From frame to chunk, of the newest plan; NaN: there was none."""
        return self._latencies_ms[-1] if self._latencies_ms else math.nan

    def latency_p95_ms(self) -> float:
        """Return what 95 of 100 plans did not exceed; NaN: there was none."""
        return float(np.quantile(self._latencies_ms, 0.95)) if self._latencies_ms else math.nan
