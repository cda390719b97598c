"""What the processes of test_workers do; a module of its own, so that they can import it."""

from __future__ import annotations

import os
from pathlib import Path
import signal

from lewm_model.errors import BagError


def square(number: int) -> int:
    """Return the square."""
    return number * number


def fail(text: str) -> None:
    """Fail with a message of ours."""
    raise BagError(text)


def die() -> None:
    """End as a process does that the system kills for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def announce_and_wait(folder: str, number: int) -> None:
    """Write down who is at work, then work for ever."""
    Path(folder, str(number)).write_text(str(os.getpid()))
    signal.pause()


def first_waits(folder: str, number: int) -> int:
    """Job 0 works for ever, the others end."""
    if number == 0:
        announce_and_wait(folder, number)
    return number
