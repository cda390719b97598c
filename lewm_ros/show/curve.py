"""The curve of surprise as a picture, for viewers that draw no curves. No rclpy, no torch."""

from __future__ import annotations

from collections import deque
import math

import cv2
import numpy as np

SPAN_S = 20.0                  # what the curve shows
_SIZE = (480, 160)             # width, height [px]
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 24, 470, 136
_PAPER, _INK, _GREY, _LINE = (250, 250, 248), (34, 36, 40), (120, 124, 130), (220, 221, 218)
_BLUE, _RED = (31, 97, 191), (200, 40, 45)


class SurpriseCurve:
    """Remembers the last seconds and draws them."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, float]] = deque(maxlen=4000)
        self._limit, self._alarm = math.nan, False

    def add(self, stamp_ns: int, surprise: float, limit: float, alarm: bool = False) -> None:
        """Take one report of the planner; NaN: not known. Time that steps back begins anew.

        One frame above the limit is no alarm: the guard says when there is one.
        """
        if self._points and stamp_ns < self._points[-1][0]:
            self._points.clear()
        self._limit, self._alarm = limit, alarm
        if math.isfinite(surprise):
            self._points.append((stamp_ns, surprise))

    def draw(self) -> np.ndarray:
        """Return the curve, uint8 (160, 480, 3); time to the right, newest at the edge."""
        picture = np.full((_SIZE[1], _SIZE[0], 3), _PAPER, np.uint8)
        newest_ns = self._points[-1][0] if self._points else 0
        shown = [(-(newest_ns - stamp_ns) / 1e9, value) for stamp_ns, value in self._points
                 if newest_ns - stamp_ns <= SPAN_S * 1e9]
        limited = math.isfinite(self._limit)
        top = max([2.0, *(value for _, value in shown), *([1.25 * self._limit] * limited)])
        cv2.rectangle(picture, (_LEFT, _TOP), (_RIGHT, _BOTTOM), _LINE, 1)
        for value, colour, name in ((1.0, _GREY, 'ordinary'), (self._limit, _RED, 'limit')):
            if math.isfinite(value):
                y = self._y(value, top)
                cv2.line(picture, (_LEFT, y), (_RIGHT, y), colour, 1)
                _write(picture, name, _LEFT + 4, y - 3, colour)
        for value in (0.0, top):
            _write(picture, f'{value:.3g}', 6, self._y(value, top) + 4, _GREY)
        said = f'{shown[-1][1]:.2f}' if shown else 'not known'
        said += ', ALARM' if self._alarm else ''
        _write(picture, f'surprise {said}', _LEFT, _TOP - 8, _RED if self._alarm else _INK)
        _write(picture, f'last {SPAN_S:g} s', _RIGHT - 66, _BOTTOM + 16, _GREY)
        if shown:
            points = np.array([[self._x(second), self._y(value, top)] for second, value in shown])
            cv2.polylines(picture, [points.astype(np.int32).reshape(-1, 1, 2)], False, _BLUE, 2,
                          cv2.LINE_AA)
        return picture

    def _x(self, second: float) -> int:
        return round(_RIGHT + (_RIGHT - _LEFT) * second / SPAN_S)

    def _y(self, value: float, top: float) -> int:
        return round(_BOTTOM - (_BOTTOM - _TOP) * min(max(value / top, 0.0), 1.0))


def _write(picture: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
