"""The data set file: HDF5 in the layout that public LeWM data uses, and its reader.

Flat columns, episodes end to end (N rows, E episodes):
    pixels uint8 (N, H, W, 3)   action float32 (N, A), NaN on the last row of an episode
    proprio float32 (N, P)      qpos, qvel float64 (N, P)      stamp_ns int64 (N,)
    of a simulation: sim_state float64 (N, n), its whole state; truth float64 (N, q), see the
    attribute truth_quantities
    episode_idx, step_idx int32 (N,)    ep_len int32 (E,)    ep_offset int64 (E,)
    ep_id, ep_source, ep_sha256 text (E,): name, bag, and hash of the bag's files
`pixels` is contiguous and uncompressed so that training maps it instead of reading it.
Row t: `action[t]` is applied at observation t and leads to row t + 1.

Files by others need `pixels`, `action` and anything that says where episodes begin (see
`columns`); chunked and compressed pixels are read, slowly. Several files as one set: `shards`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lewm_model.data.columns import content_ids, episode_table, file_columns
from lewm_model.data.rows import import_h5py, open_rows, Rows, unreadable
from lewm_model.errors import ConfigError, DatasetError, LewmError
from lewm_model.images.view import View
import numpy as np

__all__ = ['EpisodeFile', 'FORMAT', 'FORMAT_VERSION', 'import_h5py']

FORMAT, FORMAT_VERSION = 'lewm-episodes', 1
REQUIRED = ('pixels', 'action')


@dataclass(frozen=True, eq=False)
class EpisodeFile:
    """A validated data set: actions in memory, pixels mapped, other columns read when used.

    One file, or several presented as one by `shards.open_data`.
    """

    path: Path                          # of several files: what they were asked for by
    pixels: np.ndarray | Rows           # uint8 (N, H, W, 3), read-only
    action: np.ndarray                  # float32 (N, A), robot units
    ep_len: np.ndarray                  # int64 (E,)
    ep_offset: np.ndarray               # int64 (E,)
    ep_id: tuple[str, ...]              # stable names, what the validation split hashes
    columns: Mapping[str, Any]          # the other row columns: proprio, qpos, stamp_ns, ...
    attributes: dict[str, Any]          # robot, control_dt_s, action_names, ...
    ep_recording: tuple[str, ...] = ()  # what an episode was cut from; equal: it is there twice
    shards: tuple[Path, ...] = ()       # the files, if they are several
    ep_name: tuple[str, ...] = ()       # what results call episodes: their `ep_id`, with the name
    #                                     of the file where two files have it

    def __post_init__(self) -> None:
        if not self.ep_name:
            object.__setattr__(self, 'ep_name', self.ep_id)

    @classmethod
    def open(cls, path: str | Path) -> EpisodeFile:
        """Open a data set file, ours or a public one.

        Raises:
            DatasetError: If it is missing, not HDF5, or contradicts itself.
            MissingPackageError: If it is compressed with Blosc and hdf5plugin is not installed.
        """
        h5py = import_h5py()
        path = Path(path)
        if not path.is_file():
            raise DatasetError(f'data set {path} does not exist; make one with "lewm ingest"')
        try:
            with h5py.File(path, 'r') as file:
                return cls._read(path, file)
        except LewmError:
            raise
        except Exception as error:  # of damaged files h5py raises nearly any kind
            raise unreadable(path, error) from error

    @classmethod
    def _read(cls, path: Path, file: Any) -> EpisodeFile:
        missing = [name for name in REQUIRED if name not in file]
        if missing:
            raise DatasetError(f'{path} has no column {", ".join(missing)}; a data set needs '
                               f'{", ".join(REQUIRED)}, ep_len and ep_offset, this has '
                               f'{", ".join(file) or "nothing"}')
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        version = attributes.get('format_version', FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise DatasetError(f'{path} has format version {version}, this release reads up to '
                               f'{FORMAT_VERSION}; upgrade lewm_ros')
        _check_shapes(path, file['pixels'], file['action'])
        rows = len(file['pixels'])
        ep_len, ep_offset = episode_table(path, file, rows)
        pixels = open_rows(path, file['pixels'])
        action = file['action'][()].astype(np.float32, copy=False)
        names = {name: tuple(text.decode() if isinstance(text, bytes) else str(text)
                             for text in file[name][()])
                 for name in ('ep_id', 'ep_sha256') if name in file}
        for name, texts in names.items():
            if len(texts) != len(ep_len):
                raise DatasetError(f'{path}: ep_len, ep_offset and {name} have {len(ep_len)}, '
                                   f'{len(ep_offset)} and {len(texts)} entries, they must agree')
        ep_id = names.get('ep_id') or content_ids(action, pixels, ep_len, ep_offset)
        # A bag can be renamed or copied: its hash and the number of the episode in it stay.
        hashes = names.get('ep_sha256', ('',) * len(ep_id))
        recording = tuple(f'{sha}/{name.rpartition("/")[2]}' if sha else name
                          for name, sha in zip(ep_id, hashes, strict=True))
        return cls(path=path, pixels=pixels, action=action, ep_len=ep_len, ep_offset=ep_offset,
                   ep_id=ep_id, attributes=attributes, ep_recording=recording,
                   columns=file_columns(path, file, REQUIRED, rows, len(ep_len)))

    def __len__(self) -> int:
        """N, the number of rows."""
        return len(self.pixels)

    def in_memory(self) -> EpisodeFile:
        """Return the same data set with its pixels read into memory."""
        return replace(self, pixels=np.array(self.pixels))

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.ep_len)

    @property
    def control_dt_s(self) -> float | None:
        """The control step [s]; public files do not say."""
        value = self.attributes.get('control_dt_s')
        return None if value is None else float(value)

    @property
    def view(self) -> View | None:
        """Cameras, their shape and crop, and the size of the frames; None if the file is mute.

        Raises:
            DatasetError: If what it says is malformed.
        """
        try:
            view = View.from_json(self.attributes.get('view', ''))
        except ConfigError as error:
            raise DatasetError(f'{self.path}: {error}') from error
        return view and replace(view, frame_px=int(self.pixels.shape[1]))   # perhaps converted


def _check_shapes(path: Path, pixels: Any, action: Any) -> None:
    if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.dtype != np.uint8:
        raise DatasetError(f'{path}: pixels must be uint8 (N, H, W, 3), got {pixels.dtype} '
                           f'{pixels.shape}')
    if action.ndim != 2 or action.dtype.kind not in 'fiu':
        raise DatasetError(f'{path}: action must be numbers (N, A), got {action.dtype} '
                           f'{action.shape}')
    if len(action) != len(pixels):
        raise DatasetError(f'{path}: pixels has {len(pixels)} rows, but action {len(action)}')
    if not len(pixels):
        raise DatasetError(f'{path} has no rows; was recording stopped before the first episode '
                           f'ended?')


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'OSU':
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value]
    return value
