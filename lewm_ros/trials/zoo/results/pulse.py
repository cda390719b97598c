"""How long this machine kept a process waiting: what tells a slow robot from a busy machine."""

from __future__ import annotations

from threading import Event, Thread
import time

PERIOD_S = 0.01


class Pulse:
    """A thread that wants to wake up a hundred times a second and notes by how much it was late.

    It has the priority of this process. A pause that is noted was one of every process of that
    priority or a lower one, our nodes among them; a pause of theirs alone is not seen.
    """

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._run, name='pulse', daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def longest_s(self) -> float:
        """Return the longest delay since the last call [s]."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    def _run(self) -> None:
        due_s = time.monotonic() + PERIOD_S
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            now_s = time.monotonic()
            self._longest_s = max(self._longest_s, now_s - due_s)
            due_s = now_s + PERIOD_S
