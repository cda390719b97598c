"""The files of a LeRobot folder: found without leaving the folder, read with errors that help.

Names of files come from the data set itself, so they are not trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
from pathlib import Path, PurePosixPath
import re
from typing import Any

from lewm_model.errors import DatasetError, MissingPackageError, without_path
import numpy as np

_PLACEHOLDER = re.compile(r'\{(\w+)(?::0?(\d{1,2})d)?\}')
_MAX_JSON_BYTES = 64 << 20


def import_parquet() -> Any:
    """Return pyarrow.parquet, or say how to install it."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError('pyarrow', 'lerobot', 'reading LeRobot data sets') from error
    return parquet


def fill_template(template: str, values: Mapping[str, str | int]) -> str:
    """Fill in a path template of `meta/info.json`, such as 'chunk-{chunk_index:03d}'.

    Raises:
        DatasetError: If it asks for anything but the known names.
    """
    def replace(match: re.Match) -> str:
        name, digits = match.groups()
        if name not in values:
            raise DatasetError(f'meta/info.json: the path {template!r} has {{{name}}}, allowed '
                               f'are {", ".join(values)}')
        value = values[name]
        return f'{value:0{int(digits)}d}' if digits and isinstance(value, int) else str(value)

    filled = _PLACEHOLDER.sub(replace, template)
    if '{' in filled or '}' in filled:
        raise DatasetError(f'meta/info.json: the path {template!r} cannot be understood; '
                           f'placeholders look like {{chunk_index:03d}}')
    return filled


class LeRobotFolder:
    """The folder of one data set, as it was downloaded or recorded.

    Args:
        path: What holds `meta/info.json`.

    Raises:
        DatasetError: If it is no such folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / 'meta' / 'info.json').is_file():
            raise DatasetError(f'{path} is not the folder of a LeRobot data set: it has no '
                               f'meta/info.json; give the folder that holds meta, data and videos')
        root = self.path.resolve()
        self._roots = [root]
        if root.parent.name == 'snapshots':   # a download cache links to files beside it
            self._roots.append(root.parent.parent / 'blobs')

    def file(self, relative: str) -> Path:
        """Return a file of the folder.

        Raises:
            DatasetError: If the name leads out of the folder, or there is no such file.
        """
        parts = PurePosixPath(relative)
        if (not relative or parts.is_absolute() or '..' in parts.parts or '\\' in relative
                or '\0' in relative):
            raise DatasetError(f'{self.path}: the path {relative!r} leads out of the folder; the '
                               f'data set is damaged or malicious, do not use it')
        path = self.path / relative
        if not path.is_file():
            raise DatasetError(f'{self.path} lacks {relative}; the download is not complete, or '
                               f'Git LFS left it out')
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in self._roots):
            raise DatasetError(f'{path} is a link to {real}, which is not in the folder; copy '
                               f'the file into it')
        return path

    def matching(self, pattern: str) -> list[Path]:
        """Return the files that match a pattern such as 'meta/episodes/*/*.parquet', sorted."""
        return [self.file(path.relative_to(self.path).as_posix())
                for path in sorted(self.path.glob(pattern))]

    def read_json(self, relative: str) -> dict[str, Any]:
        """Read a file that holds one JSON object."""
        path = self.file(relative)
        try:
            if path.stat().st_size > _MAX_JSON_BYTES:
                raise DatasetError(f'{path} has {path.stat().st_size} bytes, more than '
                                   f'{_MAX_JSON_BYTES} for JSON; this is not LeRobot metadata')
            value = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f'{path} cannot be read as JSON: {without_path(error)}') from error
        if not isinstance(value, dict):
            raise DatasetError(f'{path} must hold a JSON object, it holds a '
                               f'{type(value).__name__}')
        return value

    def read_json_lines(self, relative: str) -> Iterator[dict[str, Any]]:
        """Read a file with one JSON object per line."""
        path, number = self.file(relative), 0
        try:
            with path.open(encoding='utf-8') as stream:
                for number, line in enumerate(stream, start=1):   # noqa: B007
                    if line.strip():
                        value = json.loads(line)
                        if not isinstance(value, dict):
                            raise ValueError('not an object')
                        yield value
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f'{path}, line {number}: cannot be read as JSON: '
                               f'{without_path(error)}') from error


def open_parquet(path: Path) -> Any:
    """Open a Parquet file.

    Raises:
        DatasetError: If it is damaged.
    """
    parquet = import_parquet()
    import pyarrow
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged_parquet(path, error) from error


def read_columns(path: Path, file: Any, names: list[str]) -> dict[str, Any]:
    """Read whole columns of an open Parquet file, as arrow arrays.

    Raises:
        DatasetError: If a column is missing, or the file is damaged.
    """
    import pyarrow
    present = file.schema_arrow.names
    missing = [name for name in names if name not in present]
    if missing:
        raise DatasetError(f'{path} has no column {", ".join(missing)}; it has '
                           f'{", ".join(present)}')
    try:
        table = file.read(columns=names, use_threads=False)
        return {name: table.column(name).combine_chunks() for name in names}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged_parquet(path, error) from error


def damaged_parquet(path: Path, error: Exception) -> DatasetError:
    """Say that a Parquet file cannot be read."""
    return DatasetError(f'{path} cannot be read as Parquet: {without_path(error)}; it is damaged '
                        f'or was not downloaded completely, get it again')


def as_numbers(path: Path, name: str, array: Any, width: int) -> np.ndarray:
    """Turn an arrow column of numbers, or of lists of `width` numbers, into (n, width).

    Returns:
        float64; a number that is missing is NaN.

    Raises:
        DatasetError: If it holds something else, or lists of other lengths.
    """
    import pyarrow
    kind = array.type
    is_list = any(test(kind) for test in (
        pyarrow.types.is_list, pyarrow.types.is_large_list, pyarrow.types.is_fixed_size_list))
    values = array.flatten() if is_list else array
    numeric = any(test(values.type) for test in (
        pyarrow.types.is_floating, pyarrow.types.is_integer, pyarrow.types.is_boolean))
    if not numeric or (is_list and array.null_count):
        raise DatasetError(f'{path}: column {name} is {kind}, it must hold numbers or flat lists '
                           f'of numbers, in every row')
    if is_list and not pyarrow.types.is_fixed_size_list(kind):
        lengths = np.diff(array.offsets.to_numpy())
        if len(lengths) and not (lengths == width).all():
            raise DatasetError(f'{path}: column {name} has lists of {lengths.min()} to '
                               f'{lengths.max()} numbers, meta/info.json says {width}')
    if len(values) != len(array) * width:
        raise DatasetError(f'{path}: column {name} has {len(values)} numbers in {len(array)} '
                           f'rows, meta/info.json says {width} a row')
    numbers = values.to_numpy(zero_copy_only=False)
    return numbers.astype(np.float64).reshape(len(array), width)
