"""A loop in a process of its own that works only in its turns.

In one process several loops slow each other even while they rest: each leaves OpenMP threads
behind, and with more of those than cores none waits actively between two products any more.
"""

from __future__ import annotations

from collections.abc import Callable
import multiprocessing
from multiprocessing.connection import Connection
import os
from typing import Any

from lewm_model.errors import TrainingError


class _Over(Exception):
    """There will be no more turns."""


class Turns:
    """The loop's side: asks for its next turn and waits until it comes.

    Attributes:
        rest: Called when others work; ends helpers that would read ahead.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._working = False
        self.rest: Callable[[], None] = lambda: None

    def next(self) -> int:
        """Report the last turn as done, wait for the next one and return its steps."""
        if self._working:
            self._pipe.send(None)
        try:
            while (steps := self._pipe.recv()) == 0:
                self.rest()
                self._pipe.send(_cpu_seconds())
        except EOFError:  # the benchmark has ended, in whatever way
            raise _Over from None
        self._working = True
        return steps


class OwnProcess:
    """The benchmark's side.

    Args:
        loop: Called in the process with `Turns` and `arguments`; never returns.
        arguments: For `loop`; they travel to the process.
    """

    def __init__(self, loop: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, loop, arguments))
        self._process.start()
        theirs.close()
        self._steps, self._spent_s, self._before_s = 0, 0.0, 0.0

    def run(self, steps: int) -> None:
        """Let the loop take optimiser steps.

        Raises:
            TrainingError: With what the loop raised.
        """
        self._ask(steps)
        self._steps += steps

    def rest(self) -> None:
        """Let the loop end its helpers; its next turn starts them again.

        What is done until the first rest does not count as `cpu_s_per_step`: imports, compiling.
        """
        now_s = self._ask(0)
        if self._before_s:
            self._spent_s += now_s - self._before_s
        else:
            self._steps = 0
        self._before_s = now_s

    @property
    def cpu_s_per_step(self) -> float:
        """Processor time of the process and its helpers [s], which other load hardly changes."""
        return self._spent_s / self._steps

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def _ask(self, steps: int) -> Any:
        try:
            self._pipe.send(steps)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise TrainingError(f'the process of a loop ended with exit code '
                                f'{self._process.exitcode}') from error
        if isinstance(answer, str):
            raise TrainingError(answer)
        return answer


def _serve(pipe: Connection, loop: Callable[..., None], arguments: tuple) -> None:
    try:
        loop(Turns(pipe), *arguments)
    except (_Over, KeyboardInterrupt):
        pass
    except Exception as error:  # told to the benchmark, which ends with it
        pipe.send(f'{type(error).__name__}: {error}')


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
