"""What a published checkpoint does not say, read from the data set it was trained from.

Works on the public files as they are, chunked and compressed: only the actions and a few frames
are read. Training, which maps all pixels, uses `episodes.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lewm_model.data.rows import import_h5py, require_filters, unreadable
from lewm_model.errors import DatasetError, without_path
from lewm_model.preprocess import ActionNormalizer
import numpy as np

_RECORDED = ('action_names', 'action_min', 'action_max', 'control_dt_s', 'robot', 'task')


def read_facts(path: str | Path) -> dict[str, Any]:
    """Return action statistics, and whatever else the file has of names, limits and rate.

    Raises:
        DatasetError: If the file cannot be read or has no usable actions.
    """
    with _open(path, 'action') as file:
        actions = file['action'][()]
        if actions.ndim != 2:
            raise DatasetError(f'{path}: action must be (N, A), got {actions.shape}')
        normalizer = ActionNormalizer.fit(actions.astype(np.float32))
        attributes = {name: file.attrs[name] for name in _RECORDED if name in file.attrs}
    facts = {name: value.item() if isinstance(value, np.generic) else value
             for name, value in attributes.items()}
    if 'action_names' in facts:
        facts['action_names'] = [str(name) for name in facts['action_names']]
    return {**facts, 'action_mean': normalizer.mean, 'action_std': normalizer.std}


def neighbouring_frames(path: str | Path, *, pairs: int = 256, seed: int = 0) -> np.ndarray:
    """Return frames one control step apart, uint8 (N, 2, H, W, 3).

    Args:
        path: The data set.
        pairs: How many pairs are drawn; all of them if there are fewer.
        seed: Of the choice.

    Raises:
        DatasetError: If the pixels cannot be read or no episode has two frames.
    """
    with _open(path, 'pixels', 'ep_len', 'ep_offset') as file:
        lengths, offsets = file['ep_len'][()], file['ep_offset'][()]
        firsts = np.concatenate([np.empty(0, np.int64)] + [
            np.arange(offset, offset + length - 1)
            for offset, length in zip(offsets, lengths, strict=True)]).astype(np.int64)
        if not len(firsts):
            raise DatasetError(f'{path} has no episode of two frames')
        chosen = np.random.default_rng(seed).choice(firsts, min(pairs, len(firsts)),
                                                    replace=False)
        require_filters(Path(path), file['pixels'])   # public files are compressed with Blosc
        try:
            return np.stack([file['pixels'][first:first + 2] for first in chosen])
        except OSError as error:
            raise DatasetError(f'the pixels of {path} cannot be read: {without_path(error)}; get '
                               f'the file again, or give goal_tolerance') from error


def _open(path: str | Path, *columns: str) -> Any:
    """Open an HDF5 file that has these columns."""
    h5py = import_h5py()
    if not Path(path).is_file():
        raise DatasetError(f'data set {path} does not exist')
    try:
        file = h5py.File(path, 'r')
    except OSError as error:
        raise unreadable(path, error) from error
    missing = [name for name in columns if name not in file]
    if missing:
        found = ', '.join(file)
        file.close()
        raise DatasetError(f'{path} has no column {", ".join(missing)}, it has {found}')
    return file
