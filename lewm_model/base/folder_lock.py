"""A lock on a folder, for processes that write into it; readers need none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes that ask for this lock out meanwhile.

    The system lets go of it when this process ends, however it ends.

    Raises:
        BlockingIOError: If another process has it and `wait` is false.
    """
    import fcntl
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)   # gives the lock back
