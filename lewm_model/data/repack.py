"""Store a data set another way: mapped for training, compressed for archives, or smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import platform
import shutil
from typing import Any

from lewm_model.data.columns import INDEX_COLUMNS
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.robot_facts import with_robot
from lewm_model.data.rows import import_blosc, import_h5py, require_filters, Rows
from lewm_model.errors import DatasetError, without_path
from lewm_model.images.decode import resize_square
from lewm_model.robots.robot import RobotDescription
import numpy as np

STORAGES = ('mapped', 'compressed')
CODECS = ('gzip', 'blosc')
_BLOCK_BYTES = 32 << 20       # pixels in memory at a time
_SPARE_BYTES = 64 << 20       # left on the disk at least
OnRows = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Repacked:
    """What a conversion did."""

    source_bytes: int
    out_bytes: int
    rows: int
    episodes: int
    pixels_sha256: str    # of the frames as stored, read back and compared


def repack(source: str | Path, out: str | Path, *, storage: str = 'mapped', codec: str = 'gzip',
           image_size: int | None = None, robot: RobotDescription | None = None,
           force: bool = False, attributes: dict[str, str] | None = None,
           on_rows: OnRows = lambda phase, done, total: None) -> Repacked:
    """Write the data set `source` to `out` in another storage; `source` is only read.

    Every column and attribute is kept; what a public file leaves out (ep_len, ep_offset, ep_id)
    is added, so that episodes keep their side of the split. Everything written is read back and
    compared before `out` appears; interrupted or failed, nothing appears and the same call can
    be made again. Memory: a block of frames, and one other column at a time.

    Args:
        source: A data set file, ours or a public one.
        out: The new file.
        storage: 'mapped': contiguous, what training maps into memory; 'compressed': one frame
            per chunk, as the public files.
        codec: Of 'compressed': 'gzip', which any HDF5 reads, or 'blosc' (zstd), smaller, faster
            and readable where its filter is installed.
        image_size: Resize frames to this many pixels, squeezed to a square; None: keep them.
        robot: Whose names, limits and rate are added, if `source` does not say them.
        force: Replace an existing `out`.
        attributes: Added to those of the file, such as provenance.
        on_rows: Called with ('copied' or 'verified', frames done, all frames).

    Raises:
        DatasetError: If `source` is no valid set or of another robot, `out` exists or cannot be
            written, or what was written is not what was read.
        MissingPackageError: If Blosc is needed and hdf5plugin is not installed.
    """
    h5py, source, out = import_h5py(), Path(source), Path(out)
    if storage not in STORAGES or codec not in CODECS:
        raise DatasetError(f'storage must be one of {", ".join(STORAGES)} and codec one of '
                           f'{", ".join(CODECS)}, got {storage!r} and {codec!r}')
    if image_size is not None and not 1 <= image_size <= 4096:
        raise DatasetError(f'the frame size must be in [1, 4096] px, got {image_size}')
    if out.exists() and (not force or out.resolve() == source.resolve()):
        raise DatasetError(f'{out} exists; choose another name' if not force else
                           f'{out} is the data set to convert; write it to another name')
    options = {} if storage == 'mapped' else _compression(codec)
    data = EpisodeFile.open(source)
    data = data if robot is None else with_robot(data, robot)
    if storage == 'mapped':
        _require_space(out, data, image_size)
    place = f'.{out.name}.{platform.node()}.'
    unfinished = out.with_name(f'{place}{os.getpid()}.tmp')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(out.parent, place)
        with h5py.File(source, 'r') as old, h5py.File(unfinished, 'w') as new:
            digest = _copy_pixels(data, new, image_size, storage, options, on_rows)
            _copy_others(old, new, data, storage, options)
            new.attrs.update({**data.attributes, 'converted_from': source.name,
                              **(attributes or {})})
            if image_size is not None:
                new.attrs['image_size'] = image_size
        _verify(source, unfinished, digest, on_rows)
        with unfinished.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, out)
    except (OSError, RuntimeError) as error:   # HDF5 reports a full disk as either
        raise DatasetError(f'cannot write {out}: {without_path(error)}; free disk space or choose '
                           f'another place') from error
    finally:
        unfinished.unlink(missing_ok=True)
    return Repacked(source.stat().st_size, out.stat().st_size, len(data), data.num_episodes,
                    digest)


def _remove_abandoned(folder: Path, place: str) -> None:
    """Remove what killed conversions of this machine to the same name left behind."""
    for path in folder.iterdir():
        if path.name.startswith(place) and path.suffix == '.tmp':
            pid = path.name.removeprefix(place).removesuffix('.tmp')
            if pid.isdigit() and not Path('/proc', pid).exists():
                path.unlink(missing_ok=True)


def _compression(codec: str) -> dict[str, Any]:
    if codec == 'gzip':
        return {'compression': 'gzip', 'compression_opts': 4}
    blosc = import_blosc().Blosc
    return dict(blosc(cname='zstd', clevel=5, shuffle=blosc.NOSHUFFLE))


def _require_space(out: Path, data: EpisodeFile, image_size: int | None) -> None:
    height, width = (image_size, image_size) if image_size else data.pixels.shape[1:3]
    needed = len(data) * height * width * 3 + _SPARE_BYTES
    folder = next(folder for folder in out.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DatasetError(f'{out} would need {needed / 1e9:.1f} GB, {folder} has '
                           f'{free / 1e9:.1f} GB free; free some, choose another place, or a '
                           f'smaller --size')


def _blocks(rows: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive rows of an array, `Rows` or data set, a block of memory at a time."""
    row_bytes = max(1, int(np.prod(rows.shape[1:])) * rows.dtype.itemsize)
    step = max(1, _BLOCK_BYTES // row_bytes)
    for first in range(0, len(rows), step):
        place = slice(first, min(first + step, len(rows)))
        yield place, rows[place]


def _copy_pixels(data: EpisodeFile, new: Any, size: int | None, storage: str,
                 options: dict[str, Any], on_rows: OnRows) -> str:
    shape = data.pixels.shape if size is None else (len(data), size, size, 3)
    chunks = None if storage == 'mapped' else (1, *shape[1:])
    pixels = new.create_dataset('pixels', shape=shape, dtype=np.uint8, chunks=chunks, **options)
    digest = hashlib.sha256()
    for place, frames in _blocks(data.pixels):
        if size is not None and frames.shape[1:3] != (size, size):
            frames = np.stack([resize_square(frame, size) for frame in frames])
        pixels[place] = frames
        digest.update(np.ascontiguousarray(frames))
        on_rows('copied', place.stop, len(data))
    return digest.hexdigest()


def _copy_others(old: Any, new: Any, data: EpisodeFile, storage: str, options: dict[str, Any]
                 ) -> None:
    h5py = import_h5py()
    new['pixels'].attrs.update(old['pixels'].attrs)
    for name in old:
        column = old[name]
        if name == 'pixels':
            continue
        if not isinstance(column, h5py.Dataset) or column.dtype.kind == 'O' or not column.ndim:
            old.copy(column, new, name)
            continue
        require_filters(data.path, column)
        is_picture = column.ndim == 4 and len(column) == len(data)
        compress = is_picture and storage == 'compressed'
        copy = new.create_dataset(name, shape=column.shape, dtype=column.dtype,
                                  **({'chunks': (1, *column.shape[1:]), **options}
                                     if compress else {}))
        copy.attrs.update(column.attrs)
        for place, values in _blocks(column):
            copy[place] = values
    added = {'ep_len': data.ep_len.astype(np.int32), 'ep_offset': data.ep_offset,
             'ep_id': np.array([name.encode() for name in data.ep_id])}
    if not any(name in old for name in INDEX_COLUMNS):
        added['episode_idx'] = np.repeat(np.arange(data.num_episodes, dtype=np.int32),
                                         data.ep_len)
    for name, values in added.items():
        if name not in old:
            new[name] = values


def _verify(source: Path, written: Path, digest: str, on_rows: OnRows) -> None:
    """Read everything back and compare it with what was read before.

    Raises:
        DatasetError: Naming what differs; the disk or the memory is failing.
    """
    h5py = import_h5py()
    copy = EpisodeFile.open(written)
    found = hashlib.sha256()
    for place, frames in _blocks(copy.pixels):
        found.update(np.ascontiguousarray(frames))
        on_rows('verified', place.stop, len(copy))
    with h5py.File(source, 'r') as old, h5py.File(written, 'r') as new:
        wrong = [name for name in old if name != 'pixels' and isinstance(old[name], h5py.Dataset)
                 and _digest(old[name]) != _digest(new[name])]
    if found.hexdigest() != digest:
        wrong.insert(0, 'pixels')
    if wrong:
        raise DatasetError(f'{", ".join(wrong)} read back from the new file differ from '
                           f'{source}; nothing was kept, check the disk and convert again')


def _digest(column: np.ndarray | Rows | Any) -> str:
    digest = hashlib.sha256(repr((column.shape, column.dtype.str)).encode())
    if column.shape == () or column.shape is None:
        digest.update(repr(column[()]).encode())
        return digest.hexdigest()
    for _, values in _blocks(column):
        digest.update(repr(values.tolist()).encode() if values.dtype.kind == 'O' else
                      np.ascontiguousarray(values))
    return digest.hexdigest()
