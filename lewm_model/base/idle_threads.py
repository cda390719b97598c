"""Threads of OpenMP that wait: asleep, so that another busy process gets the core meanwhile.

torch divides its work among OpenMP threads that meet at barriers. A thread that is there first
spins, by default for up to 300,000 rounds: the fastest way while every thread has a core of its
own. Beside another busy process the thread that it waits for has no core, and spinning keeps it
from getting one (docs/training.md, beside other work, has numbers).
"""

from __future__ import annotations

import os

# Who sets one of these knows better: the standard's variable, and those of GNU and of LLVM and
# Intel, whose libraries obey the standard's as well.
_SAID = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')


def let_idle_threads_sleep() -> None:
    """Ask OpenMP for sleeping waits; in time only before torch is imported.

    Processes that this one starts inherit it. There is no such call once the library is loaded,
    which is why the environment is written to.
    """
    if not any(name in os.environ for name in _SAID):
        os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'


def idle_threads_spin() -> bool:
    """Tell whether somebody asked for spinning waits, for libraries with threads of their own."""
    return os.environ.get('OMP_WAIT_POLICY', '').upper() == 'ACTIVE'
