"""The pictures of a recording: as they are, or as the squares that a data set holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lewm_model.bags.bag import Bag
from lewm_model.errors import ImageError
from lewm_model.images.decode import decode_compressed, to_rgb
from lewm_model.images.headers import read_header
from lewm_model.images.tiles import join, Tile, tiles_of
from lewm_model.images.view import CameraView, View
from lewm_model.recordings.streams import messages, Streams
from lewm_model.robots.cameras import COMPRESSED_IMAGE
import numpy as np


class PictureReader:
    """Decodes the pictures of a bag, each by what it says of itself.

    Encoding and size may change from frame to frame. The shape of the view (width to height) may
    not: rows are squeezed to a square, so the same thing would look different.

    Args:
        bag: The recording that `streams` was read from.
        streams: For topics, types and crops.
        size: Side of the squares [px]; None: only whole pictures are wanted.
    """

    def __init__(self, bag: Bag, streams: Streams, size: int | None) -> None:
        self._bag, self._streams, self._size = bag, streams, size
        self._topics = ((streams.image_topic, streams.image_type),
                        *((other.topic, other.type) for other in streams.others))
        self._crops = (streams.crop, *(other.crop for other in streams.others))
        self._tiles = tiles_of(self._crops, size) if size else ()
        self._seen: list[CameraView | None] = [None] * len(self._topics)

    @property
    def view(self) -> View:
        """What the pictures read so far looked like; at least one of each camera."""
        return View(self._size, tuple(self._seen))

    def squares(self, frames: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (row, rgb uint8 (size, size, 3)) in recorded order.

        Args:
            frames: int64 (n, cameras), the position of each row's frames on their topics.

        Raises:
            ImageError: Names the bag and the frame that cannot be decoded or has another shape.
        """
        wanted = [_rows_of(column) for column in frames.T]
        begun: dict[int, list[np.ndarray | None]] = {}   # rows of which a camera is missing
        for place, position, raw in self._pictures():
            rows = wanted[place].pop(position, ())
            part = self._decode(place, position, raw, self._tiles[place]) if rows else None
            for row in rows:
                parts = begun.setdefault(row, [None] * len(self._tiles))
                parts[place] = part
                if all(one is not None for one in parts):
                    yield row, join(begun.pop(row), self._tiles, self._size)
            if not any(wanted):
                return

    def whole(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (position, rgb uint8 (H, W, 3)) of the first camera, as it was captured."""
        remaining = set(map(int, wanted))
        for place, position, raw in self._pictures():
            if not place and position in remaining:
                remaining.remove(position)
                yield position, self._decode(place, position, raw, None)
            if not remaining:
                return

    def _pictures(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (camera, position on its topic, CDR bytes)."""
        places = {topic: place for place, (topic, _) in enumerate(self._topics)}
        counts = [0] * len(places)
        for topic, *_, raw in messages(self._bag, set(self._topics)):
            place = places[topic]
            yield place, counts[place], raw
            counts[place] += 1

    def _decode(self, place: int, position: int, raw: bytes, tile: Tile | None) -> np.ndarray:
        topic, kind = self._topics[place]
        message = self._bag.decode(raw, kind)
        try:
            rgb, width, height = self._rgb(message, kind, tile)
            self._check_shape(place, width, height)
            return rgb if tile is None else tile.fill(rgb)
        except ImageError as error:
            raise ImageError(f'{self._bag.path}: frame {position} of {topic}: '
                             f'{error}') from error

    def _rgb(self, message: Any, kind: str, tile: Tile | None) -> tuple[np.ndarray, int, int]:
        """Return the picture, perhaps at a part of its size, and its width and height."""
        if kind == COMPRESSED_IMAGE:
            content = message.data.tobytes()
            header = read_header(content, message.format)
            return decode_compressed(content, message.format, header=header,
                                     at_least=tile and tile.at_least), header.width, header.height
        return to_rgb(message.encoding, message.height, message.width, message.step,
                      bool(message.is_bigendian), message.data,
                      assume_encoding=self._streams.assume_encoding
                      ), message.width, message.height

    def _check_shape(self, place: int, width: int, height: int) -> None:
        first = self._seen[place]
        if first is None:
            first = self._seen[place] = CameraView(width, height, self._crops[place])
        if first.differs(width, height):
            raise ImageError(f'the view changes its shape from {first.width}x{first.height} to '
                             f'{width}x{height} px; record each camera setting into a bag of its '
                             f'own')


def _rows_of(column: np.ndarray) -> dict[int, list[int]]:
    """Return the rows that use each position."""
    rows: dict[int, list[int]] = {}
    for row, position in enumerate(column.tolist()):
        rows.setdefault(position, []).append(row)
    return rows


def read_frames(bag: Bag, streams: Streams, wanted: Sequence[int], *, size: int | None = None
                ) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, rgb) of wanted frames of the first camera, in recorded order.

    Args:
        bag: The recording that `streams` was read from.
        streams: For topics, types and crops.
        wanted: Positions on the image topic, values of `frame_index`; of a single camera.
        size: Side of the square that is yielded [px]; None: the picture as it is.

    Raises:
        ImageError: As `PictureReader.squares`.
    """
    if size is None:
        yield from PictureReader(bag, streams, None).whole(wanted)
        return
    positions = np.unique(np.asarray(list(wanted), dtype=np.int64))
    for row, square in PictureReader(bag, streams, size).squares(positions[:, None]):
        yield int(positions[row]), square
