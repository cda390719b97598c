"""Priorities of the processes under trial, and of what stands for hardware."""

from __future__ import annotations

from dataclasses import dataclass
import os

from lewm_ros.node.priority import before, set_session_nice


@dataclass(frozen=True)
class Nice:
    """Nice values of each process and of its session, see `node.priority`."""

    process: int
    session: int

    def give(self, pid: int, *, urgent: bool = False) -> None:
        """Give them to a process, and to its session if it leads one.

        An urgent process keeps its own nice value.
        """
        if not urgent:
            os.setpriority(os.PRIO_PROCESS, pid, self.process)
        session = before(self.session) if urgent else self.session
        if session and os.getsid(pid) == pid:
            set_session_nice(pid, session)
