"""What people ask the planner, waiting for its thread: few, bounded in time, each answered once.

Callbacks ask, the planner thread answers (`answers`), and callbacks hand the answer over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.refusals import refuse

MOST = 4             # questions that wait; their pictures take memory, and nobody waits long
PATIENCE_S = 5.0     # for the thread to have time for one


@dataclass(eq=False)
class Question:
    """One request.

    Attributes:
        kind: Class of the service.
        request: Its message.
        tell: Gets the answer, a message, in the thread of `Questions.hand_over`.
        asked_s: When, on the steady clock.
        begun: Whether the thread is at it.
        answer: What was found out, or why not; None: not yet.
    """

    kind: type
    request: Any
    tell: Callable[[Any], None]
    asked_s: float
    begun: bool = False
    answer: Any = None


class Questions:
    """A short queue between the callbacks of a node and its planner thread.

    Args:
        steady_s: Steady seconds.
    """

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._asked: list[Question] = []

    def ask(self, kind: type, request: Any, tell: Callable[[Any], None]) -> Reason:
        """Take a question; return why it is refused, false: it is not."""
        with self._lock:
            if len(self._asked) >= MOST:
                return Reason(Code.BUSY, f'the planner is busy: {MOST} questions are waiting for '
                                         f'an answer already; ask again later')
            self._asked.append(Question(kind, request, tell, self._steady_s()))
        return Reason()

    def first(self) -> Question | None:
        """Return the oldest question that nobody has begun to answer."""
        with self._lock:
            return next((one for one in self._asked if not one.begun and one.answer is None),
                        None)

    def answer(self, question: Question, answer: Any) -> None:
        """Answer a question, unless it was answered already."""
        with self._lock:
            if question.answer is None:
                question.answer = answer

    def hand_over(self, trouble: Reason, why_not: Callable[[], str] = str) -> None:
        """Tell the answers that are there; refuse what cannot be answered any more.

        Args:
            trouble: Why the thread will answer nothing; false if it will.
            why_not: Why it has no time, for who waited in vain.
        """
        late_s = self._steady_s() - PATIENCE_S
        for question in list(self._asked):
            if trouble:
                self._refuse(question, trouble)
            elif not question.begun and question.asked_s < late_s:
                self._refuse(question, Reason(Code.BUSY, (
                    f'the planner had no time for it in {PATIENCE_S:g} s: {why_not()}')))
            if question.answer is not None:
                with self._lock:
                    self._asked.remove(question)
                question.tell(question.answer)

    def _refuse(self, question: Question, why: Reason) -> None:
        self.answer(question, refuse(question.kind.Response(), why))
