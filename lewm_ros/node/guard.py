"""Callbacks that survive whatever a peer sends: the fault is logged, shown and remembered.

A message that cannot be used is the fault of its sender. It must not end the node that heard it,
so no exception leaves a guarded callback: it is logged (at most once a second per callback) and
stays visible in diagnostics for a few seconds after its last occurrence.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import inspect
import time
import traceback
from typing import Any

from lewm_model.errors import LewmError
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.refusals import reason_to_refuse, refuse

_SHOWN_S = 5.0    # a fault stays in diagnostics this long after its last occurrence
_LOG_EVERY_S = 1.0


class Guard:
    """Wraps the callbacks of one node.

    Args:
        logger: Of the node.
        on_bug: Called with the reason after a callback raised anything but a LewmError: the node
            no longer knows what it did, so whoever moves something stops it here.
        now_s: Steady seconds; faults are aged with it.
    """

    def __init__(self, logger: Any, on_bug: Callable[[str], None] = lambda reason: None,
                 now_s: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._on_bug = on_bug
        self._now_s = now_s
        self._logged_s: dict[str, float] = {}
        self._fault = ''
        self._fault_s = 0.0

    @property
    def fault(self) -> str:
        """The newest fault of a callback, if it was in the last seconds."""
        return self._fault if self._now_s() - self._fault_s <= _SHOWN_S else ''

    def note(self, source: str, error: Exception) -> str:
        """Log and remember a fault; return it in one line.

        Args:
            source: What failed, for people; one line a second is logged for each.
            error: A LewmError explains itself, anything else is logged with its traceback.
        """
        expected = isinstance(error, LewmError)
        self._fault = f'{source}: {error if expected else f"{type(error).__name__}: {error}"}'
        self._fault_s = self._now_s()
        self.say(source, self._fault if expected else
                 f'{self._fault}\n{"".join(traceback.format_exception(error))}', 'error')
        return self._fault

    def say(self, key: str, text: str, level: str = 'warning') -> None:
        """Log a text that may come again and again, once a second for each key."""
        now_s = self._now_s()
        if now_s - self._logged_s.get(key, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_s[key] = now_s
            # One line of code for each severity: rclpy raises where one line changes its own.
            if level == 'error':
                self._logger.error(text)
            else:
                self._logger.warning(text)

    def _caught(self, source: str, error: Exception) -> str:
        reason = self.note(source, error)
        if not isinstance(error, LewmError):
            self._on_bug(reason)
        return reason

    def listener(self, callback: Callable[..., None], source: str) -> Callable[..., None]:
        """Wrap the callback of a subscription or timer; one that awaits keeps its group busy."""
        if inspect.iscoroutinefunction(callback):
            @functools.wraps(callback)
            async def patient(*arguments: Any) -> None:
                try:
                    await callback(*arguments)
                except Exception as error:
                    self._caught(source, error)
            return patient

        @functools.wraps(callback)
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:
                self._caught(source, error)
        return guarded

    def server(self, callback: Callable[[Any, Any], Any], source: str
               ) -> Callable[[Any, Any], Any]:
        """Wrap the callback of a service; a fault is answered with its reason and no success."""
        def refusal(response: Any, error: Exception) -> Any:
            code = reason_to_refuse(error, Code.INTERNAL).code
            fresh = type(response)()   # half an answer is worse than none
            return refuse(fresh, Reason(code, self._caught(source, error)))

        if inspect.iscoroutinefunction(callback):
            @functools.wraps(callback)
            async def guarded(request: Any, response: Any) -> Any:
                try:
                    return await callback(request, response)
                except Exception as error:
                    return refusal(response, error)
        else:
            @functools.wraps(callback)
            def guarded(request: Any, response: Any) -> Any:
                try:
                    return callback(request, response)
                except Exception as error:
                    return refusal(response, error)
        return guarded
