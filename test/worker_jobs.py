"""What the processes of tests do; a module of its own, so that they can import it."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import signal
from typing import Any

from lewm_model.base.workers import run_jobs
from lewm_model.data.rows import ChunkedRows
from lewm_model.errors import BagError, DatasetError
from lewm_model.robots.robot import Clocks, RobotDescription
import numpy as np


def elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of this module in a process of its own, as conversions do."""
    [(_, result)] = run_jobs(function, [arguments], 1, killed=DatasetError('it was killed'))
    return result


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


def facts_of(robot: RobotDescription) -> tuple[int, Clocks, tuple[str, ...], list[float]]:
    """Return this process and what a description says here."""
    return os.getpid(), robot.clocks, robot.joint_names, robot.max_rate.tolist()


def row_of(pixels: ChunkedRows, row: int) -> tuple[int, np.ndarray]:
    """Return this process and one row of a data set, as it is read here."""
    return os.getpid(), pixels[row]
