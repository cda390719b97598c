"""Keep a loop in step with the steady clock; a late loop slows time down, it never bursts."""

from __future__ import annotations

from collections.abc import Callable
import time


class Pacer:
    """Paces ticks of simulated time against the steady clock.

    Args:
        tick_s: Simulated time per tick [s].
        real_time_factor: Simulated seconds per real second to aim for.
        clock: Steady clock [s]; tests pass their own.
    """

    def __init__(self, tick_s: float, real_time_factor: float = 1.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.real_time_factor = real_time_factor
        self._period_s = tick_s / real_time_factor
        self._tick_s = tick_s
        self._clock = clock
        self._deadline = clock() + self._period_s
        self._measured_from = clock()
        self._ticks = 0

    def remaining_s(self) -> float:
        """Return the real time left until the next tick is due [s]; negative when late."""
        return self._deadline - self._clock()

    def tick(self) -> None:
        """Note that a tick was taken and set the next deadline.

        A tick that comes more than one period late moves the whole schedule: what was missed
        is not made up for, because a burst of physics would look like a jump to the robot.
        """
        self._ticks += 1
        self._deadline = max(self._deadline, self._clock() - self._period_s) + self._period_s

    def achieved(self) -> float:
        """Return the real time factor since the last call, and start measuring anew."""
        now = self._clock()
        elapsed, ticks = now - self._measured_from, self._ticks
        self._measured_from, self._ticks = now, 0
        return ticks * self._tick_s / elapsed if elapsed > 0 else 0.0
