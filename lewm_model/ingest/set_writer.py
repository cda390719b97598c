"""One HDF5 data set being written: row by row, in any order, complete or not there at all.

Other columns go through h5py. Pixels are written to their place in the file without it: nothing
is held in memory, and blocks of another data set are copied inside the kernel. Which columns
there are, and what they mean, is `episodes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from lewm_model.data.episodes import FORMAT, FORMAT_VERSION, import_h5py
from lewm_model.errors import DatasetError, without_path
import numpy as np

_BLOCK = 8 << 20            # bytes per step of a copy
_ALIGNMENT = 4096           # file systems that can share blocks do so at this grid
_NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)

Columns = Mapping[str, tuple[tuple[int, ...], Any]]   # name: (shape of one row, dtype)


class SetWriter:
    """A data set file in the making; a context manager.

    It appears under its name, replacing an older one, when the block ends without an exception
    and everything is on the disk. Otherwise nothing remains.

    Args:
        path: The file.
        lengths: Rows of each episode, int (E,); the whole is allocated beforehand.
        image_size: S, square frames [px].
        columns: The columns besides pixels, shape of a row and dtype of each.

    Raises:
        DatasetError: If there are no rows, or the disk is full or not writable.
    """

    def __init__(self, path: str | Path, lengths: np.ndarray, image_size: int,
                 columns: Columns) -> None:
        self._path = Path(path)
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._image_size = image_size
        self._columns = dict(columns)
        self._unfinished = self._path.with_name(f'.{self._path.name}.{os.getpid()}.tmp')
        self._file: Any = None
        self._descriptor = -1
        if not len(self._lengths):
            raise DatasetError(f'{path}: there are no episodes to write')

    def __enter__(self) -> SetWriter:
        try:
            with self._writing():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._create()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                with self._writing():
                    self._finish()
        finally:
            self._discard()

    def write(self, row: int, columns: Mapping[str, np.ndarray]) -> None:
        """Write columns from `row` on."""
        with self._writing():
            for name, values in columns.items():
                self._file[name][row:row + len(values)] = values

    def write_pixels(self, row: int, pixels: np.ndarray) -> None:
        """Write frames from `row` on, uint8 (n, S, S, 3); may be a memory map."""
        per_block = max(1, _BLOCK // self.frame_bytes)
        with self._writing():
            for first in range(0, len(pixels), per_block):
                data = memoryview(np.ascontiguousarray(pixels[first:first + per_block]))
                _write_all(self._descriptor, data.cast('B'), self._place(row + first))

    def copy_pixels(self, row: int, source: Path, offset: int, rows: int) -> None:
        """Copy frames that lie end to end in another file, from byte `offset` on, to `row`."""
        with self._writing(), source.open('rb') as stream:
            _copy(stream.fileno(), self._descriptor, offset, self._place(row),
                  rows * self.frame_bytes)

    def write_episodes(self, columns: Mapping[str, np.ndarray]) -> None:
        """Write columns with one entry per episode; text as arrays of bytes."""
        with self._writing():
            for name, values in columns.items():
                self._file[name] = values

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes of the file."""
        with self._writing():
            self._file.attrs.update(attributes)

    def remove(self, name: str) -> None:
        """Drop a column that turned out to be of no use."""
        with self._writing():
            del self._file[name]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one stored frame."""
        return self._image_size ** 2 * 3

    def _place(self, row: int) -> int:
        return self._pixels_offset + row * self.frame_bytes

    def _create(self) -> None:
        h5py = import_h5py()
        rows, lengths = int(self._lengths.sum()), self._lengths
        offsets = np.cumsum(lengths) - lengths
        self._file = file = h5py.File(self._unfinished, 'w', alignment_threshold=1 << 20,
                                      alignment_interval=_ALIGNMENT)
        # Allocated now and never filled: HDF5 does not touch these bytes again.
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        shape = (rows, self._image_size, self._image_size, 3)
        pixels = h5py.h5d.create(file.id, b'pixels', h5py.h5t.NATIVE_UINT8,
                                 h5py.h5s.create_simple(shape), properties)
        self._pixels_offset = pixels.get_offset()
        for name, (row_shape, dtype) in self._columns.items():
            file.create_dataset(name, shape=(rows, *row_shape), dtype=dtype)
        file['episode_idx'] = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
        file['step_idx'] = (np.arange(rows) - np.repeat(offsets, lengths)).astype(np.int32)
        file['ep_len'] = lengths.astype(np.int32)
        file['ep_offset'] = offsets
        file.attrs.update({'format': FORMAT, 'format_version': FORMAT_VERSION,
                           'image_size': self._image_size})
        self._descriptor = os.open(self._unfinished, os.O_WRONLY)

    def _finish(self) -> None:
        self._file.close()
        os.fsync(self._descriptor)   # or the name could outlive the content in a power cut
        os.replace(self._unfinished, self._path)
        sync_folder(self._path.parent)

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._file is not None:
            with suppress(OSError, RuntimeError):   # closing flushes, on a full disk in vain
                self._file.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
            raise DatasetError(f'cannot write {self._path}: {without_path(error)}; free disk '
                               f'space or choose another place, then run the command again'
                               ) from error


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: memoryview, place: int) -> None:
    while len(data):
        written = os.pwrite(descriptor, data, place)
        data, place = data[written:], place + written


def _copy(source: int, target: int, from_place: int, to_place: int, count: int) -> None:
    """Copy bytes between files; the kernel does it, sharing blocks where the disk can."""
    in_kernel = hasattr(os, 'copy_file_range')
    while count:
        done = 0
        if in_kernel:
            try:
                done = os.copy_file_range(source, target, min(count, 1 << 30), from_place,
                                          to_place)
            except OSError as error:
                if error.errno not in _NO_KERNEL_COPY:
                    raise
            in_kernel = done > 0
        if not done:
            block = os.pread(source, min(count, _BLOCK), from_place)
            if not block:
                raise OSError(errno.EIO, 'the data set that is copied ends too soon')
            _write_all(target, memoryview(block), to_place)
            done = len(block)
        count, from_place, to_place = count - done, from_place + done, to_place + done
