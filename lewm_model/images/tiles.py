"""The square that the model sees: which part of each camera's picture, and where it goes.

A robot with one camera fills the square with its (cropped) picture; two share it side by side;
three or four lie in a grid of two by two. Pictures are squeezed to their place. Recordings, live
cameras and goals all come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any

from lewm_model.errors import ConfigError
from lewm_model.images.decode import resize
import numpy as np

Crop = tuple[float, float, float, float]   # left, top, width, height as shares of the picture
WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)
MAX_CAMERAS = 4


@dataclass(frozen=True)
class Tile:
    """The place of one camera's picture in the square [px], and the part of it that goes there."""

    top: int
    left: int
    height: int
    width: int
    crop: Crop = WHOLE

    @property
    def at_least(self) -> tuple[int, int]:
        """Height and width of a whole picture that need not be enlarged [px]."""
        return math.ceil(self.height / self.crop[3]), math.ceil(self.width / self.crop[2])

    def fill(self, rgb: np.ndarray) -> np.ndarray:
        """Crop and resize a picture, uint8 (H, W, 3), to (height, width, 3).

        Raises:
            ImageError: If it is no picture.
        """
        return resize(cropped(rgb, self.crop), self.height, self.width)


def cropped(rgb: np.ndarray, crop: Crop) -> np.ndarray:
    """Return the part of a picture that `crop` names, to whole pixels; at least one."""
    if crop == WHOLE:
        return rgb
    left, top, width, height = crop

    def span(start: float, length: float, whole: int) -> slice:
        first = min(round(start * whole), whole - 1)
        return slice(first, max(round((start + length) * whole), first + 1))
    return rgb[span(top, height, rgb.shape[0]), span(left, width, rgb.shape[1])]


def grid(count: int) -> tuple[int, int]:
    """Return rows and columns for this many cameras."""
    return (1, count) if count <= 2 else (2, 2)


def tiles_of(crops: Sequence[Crop], size: int) -> tuple[Tile, ...]:
    """Divide a square of `size` px among cameras, in reading order.

    Raises:
        ConfigError: If the square has not even one pixel for each.
    """
    rows, columns = grid(len(crops))
    if not 1 <= len(crops) <= MAX_CAMERAS or size < max(rows, columns):
        raise ConfigError(f'a square of {size} px holds 1 to {MAX_CAMERAS} cameras, got '
                          f'{len(crops)}')
    down = [size * row // rows for row in range(rows + 1)]
    right = [size * column // columns for column in range(columns + 1)]
    return tuple(
        Tile(down[place // columns], right[place % columns],
             down[place // columns + 1] - down[place // columns],
             right[place % columns + 1] - right[place % columns], tuple(crop))
        for place, crop in enumerate(crops))


def join(parts: Sequence[np.ndarray], tiles: Sequence[Tile], size: int) -> np.ndarray:
    """Put filled tiles together; a place without a camera stays black.

    Returns:
        rgb, uint8 (size, size, 3).
    """
    if len(parts) == 1:
        return parts[0]
    square = np.zeros((size, size, 3), np.uint8)
    for part, tile in zip(parts, tiles, strict=True):
        square[tile.top:tile.top + tile.height, tile.left:tile.left + tile.width] = part
    return square


def goal_sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Lay whole pictures of several cameras out as `goal_square` takes them.

    Returns:
        The picture of a single camera as it is; else equal tiles, as large as the largest.
    """
    if len(pictures) == 1:
        return pictures[0]
    rows, columns = grid(len(pictures))
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * height, place % columns * width
        sheet[top:top + height, left:left + width] = resize(picture, height, width)
    return sheet


def parse_crop(value: Any) -> Crop:
    """Read a crop: four shares of the picture; nothing or an empty list is the whole.

    Raises:
        ConfigError: If it is no part of a picture.
    """
    if value is None or (isinstance(value, Sequence) and not len(value)):
        return WHOLE
    try:
        if isinstance(value, (str, Mapping)):
            raise TypeError
        left, top, width, height = (float(number) for number in value)
    except (TypeError, ValueError):
        left = top = width = height = math.nan
    if not (0 <= left < 1 and 0 <= top < 1 and width > 0 and height > 0
            and left + width <= 1 + 1e-9 and top + height <= 1 + 1e-9):
        raise ConfigError(f'crop must be [left, top, width, height] as shares of the picture, '
                          f'each in [0, 1] and inside it (pixels divided by width and height of '
                          f'the picture), got {value!r}')
    return left, top, width, height
