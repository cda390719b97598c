"""Which frames count, when the next plan is due, and what stands until it arrives. Pure."""

from __future__ import annotations

from enum import Enum
import math

from lewm_model.planning.action_rows import rows_then_rest
from lewm_model.recordings.timeline import JUMP_NS
from lewm_model.types import ActionChunk
from lewm_ros.wire.reasons import Code, ReasonedError
import numpy as np


class StaleFrame(ReasonedError):
    """The frame does not show the present."""


class Order(Enum):
    """How a frame's stamp continues those before it."""

    NEXT = 'next'
    LATE = 'late'        # again, or out of order: dropped
    JUMP = 'jump'        # the clock jumped back, as of a bag that starts again: begin anew


class FrameOrder:
    """Orders frames by stamp, by the rule of ingest: up to a second back is out of order."""

    def __init__(self) -> None:
        self.newest_ns = -1
        self._not_before_ns = -1

    def judge(self, stamp_ns: int) -> Order:
        """Say how this frame continues those that were taken."""
        if stamp_ns <= self._not_before_ns:
            return Order.LATE
        if stamp_ns > self.newest_ns:
            return Order.NEXT
        return Order.LATE if self.newest_ns - stamp_ns <= JUMP_NS else Order.JUMP

    def take(self, stamp_ns: int) -> None:
        """Let this be the newest frame."""
        self.newest_ns = stamp_ns

    def restart(self, not_before_ns: int = -1) -> None:
        """Begin anew; frames up to `not_before_ns` show another scene."""
        self.newest_ns, self._not_before_ns = -1, not_before_ns


def check_age(stamp_ns: int, now_ns: int, *, max_age_s: float, max_future_s: float) -> None:
    """Refuse a frame that does not show the present; raises StaleFrame."""
    age_s = (now_ns - stamp_ns) / 1e9
    if stamp_ns == 0:
        raise StaleFrame(Code.FRAME_STALE, 'the camera does not stamp its frames; set clocks: '
                                           '{image: receive} in the robot file')
    if age_s > max_age_s:
        raise StaleFrame(Code.FRAME_STALE, f'the camera frame is {age_s:.3f} s old, allowed are '
                                           f'{max_age_s} s')
    check_future(stamp_ns, now_ns, max_future_s)


def check_future(stamp_ns: int, now_ns: int, max_future_s: float) -> None:
    """Refuse a frame of another clock, which no later one makes true; raises StaleFrame."""
    ahead_s = (stamp_ns - now_ns) / 1e9
    if ahead_s > max_future_s:
        raise StaleFrame(
            Code.FRAME_FUTURE, f'the camera frame is stamped {ahead_s:.3f} s in the future, '
                               f'allowed are {max_future_s} s; do the clocks agree?')


class Schedule:
    """The chunk in force on its time grid.

    Args:
        dt_s: Control step [s].

    Attributes:
        chunk: The one that was sent last; None if there is none, or it was withdrawn.
    """

    def __init__(self, dt_s: float) -> None:
        self._dt_ns = round(dt_s * 1e9)
        self.chunk: ActionChunk | None = None

    def due(self, stamp_ns: int, *, replan_steps: int, latency_steps: int) -> bool:
        """Tell whether to plan on the frame with this stamp."""
        if self.chunk is None:
            return True
        return self._row(stamp_ns) >= self._due_row(replan_steps, latency_steps)

    def due_in_s(self, now_ns: int, *, replan_steps: int, latency_steps: int) -> float:
        """Return in what time a plan is due, see `due` [s]; below 0: overdue, inf: no chunk."""
        if self.chunk is None:
            return math.inf
        row = self._due_row(replan_steps, latency_steps)
        return (self.chunk.stamp_ns + row * self._dt_ns - now_ns) / 1e9

    def left_s(self, now_ns: int) -> float:
        """Return for how long the rows of the chunk in force last [s]; -inf: there is none."""
        if self.chunk is None:
            return -math.inf
        return (self.chunk.stamp_ns + len(self.chunk.actions) * self._dt_ns - now_ns) / 1e9

    def committed(self, stamp_ns: int, steps: int, rest: np.ndarray, *, executing: bool
                  ) -> np.ndarray:
        """Return the actions that will have started before the next chunk arrives.

        Args:
            stamp_ns: Of the frame that is planned on.
            steps: d, how many.
            rest: The action that stands still, (A,).
            executing: Whether the robot follows the chunk in force.

        Returns:
            (d, A): rows of the chunk as far as it reaches, then rest; all rest without a chunk.
        """
        first = self._row(stamp_ns) if self.chunk is not None and executing else -1
        return rows_then_rest(self.chunk if first >= 0 else None, first, steps, rest)

    def is_late(self, seconds: float, steps: int) -> bool:
        """Tell whether an answer after so many seconds misses the steps reserved for it."""
        return seconds * 1e9 > steps * self._dt_ns

    def _due_row(self, replan_steps: int, latency_steps: int) -> int:
        # The next chunk must arrive before this one runs out, even if it takes twice as long as
        # the steps reserved for it.
        return min(replan_steps, len(self.chunk.actions) - 2 * latency_steps)

    def _row(self, stamp_ns: int) -> int:
        return round((stamp_ns - self.chunk.stamp_ns) / self._dt_ns)
