"""The columns of a data set file: where episodes begin, other columns on demand, content names.

Public files differ in what they say about episodes: an index column (`episode_idx` or `ep_idx`),
lengths, offsets, or only some of them. What is missing is computed, what is there must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import hashlib
from pathlib import Path
from typing import Any

from lewm_model.data.rows import import_h5py, open_rows, require_filters, Rows
from lewm_model.errors import DatasetError, LewmError, without_path
import numpy as np

INDEX_COLUMNS = ('episode_idx', 'ep_idx', 'episode_index')   # this project, swm, LeRobot
STEP_COLUMNS = ('step_idx', 'frame_index')


class LazyColumns(Mapping[str, Any]):
    """Columns by name, read when first used; shapes are known before."""

    def __init__(self, loaders: Mapping[str, tuple[tuple[int, ...], Callable[[], Any]]]) -> None:
        self._loaders = dict(loaders)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> np.ndarray | Rows:
        if name not in self._loaded:
            self._loaded[name] = self._loaders[name][1]()
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaders   # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of a column without reading it."""
        return self._loaders[name][0]


def file_columns(path: Path, file: Any, skip: tuple[str, ...], rows: int, episodes: int
                 ) -> LazyColumns:
    """Find the row columns of an open file.

    A data set with one entry per episode, or a single value, describes something else and is
    left out. Columns of pictures are opened as the pixels are, others are read as a whole.

    Raises:
        DatasetError: If a column has another number of rows: it was cut short.
    """
    h5py, loaders, wrong = import_h5py(), {}, {}
    for name in file:
        dataset = file[name]
        if name in skip or name.startswith('ep_') and name not in INDEX_COLUMNS or (
                not isinstance(dataset, h5py.Dataset)):
            continue
        if dataset.shape and dataset.shape[0] == rows:
            loaders[name] = (dataset.shape, _loader(path, name, is_picture=(
                dataset.ndim == 4 and dataset.dtype == np.uint8)))
        elif dataset.shape not in ((), None) and dataset.shape[0] not in (1, episodes):
            wrong[name] = dataset.shape[0]
    if wrong:
        raise DatasetError(f'{path}: pixels has {rows} rows, but '
                           f'{", ".join(f"{name} {count}" for name, count in wrong.items())}')
    return LazyColumns(loaders)


def _loader(path: Path, name: str, is_picture: bool) -> Callable[[], Any]:
    def load() -> Any:
        try:
            with import_h5py().File(path, 'r') as file:
                require_filters(path, file[name])
                return open_rows(path, file[name]) if is_picture else file[name][()]
        except LewmError:
            raise
        except Exception as error:  # of damaged files h5py raises nearly any kind
            raise DatasetError(f'{path}: column {name} cannot be read: {without_path(error)}; the '
                               f'file is damaged or was replaced, get or make it again'
                               ) from error
    return load


