"""How late the machine itself was: it says how much of a late stop is the nodes' own.

    python -m lewm_ros.trials.faults.system.delays

A plain process sleeps beside a trial, at the priority of the trial, and notes when it woke late.
And the kernel knows how long each thread of the nodes was ready to run and had no processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
import sys
import time

from lewm_ros.startup.processes import Child, stop

PERIOD_S = 0.005
_NOTED_S = 0.005       # shorter delays are not written down


class Delays:
    """Starts the process and reads what it noted.

    Args:
        log: Its file; overwritten.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._child = Child('delays', [sys.executable, '-u', '-m', __name__], log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def worst_s(self, since_s: float, until_s: float) -> float:
        """Return the longest delay that touches an interval of the steady clock [s]."""
        return worst_s(self._log.read_text(encoding='ascii'), since_s, until_s)

    def close(self) -> None:
        """End the process."""
        stop([self._child])


def worst_s(notes: str, since_s: float, until_s: float) -> float:
    """Return the longest of the delays in these notes that touches an interval [s]."""
    pairs = (map(float, line.split()) for line in notes.splitlines() if line.count(' ') == 1)
    return max((late for woke, late in pairs if woke >= since_s and woke - late <= until_s),
               default=0.0)


class Waiting:
    """The time that threads of some processes wait for a processor, from now on.

    Args:
        pids: Of the processes.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._begin = self._now()

    def worst_s(self) -> float:
        """Return what the worst of the threads has waited since [s]."""
        return max((waited - self._begin.get(thread, 0.0)
                    for thread, waited in self._now().items()), default=0.0)

    def _now(self) -> dict[str, float]:
        threads = {}
        for pid in self._pids:
            for folder in Path(f'/proc/{pid}/task').glob('*'):
                with suppress(OSError):      # it ended meanwhile
                    waited_ns = (folder / 'schedstat').read_text(encoding='ascii').split()[1]
                    threads[folder.name] = int(waited_ns) / 1e9
        return threads


def main() -> None:
    """Write a line for every delay, until the end."""
    due_s = time.monotonic()
    while True:
        due_s += PERIOD_S
        time.sleep(max(due_s - time.monotonic(), 0.0))
        now_s = time.monotonic()
        if now_s - due_s > _NOTED_S:
            print(f'{now_s:.4f} {now_s - due_s:.4f}')
            due_s = now_s


if __name__ == '__main__':
    main()
