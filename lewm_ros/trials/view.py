"""The demo in the terminal: a live table for people, plain lines for a log. No rclpy."""

from __future__ import annotations

import sys
import time

from lewm_ros.trials.record import GoalResult
from lewm_sim.tasks import Outcome, Tolerance
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_REFRESH_S = 0.2
_LINE_S = 1.0      # between two progress lines where there is no terminal


class DemoView:
    """Shows progress; use it as a context manager.

    Args:
        goals: How many there are.
        tolerance: Errors below their limit are green.
        console: Where to write; standard output when None.
    """

    def __init__(self, goals: int, tolerance: Tolerance,
                 console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._goals = goals
        self._tolerance = tolerance
        self._rows: list[list[Text]] = []
        self._live: Live | None = None
        self._shown_s = 0.0

    def __enter__(self) -> DemoView:
        return self

    def __exit__(self, *_) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, number: int, seconds: float, outcome: Outcome, distance: float,
                 plan_ms: float) -> None:
        """Show how the goal `number` (from 0) is going; may be called for every frame."""
        now_s = time.monotonic()
        terminal = self._console.is_terminal
        if now_s - self._shown_s < (_REFRESH_S if terminal else _LINE_S):
            return
        self._shown_s = now_s
        row = self._row(number, seconds, outcome, distance, plan_ms, Text('moving', 'yellow'))
        if terminal:
            self._show([*self._rows, row])
        else:
            self._line(row)

    def finished(self, number: int, result: GoalResult, plan_ms: float) -> None:
        """Show the end of a goal."""
        word = Text('reached', 'bold green') if result.reached else Text('missed', 'bold red')
        row = self._row(number, result.seconds, result.final, result.goal_distance,
                        plan_ms, word)
        self._rows.append(row)
        if self._console.is_terminal:
            self._show(self._rows)
        else:
            self._line(row)

    def _row(self, number: int, seconds: float, outcome: Outcome, distance: float,
             plan_ms: float, word: Text) -> list[Text]:
        errors = [Text(f'{outcome.errors[name]:.3f}',
                       'green' if outcome.errors[name] < limit else '')
                  for name, limit in self._tolerance.limits.items()]
        return [Text(f'{number + 1}/{self._goals}'), Text(f'{seconds:.1f}'), *errors,
                Text(f'{distance:.3f}'), Text(f'{plan_ms:.0f}'), word]

    def _columns(self) -> list[str]:
        return ['goal', 'time [s]', *(f'{name} off [{self._tolerance.units[name] or 1}]'
                                       for name in self._tolerance.limits),
                'latent cost', 'plan [ms]', '']

    def _line(self, row: list[Text]) -> None:
        pairs = zip(self._columns(), row, strict=True)
        self.say('  '.join(f'{name} {value.plain}'.strip() for name, value in pairs))

    def _show(self, rows: list[list[Text]]) -> None:
        table = Table(*self._columns(), box=None, pad_edge=False, header_style='bold')
        for column in table.columns:
            column.justify = 'right'
        for row in rows:
            table.add_row(*row)
        if self._live is None:
            self._live = Live(table, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(table, refresh=True)
