"""The planner thread of one activation. It knows no node; what it may do is given to it.

Callbacks put messages into its inbox and are free again at once, so every frame is answered with
a heartbeat while a plan is being made. When a plan takes far too long, the heartbeats say so and
withdraw what was sent; when the thread is told to stop and does not, its session is closed, so
that it can never act in a later activation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
import sys
import threading
import time
import traceback
from typing import Any, Protocol

from lewm_ros.planner.glance import Look
from lewm_ros.planner.loop.plan_loop import LoopSettings, PlanLoop
from lewm_ros.planner.loop.session import Session
from lewm_ros.planner.loop.states import state_of
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import PlanReport, PlanState

_WAKE_S = 0.2          # the thread looks at its stop flag at least this often
_MOST_WAITING = 1000   # messages of one kind that wait for the next frame


@dataclass
class Inbox:
    """What callbacks leave for the thread. Of most things only the newest counts.

    Attributes:
        waiting: (kind, message, arrival on the steady clock [s]), in the order of arrival; read
            with the next frame.
    """

    look: Look | None = None     # at the newest frame
    goal: Any = None
    reset: Any = None
    settings: LoopSettings | None = None
    waiting: deque = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))

    def is_pressing(self) -> bool:
        """Tell whether there is anything that does not wait for a frame."""
        return self.look is not None or self.is_urgent()

    def is_urgent(self) -> bool:
        """Tell whether there is anything that nothing else comes before."""
        return any(item is not None for item in (self.goal, self.reset, self.settings))


class SideWork(Protocol):
    """What the thread does between two frames."""

    def ready(self) -> bool:
        """Tell whether there is something to do, and time for it."""
        ...

    def work(self) -> None:
        """Do one thing."""
        ...


class _Nothing:
    def ready(self) -> bool:
        return False

    def work(self) -> None:
        """Do nothing."""


class Worker:
    """Owns a thread, its inbox and its loop, from one activation to the next deactivation.

    Args:
        loop: Used by the thread only, but for its `report`.
        session: Of the loop.
        handle: Called in the thread with what was in the inbox.
        stuck_limit_s: After how long one call of `handle` is stuck [s].
        hung_limit_s: After how long without progress of the loop it is [s].
        give_up: Called in the thread, once, when planning has ended for good.
        tell: Called in the thread when it has withdrawn what was sent: people wait for no frame.
        beside: Done in the thread between two frames; `wake` when there is something to do.
        steady_s: Steady seconds.
    """

    def __init__(self, loop: PlanLoop, session: Session, handle: Callable[[Inbox], None], *,
                 stuck_limit_s: Callable[[], float], hung_limit_s: Callable[[], float],
                 give_up: Callable[[str], None],
                 tell: Callable[[], None] = lambda: None,
                 beside: SideWork | None = None,
                 steady_s: Callable[[], float] = time.monotonic) -> None:
        self.loop = loop
        self._session = session
        self._handle, self._give_up, self._tell = handle, give_up, tell
        self._stuck_limit_s, self._hung_limit_s = stuck_limit_s, hung_limit_s
        self._beside, self._steady_s = beside or _Nothing(), steady_s
        self._wake = threading.Condition()
        self._inbox = Inbox()
        self._stopped = False
        self._busy_since_s: float | None = None
        self._aside = False          # busy with something else than frames
        self._alarmed_since_s: float | None = None   # the busy time that plans were withdrawn for
        self._crash = Reason()
        self._thread = threading.Thread(target=self._work, name='planner', daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, **items: Any) -> None:
        """Leave the newest of something for the thread, see `Inbox`."""
        with self._wake:
            for name, item in items.items():
                setattr(self._inbox, name, item)
            self._wake.notify()

    def wake(self) -> None:
        """Let the thread see whether there is something to do beside frames."""
        with self._wake:
            self._wake.notify()

    def see(self, look: Look) -> None:
        """Leave a frame; one that is trouble takes back all that was sent, without a plan's delay.

        Nor is anything sent that the thread is making, until there is a good frame.
        """
        self._session.see(look.trouble)
        self.put(look=look)

    def put_waiting(self, kind: str, message: Any) -> None:
        """Leave a message that is read with the next frame."""
        with self._wake:
            self._inbox.waiting.append((kind, message, self._steady_s()))

    def trouble(self) -> Reason:
        """Say what is wrong with the thread or its engine for good, or false."""
        if self._crash or self.loop.broken:
            return self._crash or self.loop.broken
        since_s = self._busy_since_s
        if since_s is None or self.loop.recovering:
            return Reason()
        now_s, since_s = self._steady_s(), max(since_s, self.loop.recovered_s)
        busy_s, limit_s = now_s - since_s, self._stuck_limit_s()
        if self._aside:    # it makes way for frames by itself, unless it hangs
            still_s = now_s - max(since_s, self.loop.progress_s)
            return Reason() if still_s <= limit_s else Reason(
                Code.PLANNER_STUCK, f'the planner has been at a question for {busy_s:.2f} s, '
                                    f'without an answer of the model for {still_s:.2f} s, '
                                    f'allowed are {limit_s:.2f} s')
        if busy_s > limit_s:
            return Reason(Code.PLANNER_STUCK, f'the planner has been at one frame for '
                                              f'{busy_s:.2f} s, allowed are {limit_s:.2f} s')
        still_s, limit_s = now_s - max(since_s, self.loop.progress_s), self._hung_limit_s()
        if still_s > limit_s:
            return Reason(Code.PLANNER_STUCK, f'the planner has got no answer of the model for '
                                              f'{still_s:.2f} s, allowed are {limit_s:.2f} s')
        return Reason()

    def became_stuck(self) -> bool:
        """Tell whether there is trouble that no report has told of yet."""
        since_s = self._busy_since_s
        return since_s is not None and since_s != self._alarmed_since_s and bool(self.trouble())

    def report(self) -> PlanReport:
        """Return how things are now; a thread that is stuck has its plans withdrawn."""
        trouble, report = self.trouble(), self.loop.report
        since_s = self._busy_since_s
        if trouble and since_s is not None and since_s != self._alarmed_since_s:
            self._alarmed_since_s = since_s
            self._session.withdraw(trouble)
        if reason := trouble or self._session.trouble:
            report = replace(report, state=state_of(reason), reason=reason)
        return replace(report, epoch=self._session.epoch)

    def close(self) -> PlanReport:
        """Send no chunk any more and return the last report; the thread may still be at work."""
        self._session.close()
        with self._wake:
            self._stopped = True
            self._wake.notify()
        reason = self.trouble() or Reason(Code.INACTIVE, 'the planner was deactivated')
        return replace(self.loop.report, epoch=self._session.epoch, state=PlanState.IDLE,
                       reason=reason)

    def join(self, patience_s: float) -> bool:
        """Wait for the end of the thread after `close`; return whether it has ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(patience_s)
        return not self._thread.is_alive()

    def where(self) -> str:
        """Return the stack of the thread, to see what it hangs in."""
        frame = sys._current_frames().get(self._thread.ident)
        return ''.join(traceback.format_stack(frame)) if frame else 'it has ended\n'

    def _work(self) -> None:
        try:
            while (work := self._next()) is not None:
                before = self._session.withdrawals
                work()
                if self._session.withdrawals != before and not self._stopped:
                    self._tell()
                if self.loop.broken:
                    self._end(self.loop.broken.text)
                    return
        except Exception as error:   # a bug of the planner: never a dead thread behind "active"
            self._crash = Reason(Code.PLANNER_FAILED, f'{type(error).__name__}: {error}')
            self._session.withdraw(self._crash)
            self._end(f'the planner thread died: {"".join(traceback.format_exception(error))}')
        finally:
            self._busy_since_s = None

    def _end(self, reason: str) -> None:
        if not self._stopped:   # else the activation is over, and its end is nobody's business
            self._give_up(reason)

    def _next(self) -> Callable[[], None] | None:
        """Wait for something to do; None: stop.

        What is beside has its turn after a frame, but not twice before the next one.
        """
        with self._wake:
            self._busy_since_s = None
            if self._aside and self._inbox.look is not None:
                self._inbox.look = replace(self._inbox.look, waited=True)
            while not self._stopped:
                turn = not self._inbox.is_pressing() or not (
                    self._aside or self._inbox.is_urgent())
                if turn and self._beside.ready():
                    self._aside = True
                    self._busy_since_s = self._steady_s()
                    return self._beside.work
                if self._inbox.is_pressing():
                    break
                self._wake.wait(_WAKE_S)
            self._aside = False
            if self._stopped:
                return None
            inbox, self._inbox = self._inbox, Inbox()
            self._busy_since_s = self._steady_s()
            return partial(self._handle, inbox)
