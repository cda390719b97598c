"""One activation as the command node sees it: a number, an epoch, and whether it may speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import threading

from lewm_model.types import ActionChunk
from lewm_ros.wire.reasons import Reason
from lewm_ros.wire.reports import random_session

_UNSAID = Reason()
Publish = Callable[[ActionChunk, int, float], None]   # chunk, committed steps, seconds of work


class Session:
    """Sends the chunks of one activation, until it is closed. For use by several threads.

    The command node drops chunks of an older epoch as soon as a report carries a newer one. The
    planner thread withdraws plans, and so does whoever notices that this thread hangs; a plan
    that was in the making meanwhile is never sent.

    Args:
        publish: Puts a chunk on the topic.

    Attributes:
        number: Random, not 0.
        withdrawals: How often all that was sent was taken back.
        why: It was, since a chunk was sent; false if it was not, or nobody said.
        trouble: Why nothing may be sent now; false if it may.
    """

    def __init__(self, publish: Publish) -> None:
        self.number = random_session()
        self.withdrawals = 0
        self.why = self.trouble = _UNSAID
        self._publish = publish
        self._lock = threading.Lock()
        self._epoch = 0
        self._open = True

    @property
    def epoch(self) -> int:
        """Counts the withdrawals, from 0."""
        return self._epoch

    def withdraw(self, why: Reason = _UNSAID) -> None:
        """Take back all that was sent, and what is being made."""
        with self._lock:
            self.why = why
            self._epoch += 1
            self.withdrawals += 1

    def see(self, trouble: Reason) -> None:
        """Send nothing while there is trouble; take back what was sent when it begins."""
        began = trouble and not self.trouble
        self.trouble = trouble
        if began:
            self.withdraw(trouble)

    def close(self) -> None:
        """Take back all that was sent and send nothing any more."""
        with self._lock:
            self._open = False
            self._epoch += 1

    def send(self, chunk: ActionChunk, committed_steps: int, seconds: float, *,
             new_epoch: bool = False) -> ActionChunk | None:
        """Publish a chunk of the present epoch and return it as it was sent.

        Args:
            chunk: Its epoch is the one in which the work on it began.
            committed_steps: Rows that repeat what was already scheduled.
            seconds: What the work took.
            new_epoch: It takes the place of all that was sent before, as of a new goal.

        Returns:
            None if nothing was sent: the session is closed, there is trouble, or plans were
            withdrawn meanwhile.
        """
        with self._lock:
            if not self._open or self.trouble or chunk.epoch != self._epoch:
                return None
            self._epoch += new_epoch
            self.why = _UNSAID
            chunk = replace(chunk, session=self.number, epoch=self._epoch)
            self._publish(chunk, committed_steps, seconds)
            return chunk
