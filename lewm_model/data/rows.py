"""Where rows lie: mapped from a contiguous data set, read from chunks, or joined from shards.

All three are indexed like an array by row: `pixels[5]`, `pixels[2:9]`, `pixels[rows]` with rows
of any shape. A contiguous data set is a plain memory map; the classes here are the other two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
import os
from pathlib import Path
from typing import Any

from lewm_model.errors import DatasetError, MissingPackageError, without_path
import numpy as np

_CHUNK_CACHE_BYTES = 16 << 20   # some chunks of several frames; one-frame chunks need none


def import_h5py() -> Any:
    """Return h5py, or say how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError('h5py', 'train', 'reading and writing data sets') from error
    return h5py


def unreadable(path: str | Path, error: Exception) -> DatasetError:
    """Say why a data set file cannot be read, and what helps."""
    if 'unable to lock file' in str(error):
        return DatasetError(
            f'{path} is locked: another process has it open for writing. Wait until it is done; '
            f'if there is none, the file system cannot lock: set HDF5_USE_FILE_LOCKING=FALSE')
    if 'file signature not found' in str(error):
        return DatasetError(
            f'{path} is no HDF5 file; name a data set of "lewm ingest" or "lewm import-lerobot" '
            f'(if it was meant to be one, it is damaged: ingest it again)')
    return DatasetError(f'{path} cannot be read as HDF5: {without_path(error)}; it is damaged or '
                        f'was not finished, ingest it again')


def import_blosc() -> Any:
    """Return hdf5plugin, which registers the Blosc filters with h5py, or say how to install it."""
    try:
        import hdf5plugin
    except ImportError as error:
        raise MissingPackageError('hdf5plugin', 'blosc', 'reading and writing data sets that are '
                                  'compressed with Blosc, as the public ones are,') from error
    return hdf5plugin


class Rows(ABC):
    """A read-only array that fetches what is indexed, row by row along the first axis."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            rows = self[key[0]]
            axes = rows.ndim - self.ndim + 1   # that the first index gave
            return rows[(slice(None),) * axes + key[1:]]
        if isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        else:
            rows = np.asarray(key)
            if rows.dtype == bool:
                if rows.shape != self.shape[:1]:
                    raise IndexError(f'a mask of {len(self)} rows has shape {rows.shape}')
                rows = np.flatnonzero(rows)
            rows = rows.astype(np.int64, casting='same_kind') if rows.size else rows.astype(int)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f'rows {rows.min()} to {rows.max()} of {len(self)}')
        found = self._fetch(np.where(rows < 0, rows + len(self), rows).ravel())
        return found.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        everything = self[:]
        return everything if dtype is None else everything.astype(dtype, copy=False)

    @abstractmethod
    def _fetch(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows (n, ...), all within range; n may be 0."""


class ChunkedRows(Rows):
    """Rows of a chunked or compressed HDF5 data set, decompressed at every access.

    Args:
        path: The file.
        dataset: The data set of it, open, to look at.

    Raises:
        MissingPackageError: If it is compressed with Blosc and hdf5plugin is not installed.
        DatasetError: If it is compressed with a filter that is not available here.
    """

    def __init__(self, path: Path, dataset: Any) -> None:
        require_filters(path, dataset)
        self.shape, self.dtype = dataset.shape, dataset.dtype
        self._path, self._name = path, dataset.name
        self._open_dataset: Any = None
        self._opened_by = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_open_dataset': None, '_opened_by': 0}

    def _fetch(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        try:
            if self._opened_by != os.getpid():   # never share an open file with a forked process
                self._opened_by = os.getpid()
                file = import_h5py().File(self._path, 'r', rdcc_nbytes=_CHUNK_CACHE_BYTES)
                self._open_dataset = file[self._name]
            order = np.argsort(rows, kind='stable')     # a chunk of several rows is read once
            firsts = np.flatnonzero(np.diff(rows[order], prepend=-2) != 1)
            for first, end in zip(firsts, [*firsts[1:], len(rows)], strict=True):
                row = int(rows[order[first]])
                found[order[first:end]] = self._open_dataset[row:row + int(end - first)]
        except Exception as error:  # of damaged files h5py raises nearly any kind
            raise DatasetError(f'{self._path}: {self._name} cannot be read: '
                               f'{without_path(error)}; the file is damaged or was replaced, get '
                               f'or make it again') from error
        return found


class JoinedRows(Rows):
    """Rows of several arrays end to end, each of them an array or `Rows`."""

    def __init__(self, parts: Sequence[np.ndarray | Rows]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype

    def _fetch(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        place = np.searchsorted(self._ends, rows, side='right')
        for index in np.unique(place):
            here = np.flatnonzero(place == index)
            part = self._parts[index]
            local = rows[here] - (self._ends[index] - len(part))
            if isinstance(part, Rows):
                found[here] = part[local]
            else:   # row by row, because together they would be copied twice
                for target, row in zip(here, local, strict=True):
                    found[target] = part[row]
        return found


def open_rows(path: Path, dataset: Any) -> np.ndarray | ChunkedRows:
    """Map a contiguous data set into memory; give another one as rows to fetch.

    Args:
        path: The file.
        dataset: An open h5py data set of it.
    """
    if dataset.chunks is None and dataset.id.get_offset() is not None:
        # A plain view: indexing through the memory-map class costs as much as the copy itself.
        return np.memmap(path, dtype=dataset.dtype, mode='r', offset=dataset.id.get_offset(),
                         shape=dataset.shape).view(np.ndarray)
    return ChunkedRows(path, dataset)


def require_filters(path: Path, dataset: Any) -> None:
    """Make sure that a data set can be decompressed here.

    Raises:
        MissingPackageError: If hdf5plugin is needed and not installed.
        DatasetError: If nothing known can read it.
    """
    available = import_h5py().h5z.filter_avail
    plan = dataset.id.get_create_plist()
    for index in range(plan.get_nfilters()):
        code, _, _, label = plan.get_filter(index)
        if not available(code):
            import_blosc()
            if not available(code):
                raise DatasetError(f'{path}: {dataset.name} is compressed with HDF5 filter {code} '
                                   f'({label.decode(errors="replace")}), which is neither in '
                                   f'h5py nor in hdf5plugin; repack the file with h5repack where '
                                   f'it was made')
