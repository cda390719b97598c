"""What the robot was told: the last command, when, how often, and how many were changed."""

from __future__ import annotations

from collections import deque

from lewm_ros.limits.limiter import Limited
import numpy as np

_RATE_WINDOW = 20       # commands over which the rate is measured
_SHARE_WINDOW = 100     # commands of plans over which the share of clipped ones is


class Sent:
    """The commands of one activation.

    Attributes:
        base: What the next change starts from (A,): the last command before the dead band. None:
            nothing was sent, and the robot's interface has no command to stand still anywhere.
        stamp_ns: Stamp of the last command, node clock.
        stopping: The last command was part of a stop, or there was none.
        in_charge: This node commands the robot; not before the first command, nor after it fell
            silent, when another controller may have taken over.
        clipped: Commands of plans that hit a value limit.
        slewed: Commands of plans that hit a rate limit.
    """

    def __init__(self, base: np.ndarray | None) -> None:
        self.base = base
        self.stamp_ns = 0
        self.stopping = True
        self.in_charge = False
        self.clipped = self.slewed = 0
        self._at_s: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._were_clipped: deque[bool] = deque(maxlen=_SHARE_WINDOW)

    def note(self, limited: Limited, stamp_ns: int, steady_s: float, *, stopping: bool) -> None:
        """A command goes out now."""
        self.base, self.stamp_ns, self.stopping = limited.base, stamp_ns, stopping
        self.in_charge = True
        self._at_s.append(steady_s)
        if not stopping:
            self.clipped += limited.clipped
            self.slewed += limited.slewed
            self._were_clipped.append(limited.clipped)

    def age_s(self, steady_s: float) -> float:
        """Return the time since the last command [s]; inf without one."""
        return steady_s - self._at_s[-1] if self._at_s else float('inf')

    def rate_hz(self, steady_s: float) -> float:
        """Return the measured rate of commands; zero after a second of silence."""
        if len(self._at_s) < 2 or self.age_s(steady_s) > 1.0:
            return 0.0
        span_s = self._at_s[-1] - self._at_s[0]
        return (len(self._at_s) - 1) / span_s if span_s > 0 else 0.0

    def clipped_share(self) -> float:
        """Return which share of the last commands of plans hit a value limit, in [0, 1]."""
        return sum(self._were_clipped) / len(self._were_clipped) if self._were_clipped else 0.0
