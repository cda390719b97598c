"""How fast a number falls, by the straight line through its last seconds. Pure."""

from __future__ import annotations

from collections import deque
import math

import numpy as np

_WINDOW_S = 3.0
_LEAST_S = 0.5        # a shorter piece shows no trend
_LEAST_SAMPLES = 5


class Trend:
    """Predicts when a number that falls will be below another one.

    Args:
        window_s: How far back samples count [s].
    """

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_ns = round(window_s * 1e9)
        self._samples: deque[tuple[int, float]] = deque()

    def add(self, stamp_ns: int, value: float) -> None:
        """Take a sample, newer than all before; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._samples.append((stamp_ns, value))
        while stamp_ns - self._samples[0][0] > self._window_ns:
            self._samples.popleft()

    def seconds_to(self, target: float) -> float:
        """Return how long from the newest sample until the line is at `target` [s].

        NaN if nobody can say: too few samples, or they do not fall by more than they scatter.
        """
        if len(self._samples) < _LEAST_SAMPLES or not math.isfinite(target):
            return math.nan
        stamps, values = np.array(self._samples, np.float64).T
        times = (stamps - stamps[-1]) / 1e9
        span = -times[0]
        if span < _LEAST_S:
            return math.nan
        mean_time, mean_value = times.mean(), values.mean()
        slope = ((times - mean_time) @ (values - mean_value)
                 / ((times - mean_time) @ (times - mean_time)))
        line = mean_value + slope * (times - mean_time)
        scatter = math.sqrt(np.mean((values - line) ** 2))
        if -slope * span <= max(scatter, 1e-9 * abs(mean_value)):
            return math.nan
        return max(0.0, float((line[-1] - target) / -slope))
