"""Notices a camera that sends the same picture again and again."""

from __future__ import annotations

from lewm_ros.wire.reasons import Code, Reason


class FrozenWatch:
    """Counts frames with the same bytes while the robot moves.

    A simulated camera sends equal pictures of a scene in which nothing moves, so only frames
    during motion count. A picture that was frozen stays so until another one comes.

    Args:
        limit: So many equal frames in a row are frozen; 0: never.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._last: bytes | None = None
        self._repeats = 0

    def update(self, picture: bytes, *, moving: bool) -> Reason:
        """Take the bytes of a frame as the camera sent them; false unless frozen."""
        if picture != self._last:
            self._last, self._repeats = picture, 0
        elif moving:
            self._repeats += 1
        if not self.limit or self._repeats < self.limit:
            return Reason()
        return Reason(Code.FRAME_FROZEN, f'the camera sent the same picture {self._repeats + 1} '
                                         f'times while the robot moved; is its driver alive?')