def episode_table(path: Path, file: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths and first rows of the episodes of an open file, int64 (E,) each.

    Raises:
        DatasetError: If the file does not say, or says two different things.
    """
    index_name = next((name for name in INDEX_COLUMNS if name in file), None)
    step_name = next((name for name in STEP_COLUMNS if name in file), None)
    index, steps = (None if name is None else file[name][()].reshape(len(file[name]), -1)[:, 0]
                    for name in (index_name, step_name))
    for name, values in ((index_name, index), (step_name, steps)):
        if values is not None and len(values) != rows:
            raise DatasetError(f'{path}: pixels has {rows} rows, but {name} {len(values)}')
    restarts = np.zeros(rows, dtype=bool)
    if steps is not None:
        restarts[1:] = np.diff(steps.astype(np.int64)) <= 0
    if 'ep_len' in file or 'ep_offset' in file:
        lengths, offsets = _stated(path, file, rows)
    elif index is not None:
        offsets = np.flatnonzero(_changes(index) | restarts | (np.arange(rows) == 0))
        lengths = np.diff(offsets, append=rows)
        _require_unmixed(path, index_name, index[offsets], steps, offsets)
    else:
        raise DatasetError(f'{path} has no column ep_len, ep_offset, episode_idx or ep_idx, one '
                           f'of which says where episodes begin; it has '
                           f'{", ".join(file) or "nothing"}')
    if index is not None:
        _require_same(path, index_name, _changes(index), restarts, offsets)
    if steps is not None:
        inside = np.ones(rows, dtype=bool)
        inside[offsets] = False
        if (restarts & inside).any():
            row = int(np.flatnonzero(restarts & inside)[0])
            episode = int(np.searchsorted(offsets, row, side='right')) - 1
            raise DatasetError(f'{path}: {step_name} goes from {steps[row - 1]} to {steps[row]} '
                               f'at row {row}, inside episode {episode}; ep_len or {step_name} '
                               f'is wrong, make the set again')
    return lengths, offsets


def _stated(path: Path, file: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Read ep_len and ep_offset, computing one from the other where it is missing."""
    lengths, offsets = (file[name][()].astype(np.int64).ravel() if name in file else None
                        for name in ('ep_len', 'ep_offset'))
    if lengths is None:
        lengths = np.diff(offsets, append=rows)
    if offsets is None:
        offsets = np.cumsum(lengths) - lengths
    if len(lengths) != len(offsets):
        raise DatasetError(f'{path}: ep_len and ep_offset have {len(lengths)} and {len(offsets)} '
                           f'entries, they must agree')
    ends = np.cumsum(lengths)
    if not len(lengths) or (lengths < 1).any() or ends[-1] != rows or (
            offsets != ends - lengths).any():
        raise DatasetError(f'{path}: episodes must lie end to end; ep_len adds up to '
                           f'{lengths.sum()} for {rows} rows')
    return lengths, offsets


def _changes(index: np.ndarray) -> np.ndarray:
    """Return in which rows a column differs from the row before, bool (N,)."""
    return np.concatenate([[False], index[1:] != index[:-1]])[:len(index)]


def _require_unmixed(path: Path, name: str, values: np.ndarray, steps: np.ndarray | None,
                     offsets: np.ndarray) -> None:
    """Refuse rows of episodes that lie interleaved, which look like many short episodes."""
    seen, counts = np.unique(values, return_counts=True)
    twice = seen[counts > 1]
    if len(twice) and (steps is None or (steps[offsets] != steps[0]).any()):
        raise DatasetError(f'{path}: rows of {name} {twice[0]} lie in several places; the rows of '
                           f'an episode must lie together, sort the set by {name}')


def _require_same(path: Path, name: str, changes: np.ndarray, restarts: np.ndarray,
                  offsets: np.ndarray) -> None:
    """Refuse an index column that has other borders than ep_len and ep_offset."""
    borders = np.zeros(len(changes), dtype=bool)
    borders[offsets[1:]] = True
    # Sets that were merged can have one index twice in a row; then the steps show the border.
    wrong = np.flatnonzero((changes & ~borders) | (borders & ~changes & ~restarts))
    if len(wrong):
        row = int(wrong[0])
        says = ('an episode begins' if changes[row] else 'an episode goes on',
                'goes on' if changes[row] else 'begins')
        raise DatasetError(f'{path}: at row {row} {says[0]} by {name}, and one {says[1]} by '
                           f'ep_len and ep_offset; one of them is wrong, make the set again')


def content_ids(action: np.ndarray, pixels: np.ndarray | Rows, ep_len: np.ndarray,
                ep_offset: np.ndarray) -> tuple[str, ...]:
    """Name episodes by what is in them, for files that do not name them.

    The hash of an episode's actions and first frame does not depend on the file's name, on the
    order of episodes, on storage, or on which shard holds it: every machine divides the data
    alike, and copies of one episode get one name, so that they end up on the same side.
    """
    names = []
    for length, offset in zip(ep_len, ep_offset, strict=True):
        rows = np.array(action[offset:offset + length], dtype='<f4')
        rows[np.isnan(rows)] = np.nan   # one of the many bit patterns
        digest = hashlib.sha256(rows.tobytes())
        digest.update(np.ascontiguousarray(pixels[int(offset)]))
        names.append(f'content-{digest.hexdigest()[:20]}')
    return tuple(names)
