"""The outcomes of one arm on disk: complete after every trial, whatever happens in the next."""

from __future__ import annotations

from collections.abc import Iterable
import json
from pathlib import Path

from lewm_ros.trials.faults.trial import Outcome


class Results:
    """Outcomes by row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[dict]] = (
            json.loads(path.read_text(encoding='utf-8')) if path.exists() else {})

    def count(self, row: str | None = None) -> int:
        """Count the trials of a row, or of all."""
        return sum(len(trials) for name, trials in self._rows.items() if row in (None, name))

    def outcomes(self, row: str) -> list[Outcome]:
        """Return the trials of a row."""
        return [Outcome.from_json(trial) for trial in self._rows.get(row, [])]

    def add(self, row: str, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._rows.setdefault(row, []).append(outcome.to_json())
        self._save()

    def drop(self, rows: Iterable[str]) -> None:
        """Forget rows."""
        for row in rows:
            self._rows.pop(row, None)
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix('.draft')
        draft.write_text(json.dumps(self._rows, indent=1), encoding='utf-8')
        draft.replace(self._path)
