"""Notices a camera that sends the same picture again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import operator
import threading
from typing import Any

from lewm_model.recordings.joints import JoinedJoints
from lewm_model.robots.robot import JOINT_STATE, RobotDescription
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

_VISIBLE = 0.25   # of what the robot may move in one control step: a picture must show that
_MOVED = 0.1      # the same, measured: less is a joint that stands still
_REMEMBERED = 200   # commands
_PER_STEP = 4       # measured places that are kept of each control step
_GAP = 1.5          # control steps without a command, after which the next place is no motion
_MEASURED_S = 0.5   # a joint that was not reported for longer is not known


class Motion:
    """How far the robot was told to move, in what it may move in one control step.

    Where joints are commanded and measured, those that stand still do not count: an arm that is
    blocked or held, or whose controller does not listen yet, leaves the picture as it is with a
    camera that is well.

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
        self._joints = (JoinedJoints(robot.joint_names, _MEASURED_S)
                        if robot.interface != 'twist' and robot.state_type == JOINT_STATE
                        else None)
        self._way = self._in_a_step * (1.0 if self._positions else robot.control_dt_s)
        self._least_ns = robot.control_dt_s * 1e9 / _PER_STEP
        self._places: deque[tuple[int, np.ndarray]] = deque(maxlen=_REMEMBERED * _PER_STEP)

    @property
    def listens(self) -> bool:
        """Whether `measured` is of use."""
        return self._joints is not None

    def measured(self, message: Any, now_ns: int) -> None:
        """Take a JointState that arrived at `now_ns`; what cannot be read changes nothing."""
        if self._joints is None or not self._joints.add(message, now_ns / 1e9):
            return
        newest = self._joints.newest(now_ns / 1e9)
        if self._places and now_ns < self._places[-1][0]:    # the clock was set back
            self._places.clear()
        if newest is not None and (not self._places
                                   or now_ns - self._places[-1][0] >= self._least_ns):
            self._places.append((now_ns, newest[0]))

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
        if not steps:
            return 0.0
        told = np.abs(np.sum(steps, axis=0))
        return float(np.where(self._went(since_ns, until_ns) >= _MOVED, told, 0.0).max())

    def _went(self, since_ns: int, until_ns: int) -> np.ndarray:
        """Return how far the joints went, (A,); inf where nobody measured it."""
        places = [place for now_ns, place in self._places if since_ns <= now_ns <= until_ns]
        if len(places) < 2:
            return np.full_like(self._way, np.inf)
        return np.abs(places[-1] - places[0]) / self._way


class FrozenWatch:
    """Counts frames with the same bytes though the robot was told to move.

    A simulated camera sends equal pictures of a scene in which nothing moves, and nearly equal
    ones of slow motion. So only frames count before whose stamps the robot was moved somewhere
    else, far enough to be seen. Real cameras never send the same bytes twice.

    A picture that was frozen stays so until another one comes, or `forgive`, which another thread
    may call.

    Args:
        limit: So many equal frames in a row are frozen; 0: never.
        motion: How far the robot was moved.
        same: Tells whether two pictures are equal.
    """

    def __init__(self, limit: int, motion: Motion,
                 same: Callable[[Any, Any], bool] = operator.eq) -> None:
        self.limit, self.motion, self._same = limit, motion, same
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
                                 or self.motion.between(self._since_ns, stamp_ns) >= _VISIBLE):
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
