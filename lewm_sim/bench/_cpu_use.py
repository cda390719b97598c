"""Processor time, which other load on the machine cannot change as it changes the wall clock."""

from __future__ import annotations

import os


class CpuUse:
    """Processor seconds of this process and its finished children, by what was running."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._units: dict[str, float] = {}
        self._current: tuple[str, float, float] | None = None

    def begin(self, name: str, units: float) -> None:
        """Count from now on for `name`, which handles `units`; children must have ended."""
        self.end()
        self._current = name, units, _seconds()

    def end(self) -> None:
        """Stop counting."""
        if self._current:
            name, units, started = self._current
            self._spent[name] = self._spent.get(name, 0.0) + _seconds() - started
            self._units[name] = self._units.get(name, 0.0) + units
        self._current = None

    def ms_per_unit(self, name: str) -> float:
        """Return the processor time of one unit [ms]."""
        return 1e3 * self._spent[name] / self._units[name]


def _seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
