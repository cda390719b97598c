"""Child processes that always end: with their parent, on request, and at the latest by force.

Each child gets its own process group, so a Ctrl-C in the terminal reaches the parent only, which
then stops the children in its own order. The kernel sends SIGTERM to a child whose parent died,
even by `kill -9`. Linux only, like the rest of the bring-up. No rclpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

# What a child does before it becomes the program: 1 is PR_SET_PDEATHSIG; the parent may have died
# before that line; a shell's background job ignores SIGINT and would pass that on.
_BOOTSTRAP = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""
# How a child is asked to end, and how long it may take before the next, rougher way [s].
_WAYS_TO_END = ((signal.SIGINT, 5.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))
_POLL_S = 0.02


class Child:
    """One running program; its output goes to a log file.

    Must be made by the main thread: the kernel watches the thread that forks, not the process.

    Args:
        name: For people.
        command: Program and arguments.
        log: File that gets standard output and error; overwritten.
        environment: The child's whole environment; the parent's when None.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path,
                 environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        # not by preexec_fn: Python code in a forked copy of a process that has threads, as one
        # that uses ROS has, may wait for ever for a lock that another thread held
        bootstrap = [sys.executable, '-I', '-S', '-c', _BOOTSTRAP, str(os.getpid())]
        with log.open('wb') as output:
            self._popen = subprocess.Popen(
                [*bootstrap, *command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the child's process group."""
        return self._popen.pid

    def exit_status(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and everything it started."""
        if self.exit_status() is None:
            os.killpg(self.pid, number)

    def last_lines(self, count: int = 8) -> str:
        """Return the end of the log, for an error message."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        return '\n'.join(lines[-count:])


def stop(children: Iterable[Child]) -> None:
    """End all of them: ask, insist, kill. An interrupt while waiting kills at once."""
    children = list(children)
    try:
        for number, patience_s in _WAYS_TO_END:
            if not _send_and_wait(children, number, patience_s):
                return
    except BaseException:
        _send_and_wait(children, signal.SIGKILL, 2.0)
        raise


def _send_and_wait(children: list[Child], number: signal.Signals, patience_s: float) -> bool:
    """Signal those that run; tell whether any is left after `patience_s`."""
    for child in children:
        child.signal(number)
    deadline_s = time.monotonic() + patience_s
    while any(child.exit_status() is None for child in children):
        if time.monotonic() > deadline_s:
            return True
        time.sleep(_POLL_S)
    return False
