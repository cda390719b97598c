"""The data set file: HDF5 in the layout that public LeWM data uses, and its reader.

Flat columns, episodes end to end (N rows, E episodes):
    pixels uint8 (N, H, W, 3)   action float32 (N, A), NaN on the last row of an episode
    proprio float32 (N, P)      qpos, qvel float64 (N, P)      stamp_ns int64 (N,)
    episode_idx, step_idx int32 (N,)    ep_len int32 (E,)    ep_offset int64 (E,)
    ep_id, ep_source, ep_sha256 text (E,): name, bag, and hash of the bag's files
`pixels` is contiguous and uncompressed so that training maps it instead of reading it.
Row t: `action[t]` is applied at observation t and leads to row t + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lewm_model.errors import DatasetError, MissingPackageError
import numpy as np

FORMAT, FORMAT_VERSION = 'lewm-episodes', 1
REQUIRED = ('pixels', 'action', 'ep_len', 'ep_offset')


@dataclass(frozen=True, eq=False)
class EpisodeFile:
    """A validated data set; everything but the pixels is in memory, pixels are mapped."""

    path: Path
    pixels: np.ndarray                  # uint8 (N, H, W, 3), read-only memory map
    action: np.ndarray                  # float32 (N, A), robot units
    ep_len: np.ndarray                  # int64 (E,)
    ep_offset: np.ndarray               # int64 (E,)
    ep_id: tuple[str, ...]              # stable names, what the validation split hashes
    columns: dict[str, np.ndarray]      # the other row columns: proprio, qpos, stamp_ns, ...
    attributes: dict[str, Any]          # robot, control_dt_s, action_names, ...

    @classmethod
    def open(cls, path: str | Path) -> EpisodeFile:
        """Open a data set, ours or a public one.

        Raises:
            DatasetError: If it is missing, not HDF5, or contradicts itself.
        """
        h5py = import_h5py()
        path = Path(path)
        if not path.is_file():
            raise DatasetError(f'data set {path} does not exist; make one with "lewm ingest"')
        try:
            with h5py.File(path, 'r') as file:
                missing = [name for name in REQUIRED if name not in file]
                if missing:
                    raise DatasetError(f'{path} has no column {", ".join(missing)}; a data set '
                                       f'needs {", ".join(REQUIRED)}, this has '
                                       f'{", ".join(file) or "nothing"}')
                names = [name for name in file if name not in REQUIRED
                         and not name.startswith('ep_') and isinstance(file[name], h5py.Dataset)]
                episodes = len(file['ep_len'])
                found = cls(
                    path=path, pixels=_map_pixels(path, file['pixels']),
                    action=file['action'][()].astype(np.float32),
                    ep_len=file['ep_len'][()].astype(np.int64),
                    ep_offset=file['ep_offset'][()].astype(np.int64),
                    ep_id=tuple(text.decode() for text in file['ep_id'][()]) if 'ep_id' in file
                    else tuple(f'{path.stem}/{index}' for index in range(episodes)),
                    columns={name: file[name][()] for name in names},
                    attributes={name: _plain(value) for name, value in file.attrs.items()})
        except (OSError, KeyError, RuntimeError) as error:
            raise DatasetError(f'{path} cannot be read as HDF5: {error}; it is damaged or was '
                               f'not finished, ingest it again') from error
        found._validate()
        return found

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

    def _validate(self) -> None:
        rows, version = len(self.pixels), self.attributes.get('format_version', FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise DatasetError(f'{self.path} has format version {version}, this release reads up '
                               f'to {FORMAT_VERSION}; upgrade lewm_ros')
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise DatasetError(f'{self.path}: pixels must be uint8 (N, H, W, 3), got '
                               f'{self.pixels.dtype} {self.pixels.shape}')
        if self.action.ndim != 2:
            raise DatasetError(f'{self.path}: action must be (N, A), got {self.action.shape}')
        wrong = {name: len(column) for name, column in [('action', self.action),
                                                        *self.columns.items()]
                 if column.ndim == 0 or len(column) != rows}
        if wrong:
            raise DatasetError(f'{self.path}: pixels has {rows} rows, but '
                               f'{", ".join(f"{name} {count}" for name, count in wrong.items())}')
        if len(self.ep_len) != len(self.ep_offset) or len(self.ep_len) != len(self.ep_id):
            raise DatasetError(f'{self.path}: ep_len, ep_offset and ep_id have '
                               f'{len(self.ep_len)}, {len(self.ep_offset)} and '
                               f'{len(self.ep_id)} entries, they must agree')
        expected = np.concatenate([[0], np.cumsum(self.ep_len)])
        if (self.ep_len < 1).any() or expected[-1] != rows or (
                self.ep_offset != expected[:-1]).any():
            raise DatasetError(f'{self.path}: episodes must lie end to end; ep_len adds up to '
                               f'{expected[-1]} for {rows} rows')


def _map_pixels(path: Path, dataset: Any) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None or dataset.chunks is not None:
        raise DatasetError(
            f'{path}: pixels are chunked or compressed, training needs them contiguous; repack '
            f'with: h5repack -f pixels:NONE -l pixels:CONTI {path} contiguous.h5')
    return np.memmap(path, dtype=dataset.dtype, mode='r', offset=offset, shape=dataset.shape)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'OSU':
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value]
    return value


def import_h5py() -> Any:
    """Return h5py, or say how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError('h5py', 'train', 'reading and writing data sets') from error
    return h5py
