"""What to do about an engine that fails: try again, fall back, give up. Pure."""

from __future__ import annotations

from enum import Enum

from lewm_model.errors import EngineFailure, NotFinite
from lewm_ros.wire.reasons import Code


class Next(Enum):
    """What follows a failure."""

    RETRY = 'retry'
    FALL_BACK = 'fall back'
    GIVE_UP = 'give up'


class Failures:
    """Counts failures in a row.

    Args:
        retries: After so many further attempts, something else is done.
        can_fall_back: Whether there is another engine.
    """

    def __init__(self, retries: int, *, can_fall_back: bool) -> None:
        self.retries = retries
        self.can_fall_back = can_fall_back
        self.count = 0

    def worked(self) -> None:
        """Note a success; the next failure is the first again."""
        self.count = 0

    def failed(self) -> Next:
        """Note a failure and say what to do."""
        self.count += 1
        if self.count <= self.retries:
            return Next.RETRY
        self.count = 0
        if self.can_fall_back:
            self.can_fall_back = False
            return Next.FALL_BACK
        return Next.GIVE_UP


def code_of(failure: EngineFailure) -> Code:
    """Return what a failure is called: the engine works if only its numbers are none."""
    return Code.PLAN_INVALID if isinstance(failure, NotFinite) else Code.ENGINE_FAILED
