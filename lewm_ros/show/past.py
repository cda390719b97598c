"""What was imagined, and what the camera showed since. No rclpy, no torch."""

from __future__ import annotations

from collections import deque

from lewm_model.types import Imagined
import numpy as np

_FRAMES, _PLANS = 400, 60      # at 20 Hz and 5 plans a second: a plan of 10 s and what came of it


class Past:
    """The last camera pictures and plans; a step back of time forgets them.

    Args:
        slack_ns: A picture may be so far from the time that is asked for.
    """

    def __init__(self, slack_ns: int) -> None:
        self._slack_ns = slack_ns
        self._frames: deque[tuple[int, np.ndarray]] = deque(maxlen=_FRAMES)
        self._plans: deque[Imagined] = deque(maxlen=_PLANS)
        self._of: object = None

    def see(self, stamp_ns: int, rgb: np.ndarray) -> None:
        """Keep a camera picture."""
        if self._frames and stamp_ns < self._frames[-1][0]:
            self.forget()
        self._frames.append((stamp_ns, rgb))

    def plan(self, imagined: Imagined, of: object) -> None:
        """Keep what a plan leads to; `of` is its session and epoch, others are forgotten."""
        if of != self._of or (self._plans and imagined.stamp_ns < self._plans[-1].stamp_ns):
            self._plans.clear()
        self._of = of
        self._plans.append(imagined)

    def forget(self) -> None:
        """Forget everything: time jumped, or nobody looks."""
        self._frames.clear()
        self._plans.clear()

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """Return the picture of this time; None if there is none."""
        nearest = min(self._frames, key=lambda frame: abs(frame[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > self._slack_ns:
            return None
        return nearest[1]

    def come_true(self, block_ns: int) -> Imagined | None:
        """Return the newest plan whose whole time has passed, else the oldest of earlier ones.

        None: there is not even one whose first block has passed.
        """
        now_ns = (self._frames[-1][0] if self._frames else 0) + self._slack_ns

        def passed(one: Imagined, blocks: int) -> bool:
            return one.stamp_ns + blocks * block_ns <= now_ns
        whole = (one for one in reversed(self._plans) if passed(one, len(one.plan)))
        return next(whole, next((one for one in list(self._plans)[:-1] if passed(one, 1)), None))
