"""Several data set files, end to end, into one; what is in them stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lewm_model.data.episodes import import_h5py
from lewm_model.errors import DatasetError, without_path
from lewm_model.ingest.set_writer import Columns, SetWriter
import numpy as np

_COMPUTED = ('pixels', 'episode_idx', 'step_idx', 'ep_len', 'ep_offset')
_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class _Source:
    """What one file holds, without its rows."""

    path: Path
    lengths: np.ndarray                # int64 (E,)
    image_size: int
    pixels_offset: int                 # [bytes]
    rows: dict[str, tuple[tuple[int, ...], Any]]
    episodes: dict[str, np.ndarray]    # columns with one entry per episode


def concatenate(path: Path, sources: Sequence[Path], attributes: Mapping[str, Any], *,
                extend_first: bool) -> None:
    """Write the episodes of all sources to a new file, in their order.

    Pixels are copied by the system from file to file; memory stays small whatever the size.

    Args:
        path: The new file; appears when it is complete. May not be one of the sources.
        sources: Files written by `SetWriter`.
        attributes: Of the new file.
        extend_first: The first source keeps its columns and attributes, so that one which lacks
            such a column is an error. If False, a column that not all have is left out.

    Raises:
        DatasetError: Sources do not fit together, or the disk is full or not writable.
    """
    found = [_inspect(source) for source in sources]
    columns = _common_columns(found, extend_first)
    lengths = np.concatenate([source.lengths for source in found])
    row, kept = 0, {}
    if extend_first:
        with _opened(found[0].path) as file:
            kept = dict(file.attrs)
    with SetWriter(path, lengths, found[0].image_size, columns) as writer:
        for source in found:
            rows = int(source.lengths.sum())
            writer.copy_pixels(row, source.path, source.pixels_offset, rows)
            with _opened(source.path) as file:
                for start in range(0, rows, _BLOCK_ROWS):
                    block = slice(start, min(start + _BLOCK_ROWS, rows))
                    writer.write(row + start, {name: file[name][block] for name in columns})
            row += rows
        writer.write_episodes({
            name: np.concatenate([source.episodes[name] for source in found])
            for name in found[0].episodes if all(name in source.episodes for source in found)})
        writer.set_attributes({**kept, **attributes})


def _inspect(path: Path) -> _Source:
    h5py = import_h5py()
    with _opened(path) as file:
        pixels = file['pixels']
        if pixels.chunks is not None or pixels.id.get_offset() is None:
            raise DatasetError(f'{path}: its pixels are compressed, so nothing can be added; '
                               f'choose another file for the new bags, or convert this one')
        names = [name for name in file if name not in _COMPUTED
                 and isinstance(file[name], h5py.Dataset)]
        return _Source(
            path=path, lengths=file['ep_len'][()].astype(np.int64), image_size=pixels.shape[1],
            pixels_offset=pixels.id.get_offset(),
            rows={name: (file[name].shape[1:], file[name].dtype) for name in names
                  if not name.startswith('ep_')},
            episodes={name: file[name][()] for name in names if name.startswith('ep_')})


def _common_columns(sources: Sequence[_Source], extend_first: bool) -> Columns:
    first = sources[0]
    common = dict(first.rows)
    for source in sources[1:]:
        lacking = [name for name in common if name not in source.rows]
        if lacking and extend_first:
            raise DatasetError(
                f'{first.path} has the column {", ".join(lacking)}, which '
                f'{source.episodes["ep_source"][0].decode()} does not give (a robot that reports '
                f'no velocities, or a simulator no truth, perhaps); ingest it into another file')
        for name in lacking:
            del common[name]
        different = [f'{name} {kind} there, {source.rows[name]} here'
                     for name, kind in common.items() if source.rows[name] != kind]
        if different or source.image_size != first.image_size:
            raise DatasetError(f'{source.path} and {first.path} have columns of different kinds: '
                               f'{"; ".join(different) or "frame sizes differ"}')
    return common


@contextmanager
def _opened(path: Path) -> Any:
    try:
        with import_h5py().File(path, 'r') as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f'{path} cannot be read: {without_path(error)}; it is damaged or was '
                           f'not finished, ingest it again with --force') from error
