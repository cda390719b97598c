"""Who goes first on a machine that has too much to do. Linux.

Nice values only compare processes of one session where the kernel groups sessions (autogroup, the
default of desktops): there a session has a nice value of its own, and so must get it, too.
"""

from __future__ import annotations

import os
from pathlib import Path

BEFORE = 10     # nice values between what stops the robot and the others
_LEAST = -20


def before(nice: int) -> int:
    """Return the nice value of what goes before others with this one."""
    return max(nice - BEFORE, _LEAST)


def hurry() -> bool:
    """Let this process go before others where that is allowed; tell whether it is.

    Before threads are made: they take it along. It needs CAP_SYS_NICE, or a line such as
    "@realtime - nice -10" in limits.conf.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, before(os.getpriority(os.PRIO_PROCESS, 0)))
        if os.getsid(0) == os.getpid():    # else it is not this process's to decide
            set_session_nice(os.getpid(), before(_session_nice()))
    except PermissionError:
        return False
    return True


def _session_nice() -> int:
    try:
        return int(Path('/proc/self/autogroup').read_text(encoding='ascii').split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def set_session_nice(pid: int, nice: int) -> None:
    """Set the nice value of a session as a whole, where sessions have one.

    Args:
        pid: Of any process of it.
        nice: In [-20, 19].

    Raises:
        PermissionError: If it may not be lowered.
    """
    try:
        Path(f'/proc/{pid}/autogroup').write_text(str(nice), encoding='ascii')
    except PermissionError:
        raise
    except OSError:      # no such thing here, or the process has ended
        return
