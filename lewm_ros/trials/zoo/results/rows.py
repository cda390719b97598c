"""What a walk found out: one row per check, with its number and what was allowed. No rclpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path

STEPS = ('record', 'inspect', 'ingest', 'train', 'shadow', 'drive', 'stop', 'e_stop',
         'kill_planner', 'kill_command')
OFFLINE, LIVE = STEPS[:4], STEPS[4:]   # each of the first is kept; the others share a driver
LOAD = 'load average'
PAUSE = 'longest pause of this machine [s]'   # see `pulse`


@dataclass(frozen=True)
class Row:
    """One check of one robot."""

    robot: str
    step: str
    check: str
    value: float | str | None
    allowed: str
    passed: bool

    def text(self) -> str:
        """Say it in one line."""
        value = f'{self.value:.4g}' if isinstance(self.value, float) else self.value
        word = 'ok    ' if self.passed else 'FAILED'
        return (f'{word} {self.robot:17} {self.step:13} {self.check}: {value}'
                + (f' (allowed: {self.allowed})' if self.allowed else ''))


class Rows:
    """The rows of one robot, on disk after every step.

    Args:
        robot: Its name.
        file: JSON, read if it exists, so that a walk goes on where it was interrupted.
        say: Gets each row as text.
    """

    def __init__(self, robot: str, file: Path, say: Callable[[str], None] = print) -> None:
        self._robot, self._file, self._say = robot, file, say
        self._steps: dict[str, list[Row]] = {}
        self._open: list[Row] = []
        if file.is_file():
            known = json.loads(file.read_text(encoding='utf-8'))
            self._steps = {step: [Row(**row) for row in rows] for step, rows in known.items()}

    @property
    def all(self) -> list[Row]:
        """All rows of finished steps in the order of the walk."""
        return [row for step in STEPS for row in self._steps.get(step, [])]

    def finished(self, step: str) -> bool:
        """Tell whether a step was taken and nothing failed in it."""
        rows = self._steps.get(step)
        return rows is not None and all(row.passed for row in rows)

    def value(self, step: str, check: str) -> float | str | None:
        """Return what a row of a finished step says; None if it is not there."""
        return next((row.value for row in self._steps.get(step, ()) if row.check == check), None)

    def forget(self, steps: Sequence[str]) -> None:
        """Take these steps anew."""
        for step in steps:
            self._steps.pop(step, None)

    def close(self, step: str) -> None:
        """Keep the rows of a step, replacing those of an earlier run."""
        self._steps[step] = [row for row in self._open if row.step == step]
        self._open = [row for row in self._open if row.step != step]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(
            {name: [asdict(row) for row in rows] for name, rows in self._steps.items()},
            indent=1) + '\n', encoding='utf-8')

    def at_most(self, step: str, check: str, value: float, limit: float, unit: str = '') -> bool:
        """Check a number from above; NaN fails."""
        return self._add(step, check, _number(value), f'at most {limit:.4g}{_unit(unit)}',
                         value <= limit)

    def at_least(self, step: str, check: str, value: float, limit: float, unit: str = '') -> bool:
        """Check a number from below; NaN fails."""
        return self._add(step, check, _number(value), f'at least {limit:.4g}{_unit(unit)}',
                         value >= limit)

    def true(self, step: str, check: str, passed: bool, value: str = '') -> bool:
        """Check a fact; `value` says what was found."""
        return self._add(step, check, value or ('yes' if passed else 'no'), '', passed)

    def note(self, step: str, what: str, value: float | str) -> None:
        """Keep a number that is not judged."""
        self._add(step, what, value, '', True)

    def _add(self, step: str, check: str, value: float | str | None, allowed: str,
             passed: bool) -> bool:
        row = Row(self._robot, step, check, value, allowed, bool(passed))
        self._open.append(row)
        self._say(row.text())
        return row.passed


def _number(value: float) -> float | None:
    return float(value) if abs(value) < 1e300 else None   # JSON knows no infinity, nor NaN


def _unit(unit: str) -> str:
    return f' {unit}' if unit else ''
