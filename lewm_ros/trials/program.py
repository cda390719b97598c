"""How the programs of trials end: all alike, with a status that a script can read."""

from __future__ import annotations

from collections.abc import Callable
import sys

from lewm_model.errors import LewmError
from lewm_ros.startup.bringup import handle_signals

FAILED = 1         # also: what was measured is out of its limits
INTERRUPTED = 130  # as a shell says it of SIGINT


def run_program(name: str, work: Callable[[], int], *,
                interrupted: str = 'all processes have ended') -> int:
    """Do the work of a program; return its exit status.

    SIGINT and SIGTERM interrupt the work where it is, and its `with` blocks end what they began.

    Args:
        name: Of the program, before what it says on standard error.
        work: Returns the exit status. A LewmError from it is told without a traceback.
        interrupted: What a person should know after Ctrl-C.
    """
    handle_signals()
    try:
        return work()
    except LewmError as error:
        print(f'{name}: {error}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f'{name}: interrupted; {interrupted}', file=sys.stderr)
        return INTERRUPTED
