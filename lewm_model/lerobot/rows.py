"""Rows of a LeRobot data set: numbers and embedded pictures of one episode."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lewm_model.errors import DatasetError
from lewm_model.lerobot.files import as_numbers, damaged_parquet, open_parquet, read_columns
import numpy as np

_TIME = (('episode_index', 1), ('frame_index', 1), ('timestamp', 1))
_PICTURES_AT_ONCE = 32
_OFF_GRID = 0.1   # of a frame: float32 time stamps are exact to less for days


class RowFile:
    """One Parquet file of rows; the columns of numbers are in memory, pictures are not.

    Args:
        path: The file.
        columns: Name and numbers per row of each column besides time and episode.

    Raises:
        DatasetError: If it is damaged or lacks a column.
    """

    def __init__(self, path: Path, columns: tuple[tuple[str, int], ...]) -> None:
        self._path = path
        self._file = open_parquet(path)
        wanted = dict((*_TIME, *columns))
        arrays = read_columns(path, self._file, list(wanted))
        self._columns = {name: as_numbers(path, name, arrays[name], width)
                         for name, width in wanted.items()}

    def episode(self, index: int, length: int, fps: float) -> tuple[slice, dict[str, np.ndarray]]:
        """Return which rows an episode has, and its columns, float64 (length, width).

        Raises:
            DatasetError: If rows are missing, mixed up, or not one frame apart.
        """
        rows = np.flatnonzero(self._columns['episode_index'][:, 0] == index)
        if not length or len(rows) != length or rows[-1] - rows[0] != length - 1:
            raise DatasetError(f'{self._path} has {len(rows)} rows of episode {index}, meta says '
                               f'{length} (at least 1, end to end)')
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        columns = {name: values[part] for name, values in self._columns.items()}
        steps = np.arange(length)
        off = np.abs(columns['timestamp'][:, 0] * fps - steps)
        wrong = ~((columns['frame_index'][:, 0] == steps) & (off < _OFF_GRID))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DatasetError(
                f'{self._path}: row {row} of episode {index} has frame_index '
                f'{columns["frame_index"][row, 0]:g} and timestamp '
                f'{columns["timestamp"][row, 0]:g} s; {row} and {row / fps:g} s follow from '
                f'{fps:g} frames per second: rows are missing or mixed up')
        return part, columns

    def pictures(self, key: str, rows: slice) -> Iterator[bytes]:
        """Yield the embedded picture files of some rows; few of them are in memory at once.

        Raises:
            DatasetError: If the column is missing or does not hold pictures.
        """
        import pyarrow
        if key not in self._file.schema_arrow.names:
            raise DatasetError(f'{self._path} has no column {key}')
        groups, first = [], None
        start = 0
        for group in range(self._file.num_row_groups):
            end = start + self._file.metadata.row_group(group).num_rows
            if start < rows.stop and end > rows.start:
                groups.append(group)
                first = start if first is None else first
            start = end
        place = first or 0
        try:
            for batch in self._file.iter_batches(_PICTURES_AT_ONCE, row_groups=groups,
                                                 columns=[key], use_threads=False):
                for value in batch.column(key):
                    if rows.start <= place < rows.stop:
                        yield self._content(key, place, value.as_py())
                    place += 1
                if place >= rows.stop:
                    return
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise damaged_parquet(self._path, error) from error

    def _content(self, key: str, row: int, value: object) -> bytes:
        content = value.get('bytes') if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise DatasetError(f'{self._path}: row {row} of {key} does not embed a picture; save '
                               f'the data set with embedded pictures or as video')
        return content


@lru_cache(maxsize=1)   # the episodes of one file come one after the other
def open_row_file(path: Path, columns: tuple[tuple[str, int], ...]) -> RowFile:
    """Return the opened file, which is kept until another is asked for."""
    return RowFile(path, columns)
