"""Notices a camera that sends the same picture again and again."""

from __future__ import annotations

from lewm_ros.wire.reasons import Code, Reason
import numpy as np

_VISIBLE = 0.25   # of what the robot may move in one control step: a picture must show that


class FrozenWatch:
    """Counts frames with the same bytes though the robot was told to move.

    A simulated camera sends equal pictures of a scene in which nothing moves, and nearly equal
    ones of slow motion. So only frames count that came after the robot was told to go somewhere
    else, far enough to be seen. Real cameras never send the same bytes twice.

    A picture that was frozen stays so until another one comes, or `forgive`.

    Args:
        limit: So many equal frames in a row are frozen; 0: never.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._last: bytes | None = None
        self._since: np.ndarray | float = 0.0     # where the robot was told to be at the first
        self._repeats = 0

    def update(self, picture: bytes, travel: np.ndarray) -> Reason:
        """Take a frame; false unless frozen.

        Args:
            picture: The bytes of it as the camera sent them.
            travel: How far the robot was told to move until it was captured, by axis (A,), in
                what it may move in one control step.
        """
        if picture != self._last:
            self._last, self._since, self._repeats = picture, np.array(travel), 0
        elif self.limit and (self._repeats >= self.limit
                             or np.abs(travel - self._since).max() >= _VISIBLE):
            self._repeats += 1
        if not self.limit or self._repeats < self.limit:
            return Reason()
        return Reason(Code.FRAME_FROZEN, f'the camera sent the same picture {self._repeats} times '
                                         f'after the robot was told to move; is its driver alive? '
                                         f'If nothing moves in its view, set frozen_stops: false')

    def forgive(self) -> None:
        """Begin anew: a person enabled motion, or the scene was set up anew."""
        self._last, self._repeats = None, 0
