"""Notices a camera that sends the same picture again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import operator
import threading
from typing import Any

from lewm_model.robot import RobotDescription
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

_VISIBLE = 0.25   # of what the robot may move in one control step: a picture must show that
_REMEMBERED = 200   # commands
_GAP = 1.5          # control steps without a command, after which the next place is no motion


class Told:
    """How far the robot was told to move, in what it may move in one control step.

    Args:
        robot: Its interface says whether commands are speeds or places.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self._positions = robot.interface == 'joint_position'
        self._in_a_step = (robot.max_rate * robot.control_dt_s if self._positions else
                           np.maximum(np.abs(robot.min_command), np.abs(robot.max_command)))
        self._gap_ns = _GAP * robot.control_dt_s * 1e9
        self._last: tuple[int, np.ndarray] | None = None
        self._steps: deque[tuple[int, np.ndarray]] = deque(maxlen=_REMEMBERED)

    def add(self, stamp_ns: int, action: np.ndarray) -> None:
        """Take what the robot was told from `stamp_ns` on, (A,) robot units.

        A place leads from the place before it. After a gap that one is old: somebody else may
        have stopped the robot meanwhile, and what is sent then may be the place where it is.
        """
        before, self._last = self._last, (stamp_ns, action)
        if self._positions:
            known = before is not None and 0 <= stamp_ns - before[0] <= self._gap_ns
            action = action - before[1] if known else np.zeros_like(action)
        self._steps.append((stamp_ns, action / self._in_a_step))

    def between(self, since_ns: int, until_ns: int) -> float:
        """Return how far the commands of this time lead, of the axis that they move most."""
        steps = [step for stamp_ns, step in self._steps if since_ns <= stamp_ns <= until_ns]
        return float(np.abs(np.sum(steps, axis=0)).max()) if steps else 0.0


class FrozenWatch:
    """Counts frames with the same bytes though the robot was told to move.

    A simulated camera sends equal pictures of a scene in which nothing moves, and nearly equal
    ones of slow motion. So only frames count before whose stamps the robot was told to go
    somewhere else, far enough to be seen. Real cameras never send the same bytes twice.

    A picture that was frozen stays so until another one comes, or `forgive`, which another thread
    may call.

    Args:
        limit: So many equal frames in a row are frozen; 0: never.
        told: What the robot was told.
        same: Tells whether two pictures are equal.
    """

    def __init__(self, limit: int, told: Told,
                 same: Callable[[Any, Any], bool] = operator.eq) -> None:
        self.limit, self.told, self._same = limit, told, same
        self._lock = threading.Lock()
        self._last: Any = None
        self._since_ns = 0       # stamp of the first
        self._repeats = 0

    def update(self, picture: Any, stamp_ns: int) -> Reason:
        """Take a frame as the camera sent it; false unless frozen."""
        with self._lock:
            if self._last is None or not self._same(self._last, picture):
                self._last, self._since_ns, self._repeats = picture, stamp_ns, 0
            elif self.limit and (self._repeats >= self.limit
                                 or self.told.between(self._since_ns, stamp_ns) >= _VISIBLE):
                self._repeats += 1
            repeats = self._repeats
        if not self.limit or repeats < self.limit:
            return Reason()
        return Reason(Code.FRAME_FROZEN, f'the camera sent the same picture {repeats} times '
                                         f'after the robot was told to move; is its driver alive? '
                                         f'If nothing moves in its view, set frozen_stops: false')

    def forgive(self) -> None:
        """Begin anew: a person enabled motion, or the scene was set up anew."""
        with self._lock:
            self._last, self._repeats = None, 0
