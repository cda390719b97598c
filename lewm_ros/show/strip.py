"""The picture of imagination: what the newest plan leads to, and how the last one came out.

Three rows of small pictures. Above what the planner imagines now, from the frame that it saw to
the goal. Below a plan of some time ago, and under each of its imagined pictures what the camera
really showed at that time. Between the two other plans were made, so the rows need not agree: the
farther to the right, the more the planner has changed its mind meanwhile. No rclpy, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 96              # of one small picture [px]
_GAP, _HEAD, _LEFT = 6, 18, 6
_PAPER, _INK, _GREY = (250, 250, 248), (34, 36, 40), (120, 124, 130)


@dataclass(frozen=True, eq=False)
class Row:
    """A title and pictures from left to right; None: nothing is known for that time."""

    title: str
    pictures: Sequence[np.ndarray | None]    # uint8 (H, W, 3)
    captions: Sequence[str]


def draw(rows: Sequence[Row]) -> np.ndarray:
    """Draw rows as one picture, uint8 (H, W, 3)."""
    columns = max(len(row.pictures) for row in rows)
    height = _HEAD + SIDE + _HEAD
    sheet = np.full((len(rows) * height + _GAP, _LEFT + columns * (SIDE + _GAP), 3), _PAPER,
                    np.uint8)
    for number, row in enumerate(rows):
        top = number * height
        _write(sheet, row.title, _LEFT, top + _HEAD - 5, _INK)
        for column, (picture, caption) in enumerate(zip(row.pictures, row.captions, strict=True)):
            left = _LEFT + column * (SIDE + _GAP)
            _write(sheet, caption, left, top + _HEAD + SIDE + _HEAD - 5, _GREY)
            place = sheet[top + _HEAD:top + _HEAD + SIDE, left:left + SIDE]
            if picture is None:
                place[:] = 225
                cv2.line(place, (0, SIDE), (SIDE, 0), _PAPER, 1)
            else:
                place[:] = _fitted(picture)
    return sheet


def seconds(number: int, block_s: float) -> str:
    """Return the caption of the picture `number` blocks ahead."""
    return 'now' if number == 0 else f'+{number * block_s:.2f} s'


def _fitted(rgb: np.ndarray) -> np.ndarray:
    method = cv2.INTER_AREA if rgb.shape[0] > SIDE else cv2.INTER_CUBIC
    return cv2.resize(rgb, (SIDE, SIDE), interpolation=method)


def _write(sheet: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)
