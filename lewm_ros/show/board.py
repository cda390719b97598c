"""What is not as it should be, as a picture: RViz shows no diagnostics. No rclpy, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import textwrap

import cv2
import numpy as np

SILENT_S = 3.0                 # diagnostics come once a second
_KEPT_S = 60.0                 # a node that was silent for so long is forgotten
_MOST_NODES = 100              # that are remembered; others publish there too
_NAMES = ('OK', 'WARN', 'ERROR', 'STALE')
_SIZE = (480, 240)             # width, height [px]
_LEFT, _TOP, _LINE = 10, 20, 16
_ROOM = 13                     # lines below the title
_WIDTH, _LINES, _LONGEST = 66, 4, 1000   # of one text: characters in a line, lines, characters
_PAPER, _GOOD = (250, 250, 248), (34, 36, 40)
_COLOURS = (_GOOD, (176, 112, 0), (200, 40, 45), (200, 40, 45))


@dataclass(frozen=True)
class _Said:
    at_s: float
    level: int      # of DiagnosticStatus
    text: str


class Board:
    """Remembers what every node said last. Seconds are those of a steady clock."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}

    def add(self, health: Sequence[tuple[str, int, str]], now_s: float) -> None:
        """Take one message: (node, level, text) of each status; the worst of a node counts."""
        worst: dict[str, _Said] = {}
        for node, level, text in health:
            if node not in worst or level > worst[node].level:
                worst[node] = _Said(now_s, level, text)
        for node, said in worst.items():
            self._said.pop(node, None)      # the newest are the last
            self._said[node] = said
        for node in list(self._said)[:-_MOST_NODES]:
            del self._said[node]

    def lines(self, now_s: float) -> list[tuple[str, int]]:
        """Return what is written, with how bad it is: a title, then the worst first."""
        self._said = {node: said for node, said in self._said.items()
                      if now_s - said.at_s < _KEPT_S}
        faults = sorted(
            ((node, level, text) for node, said in self._said.items()
             for level, text in [_judged(said, now_s)] if level > 0),
            key=lambda fault: (-fault[1], fault[0]))
        if not self._said:
            return [('no diagnostics were heard yet', 1)]
        found = [(f'{len(self._said) - len(faults)} of {len(self._said)} nodes are OK',
                  max((level for _, level, _ in faults), default=0))]
        for number, (node, level, text) in enumerate(faults):
            more = textwrap.wrap(_printable(f'{_name(level)}  {node}: {text}'), _WIDTH,
                                 subsequent_indent='  ', max_lines=_LINES, placeholder=' ...')
            left = len(faults) - number
            if len(found) + len(more) + (left > 1) > 1 + _ROOM:
                return [*found, (f'and {left} more', level)]
            found += [(line, level) for line in more]
        return found

    def draw(self, now_s: float) -> np.ndarray:
        """Return the board, uint8 (240, 480, 3)."""
        picture = np.full((_SIZE[1], _SIZE[0], 3), _PAPER, np.uint8)
        for number, (text, level) in enumerate(self.lines(now_s)):
            base, colour = _TOP + number * _LINE, _COLOURS[min(level, len(_COLOURS) - 1)]
            picture[base - 11:base + 5, :4] = _PAPER if level == 0 else colour
            cv2.putText(picture, text, (_LEFT, base), cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1,
                        cv2.LINE_AA)
        return picture


def _judged(said: _Said, now_s: float) -> tuple[int, str]:
    """Return level and text of a node now: one that went silent is not well, whatever it said."""
    silent_s = now_s - said.at_s
    if silent_s > SILENT_S:
        return _NAMES.index('ERROR'), f'silent for {silent_s:.0f} s'
    return said.level, said.text


def _name(level: int) -> str:
    return _NAMES[level] if level < len(_NAMES) else f'level {level}'


def _printable(text: str) -> str:
    """Return a text of a peer with what the font has; the rest is a question mark."""
    return ''.join(one if ' ' <= one <= '~' else '?' for one in text[:_LONGEST])
