"""The simulated motor driver: it obeys the newest command and stops when nobody commands it."""

from __future__ import annotations

import numpy as np


class Drive:
    """Holds the newest velocity command; a command that grows old ramps down to zero.

    Real drivers do this in firmware, so a dead network or a killed node stops the motors
    whatever the software above them believes.

    Args:
        stop_rate: Slew limit of the ramp, (A,) [unit/s].
        timeout_s: Age at which a command stops counting [s]; 0 lets it count forever.
    """

    def __init__(self, stop_rate: np.ndarray, timeout_s: float) -> None:
        self._stop_rate = np.asarray(stop_rate, np.float64)
        self._timeout_s = timeout_s
        self.clear()

    def clear(self) -> None:
        """Forget the command and stand still at once, as after a reset."""
        self._output = np.zeros_like(self._stop_rate)
        self._received_s: float | None = None

    def receive(self, action: np.ndarray, now_s: float) -> None:
        """Take a new command, (A,), that arrived at `now_s`."""
        self._output = np.asarray(action, np.float64).copy()
        self._received_s = now_s

    def output(self, now_s: float, dt_s: float) -> np.ndarray:
        """Return what the motors do in the coming `dt_s`, (A,)."""
        if self.timed_out(now_s):
            step = self._stop_rate * dt_s
            self._output -= np.clip(self._output, -step, step)
        return self._output.copy()

    def timed_out(self, now_s: float) -> bool:
        """Tell whether the newest command is too old to count."""
        return (self._timeout_s > 0 and self._received_s is not None
                and now_s - self._received_s > self._timeout_s)
