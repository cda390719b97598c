"""A sheet of numbered pictures with a few lines of text under each, and which one a click hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from lewm_model.errors import ImageError
from lewm_model.images.decode import resize
import numpy as np

_TILE_PX = 132           # side of a shown picture
_GAP, _LINE = 6, 13      # [px]
_INK, _PAPER, _NUMBER = (30, 30, 30), 250, (170, 20, 30)
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.36


@dataclass(frozen=True, eq=False)
class Gallery:
    """The sheet and its raster."""

    rgb: np.ndarray          # uint8 (H, W, 3)
    count: int               # pictures, in reading order
    columns: int
    cell: tuple[int, int]    # height and width of a cell [px]

    def at(self, x: float, y: float) -> int:
        """Return the number of the picture at a point of the sheet [px].

        Raises:
            ImageError: If there is none.
        """
        height, width = self.rgb.shape[:2]
        if 0 <= x < width and 0 <= y < height:
            row, column = int(y // self.cell[0]), int(x // self.cell[1])
            number = row * self.columns + column
            if column < self.columns and number < self.count:
                return number
        raise ImageError(f'at ({x:g}, {y:g}) px of the gallery ({width}x{height} px) is no '
                         f'picture; click on one')

    def centre(self, number: int) -> tuple[float, float]:
        """Return the middle of a cell [px], x and y."""
        row, column = divmod(number, self.columns)
        return (column + 0.5) * self.cell[1], (row + 0.5) * self.cell[0]


def draw_gallery(pictures: Sequence[np.ndarray], lines: Sequence[Sequence[str]],
                 columns: int = 8) -> Gallery:
    """Lay out pictures, uint8 (H, W, 3) each, with their number and lines below.

    Raises:
        ImageError: If there is none.
    """
    if not pictures:
        raise ImageError('a gallery needs at least one picture')
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    longest = max(map(len, lines), default=0)
    cell = (_TILE_PX + 2 * _GAP + _LINE * longest, _TILE_PX + 2 * _GAP)
    sheet = np.full((rows * cell[0], columns * cell[1], 3), _PAPER, np.uint8)
    for number, (picture, texts) in enumerate(zip(pictures, lines, strict=True)):
        row, column = divmod(number, columns)
        top, left = row * cell[0] + _GAP, column * cell[1] + _GAP
        sheet[top:top + _TILE_PX, left:left + _TILE_PX] = _enlarged(picture)
        sheet[top:top + 16, left:left + 28] = _PAPER
        cv2.putText(sheet, str(number), (left + 2, top + 12), _FONT, 0.42, _NUMBER, 1,
                    cv2.LINE_AA)
        for line, text in enumerate(texts):
            cv2.putText(sheet, text, (left, top + _TILE_PX + _LINE * (line + 1) - 2), _FONT,
                        _SCALE, _INK, 1, cv2.LINE_AA)
    return Gallery(sheet, len(pictures), columns, cell)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """Return a square to show; small ones keep their pixels, so that nothing looks sharper."""
    if max(picture.shape[:2]) >= _TILE_PX:
        return resize(picture, _TILE_PX, _TILE_PX)
    return cv2.resize(picture, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_NEAREST)
