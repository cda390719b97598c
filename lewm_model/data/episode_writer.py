"""Write a data set file in one sequential pass, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import os
from pathlib import Path

from lewm_model.data.episodes import FORMAT, FORMAT_VERSION, import_h5py
from lewm_model.errors import DatasetError
from lewm_model.robot import RobotDescription
import numpy as np


@dataclass(frozen=True, eq=False)
class Episode:
    """One finished episode, n rows; arrays may be memory maps."""

    episode_id: str
    source: str                 # name of the bag
    sha256: str                 # of the bag's files
    pixels: np.ndarray          # uint8 (n, S, S, 3)
    action: np.ndarray          # (n, A), robot units, the last row NaN
    qpos: np.ndarray            # float64 (n, P)
    qvel: np.ndarray            # float64 (n, P), NaN where unknown
    stamp_ns: np.ndarray        # int64 (n,)


def write_episodes(path: str | Path, episodes: Iterable[Episode], lengths: list[int],
                   robot: RobotDescription, image_size: int,
                   attributes: dict[str, str]) -> None:
    """Write `episodes` to an HDF5 file.

    The file appears under its name only when it is complete, replacing an older one.

    Args:
        path: The file.
        episodes: In their final order; consumed one at a time, so memory stays small.
        lengths: Rows of each episode, known beforehand so that columns are contiguous.
        robot: Names, limits and rate, stored as attributes.
        image_size: S [px].
        attributes: Further attributes of the file: task, provenance.

    Raises:
        DatasetError: If there is nothing to write, or the disk is full or not writable.
    """
    if not lengths:
        raise DatasetError(f'{path}: there are no episodes to write')
    h5py = import_h5py()
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(unfinished, 'w') as file:
            _write(file, episodes, np.array(lengths, dtype=np.int64), robot, image_size)
            file.attrs.update(attributes)
        os.replace(unfinished, path)
    except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
        raise DatasetError(f'cannot write {path}: {error}; free disk space or choose another '
                           f'place') from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write(file, episodes: Iterable[Episode], lengths: np.ndarray, robot: RobotDescription,
           image_size: int) -> None:
    rows, joints = int(lengths.sum()), robot.action_dim
    offsets = np.cumsum(lengths) - lengths
    shapes = {
        'pixels': ((rows, image_size, image_size, 3), np.uint8),
        'action': ((rows, joints), np.float32), 'proprio': ((rows, joints), np.float32),
        'qpos': ((rows, joints), np.float64), 'qvel': ((rows, joints), np.float64),
        'stamp_ns': ((rows,), np.int64)}
    columns = {name: file.create_dataset(name, shape=shape, dtype=dtype)
               for name, (shape, dtype) in shapes.items()}
    written = []
    for episode, length, offset in zip(episodes, lengths, offsets, strict=True):
        place = slice(int(offset), int(offset + length))
        columns['pixels'][place] = episode.pixels
        columns['action'][place] = episode.action
        columns['proprio'][place] = episode.qpos
        columns['qpos'][place] = episode.qpos
        columns['qvel'][place] = episode.qvel
        columns['stamp_ns'][place] = episode.stamp_ns
        written.append((episode.episode_id, episode.source, episode.sha256))
    if np.isnan(columns['qvel'][()]).any():
        del file['qvel']  # half a column would be taken for measurements
    file['episode_idx'] = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    file['step_idx'] = (np.arange(rows) - np.repeat(offsets, lengths)).astype(np.int32)
    file['ep_len'] = lengths.astype(np.int32)
    file['ep_offset'] = offsets.astype(np.int64)
    for place, name in enumerate(('ep_id', 'ep_source', 'ep_sha256')):
        file[name] = np.array([texts[place].encode() for texts in written])
    file.attrs.update({
        'format': FORMAT, 'format_version': FORMAT_VERSION, 'robot': robot.robot,
        'interface': robot.interface, 'control_dt_s': robot.control_dt_s,
        'image_size': image_size, 'action_min': robot.min_command,
        'action_max': robot.max_command})
    file.attrs['action_names'] = file.attrs['joint_names'] = list(robot.joint_names)
