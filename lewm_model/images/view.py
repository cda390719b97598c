"""The view of a model: number, shape and crop of the cameras, and the size of its frames.

Pictures are squeezed to a square, so their shape, width to height, is a fact of data set and
bundle: another shape would show the same thing differently. How the square is made is `tiles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import json
import math
from typing import Any

from lewm_model.errors import ConfigError, ImageError
from lewm_model.images.tiles import Crop, grid, join, parse_crop, Tile, tiles_of, WHOLE
import numpy as np

ASPECT_TOLERANCE = 0.01   # relative; drivers round to even or sixteenth pixels


@dataclass(frozen=True)
class CameraView:
    """What one camera showed in the data."""

    width: int     # of the whole picture [px]; only the ratio to the height counts
    height: int
    crop: Crop = WHOLE

    @property
    def aspect(self) -> float:
        """Width to height of what is left after the crop."""
        return self.width * self.crop[2] / (self.height * self.crop[3])

    def differs(self, width: int, height: int, crop: Crop | None = None) -> bool:
        """Tell whether a picture of this size has another shape after its crop.

        Args:
            width: Of the whole picture [px].
            height: Likewise.
            crop: Of the picture; None: as this one's.
        """
        other = CameraView(width, height, self.crop if crop is None else crop)
        return not math.isclose(self.aspect, other.aspect, rel_tol=ASPECT_TOLERANCE)

    def __str__(self) -> str:
        part = '' if self.crop == WHOLE else f' cropped to {_numbers(self.crop)}'
        return f'{self.width}x{self.height}{part}'


@dataclass(frozen=True)
class View:
    """How the pictures of a robot's cameras became the frames of a data set."""

    frame_px: int                       # side of the stored squares
    cameras: tuple[CameraView, ...]

    def __str__(self) -> str:
        return f'{" | ".join(map(str, self.cameras))}, stored as {self.frame_px} px'

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The places of the cameras in the stored square."""
        return tiles_of([camera.crop for camera in self.cameras], self.frame_px)

    def difference(self, other: View) -> str:
        """Say how another view differs from this one, or nothing."""
        if self.frame_px != other.frame_px:
            return f'frames of {other.frame_px} px instead of {self.frame_px} px'
        crops = [camera.crop for camera in other.cameras]
        return self.misfit(crops) or self.other_crops(crops) or '; '.join(
            f'the picture{_of(place, self.cameras)} is {new} instead of {old}'
            for place, (old, new) in enumerate(zip(self.cameras, other.cameras, strict=True))
            if old.differs(new.width, new.height))

    def misfit(self, crops: Sequence[Crop]) -> str:
        """Say that a robot has another number of cameras than the data, or nothing."""
        return ('' if len(crops) == len(self.cameras) else
                f'{len(crops)} cameras instead of {len(self.cameras)}')

    def other_crops(self, crops: Sequence[Crop]) -> str:
        """Say which crops differ from those of the data, or nothing.

        They may show the same all the same: a camera of 4:3 cropped to what one of 1:1 saw.
        """
        return '; '.join(
            f'crop {_numbers(crop)} instead of {_numbers(camera.crop)}'
            f'{_of(place, self.cameras)}'
            for place, (camera, crop) in enumerate(zip(self.cameras, crops, strict=True))
            if not np.allclose(camera.crop, crop, atol=1e-6))

    def check(self, place: int, width: int, height: int, crop: Crop) -> None:
        """Refuse a picture that has another shape after its crop than training saw.

        Raises:
            ImageError: Names both shapes.
        """
        camera, picture = self.cameras[place], CameraView(width, height, crop)
        if min(width, height) < 1:
            raise ImageError(f'the picture{_of(place, self.cameras)} is {width}x{height} px')
        if camera.differs(width, height, crop):
            raise ImageError(
                f'the picture{_of(place, self.cameras)} is {picture} px ({picture.aspect:.2f} to '
                f'1), the model was trained on {camera} ({camera.aspect:.2f} to 1): the same '
                f'thing would look different; set the camera to a mode of that shape, crop it to '
                f'what training saw, or train with this one')

    def to_dict(self) -> dict[str, Any]:
        """Return what is written to data sets and bundles."""
        return {'frame_px': self.frame_px, 'cameras': [
            {'width': camera.width, 'height': camera.height, 'crop': list(camera.crop)}
            for camera in self.cameras]}

    def to_json(self) -> str:
        """Return the attribute of a data set."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, values: Any) -> View:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: If it is malformed.
        """
        try:
            cameras = tuple(CameraView(int(one['width']), int(one['height']), parse_crop(
                one['crop'])) for one in values['cameras'])
            view = cls(int(values['frame_px']), cameras)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f'a view has frame_px and cameras with width, height and crop, got '
                              f'{values!r}') from error
        if view.frame_px < 1 or min((min(camera.width, camera.height)
                                     for camera in cameras), default=0) < 1:
            raise ConfigError(f'sizes of a view must be positive, got {values!r}')
        view.tiles   # noqa: B018  refuses numbers of cameras that no square holds
        return view

    @classmethod
    def from_json(cls, text: str) -> View | None:
        """Read the attribute of a data set; None where it has none.

        Raises:
            ConfigError: If it is malformed.
        """
        if not text:
            return None
        try:
            return cls.from_dict(json.loads(text))
        except ValueError as error:
            raise ConfigError(f'a view is JSON, got {text[:100]!r}') from error


def goal_square(rgb: np.ndarray, view: View, tiles: Sequence[Tile] | None = None, *,
                checked: bool = True) -> np.ndarray:
    """Turn a goal picture into the square that training would have stored.

    A square of `frame_px` is one already. Anything else is the picture as the camera takes it,
    or, of several cameras, their whole pictures as equal tiles of the same grid (`goal_sheet`).

    Args:
        rgb: uint8 (H, W, 3).
        view: Of the data.
        tiles: Of the robot's cameras, with their crops; None: as those of the data.
        checked: Whether the shapes in `view` are known.

    Raises:
        ImageError: If it has another shape than the pictures of training.
    """
    size, tiles = view.frame_px, tiles or view.tiles
    if rgb.shape[:2] == (size, size):
        return rgb
    rows, columns = grid(len(view.cameras))
    height, width = rgb.shape[0] / rows, rgb.shape[1] / columns
    shapes = {camera.width / camera.height for camera in view.cameras}
    if checked and max(shapes) / min(shapes) < 1 + ASPECT_TOLERANCE:   # else tiles were stretched
        view.check(0, round(width), round(height), tiles[0].crop)
    parts = []
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        parts.append(tile.fill(rgb[round(row * height):round((row + 1) * height),
                                   round(column * width):round((column + 1) * width)]))
    return join(parts, tiles, size)


def _numbers(crop: Sequence[float]) -> str:
    return '[' + ', '.join(f'{number:g}' for number in crop) + ']'


def _of(place: int, cameras: Sequence[CameraView]) -> str:
    return f' of camera {place + 1}' if len(cameras) > 1 else ''
