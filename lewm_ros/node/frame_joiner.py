"""Frames of several cameras that belong together, by their stamps. No rclpy, no clock.

The first camera leads: each of its frames goes with the nearest frame of every other camera, at
most a tolerance away, as in ingest. A set is complete as soon as no later frame could be nearer,
so cameras that are triggered together, or run at any phase, cost at most half a period.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

_KEPT = 16   # frames of each other camera; enough for the phase and the delay between drivers


@dataclass
class _Frame:
    stamp_ns: int
    message: Any


class FrameJoiner:
    """Collects frames until sets are complete.

    Args:
        count: Cameras, the first of which leads.
        tolerance_ns: Largest difference of stamps within a set.

    Attributes:
        incomplete: Frames of the first camera for which another had none near enough.
        lacking: Index of the camera that was the reason for the newest of them.
    """

    def __init__(self, count: int, tolerance_ns: int) -> None:
        self.incomplete = 0
        self.lacking = 0
        self._tolerance_ns = tolerance_ns
        self._pending: list[_Frame] = []     # of the first camera, oldest first
        self._others = [deque(maxlen=_KEPT) for _ in range(count - 1)]

    def add(self, place: int, stamp_ns: int, message: Any) -> list[tuple[Any, ...]]:
        """Take a frame of camera `place`; return the sets it completes, oldest first."""
        frame = _Frame(stamp_ns, message)
        if place:
            others = self._others[place - 1]
            if others and stamp_ns < others[-1].stamp_ns:
                others.clear()               # its clock jumped back
            others.append(frame)
        else:
            if self._pending and stamp_ns < self._pending[-1].stamp_ns:
                self._pending.clear()
            self._pending.append(frame)
        complete = []
        while self._pending:
            chosen = self._choose(self._pending[0].stamp_ns, last=len(self._pending) == 1)
            if chosen is None:
                break
            frame = self._pending.pop(0)
            if chosen:
                complete.append((frame.message, *chosen))
            elif self._others:
                self.incomplete += 1
            else:
                complete.append((frame.message,))
        return complete

    def _choose(self, stamp_ns: int, *, last: bool) -> list[Any] | None:
        """Return the nearest frames; [] if there are none, None if a nearer one may come."""
        chosen = []
        for place, others in enumerate(self._others, start=1):
            nearest = min(others, key=lambda other: abs(other.stamp_ns - stamp_ns), default=None)
            distance_ns = abs(nearest.stamp_ns - stamp_ns) if nearest else self._tolerance_ns + 1
            period_ns = others[-1].stamp_ns - others[-2].stamp_ns if len(others) > 1 else 0
            decided = bool(others) and (others[-1].stamp_ns >= stamp_ns
                                        or 2 * distance_ns <= period_ns)
            if not decided and last:     # the next frame of the first camera ends the waiting
                return None
            if distance_ns > self._tolerance_ns:
                self.lacking = place
                return []
            chosen.append(nearest.message)
        return chosen
