"""How the trials tell the processes with planted faults what to do: one small file per process.

A file can be read from any thread, also while the process that reads it is stuck, and nothing on
the system under trial has to listen to a topic that a real one does not have.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = 'LEWM_FAULT_ORDERS'   # the folder, for the processes


class Orders:
    """The orders in one folder; an order is a word, and none is no fault."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_environment(cls) -> Orders:
        """Return those of the trial that started this process."""
        return cls(Path(os.environ[VARIABLE]))

    def give(self, who: str, order: str = '') -> None:
        """Give an order to `who`, or take it back."""
        draft = self._folder / f'.{who}'
        draft.write_text(order, encoding='ascii')
        draft.replace(self._folder / who)

    def of(self, who: str) -> str:
        """Return the order in force."""
        try:
            return (self._folder / who).read_text(encoding='ascii')
        except FileNotFoundError:
            return ''

    def clear(self) -> None:
        """Take all orders back."""
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)
