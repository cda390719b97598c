"""Ctrl-C and SIGTERM between optimiser steps instead of in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.wanted = False


@contextmanager
def watch_for_stop() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one interrupts at once.

    SIGTERM is what torchrun, batch queues and containers send. Signals belong to the main
    thread; in another one nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def on_signal(number: int, frame: object) -> None:
        if request.wanted:
            raise KeyboardInterrupt
        request.wanted = True
    before = {number: signal.signal(number, on_signal)
              for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
