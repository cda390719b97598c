"""Episodes into a data set file, with names, provenance and the facts about the robot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lewm_model.data.measured_states import STATES
from lewm_model.ingest.set_writer import Columns, SetWriter
from lewm_model.quantities import to_json
from lewm_model.robots.robot import RobotDescription
import numpy as np

SIM_STATE, TRUTH = 'sim_state', 'truth'   # columns of simulated sets


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
                   attributes: Mapping[str, Any]) -> None:
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
    offsets = np.cumsum(lengths) - lengths
    table, velocities_known = EpisodeTable(), True
    with SetWriter(path, np.array(lengths), image_size, row_columns(robot)) as writer:
        for episode, offset in zip(episodes, offsets.tolist(), strict=True):
            writer.write_pixels(offset, episode.pixels)
            writer.write(offset, {
                'action': episode.action, 'proprio': episode.qpos, 'qpos': episode.qpos,
                'qvel': episode.qvel, 'stamp_ns': episode.stamp_ns})
            velocities_known &= bool(np.isfinite(episode.qvel).all())
            table.add(episode.episode_id, episode.source, episode.sha256, episode.stamp_ns)
        if not velocities_known:
            writer.remove('qvel')  # half a column would be taken for measurements
        writer.write_episodes(table.columns())
        writer.set_attributes({**robot_attributes(robot), **attributes})


class EpisodeTable:
    """Collects name and provenance of each episode."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, str, str]] = []
        self._stamps: list[tuple[int, int]] = []

    def add(self, episode_id: str, source: str, sha256: str, stamp_ns: np.ndarray) -> None:
        """Append one episode; `source` is its bag, `sha256` the hash of the bag's files."""
        self._texts.append((episode_id, source, sha256))
        self._stamps.append((int(stamp_ns[0]), int(stamp_ns[-1])))

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns with one entry per episode."""
        stamps = np.array(self._stamps, dtype=np.int64)
        return {**{name: np.array([texts[place].encode() for texts in self._texts])
                   for place, name in enumerate(('ep_id', 'ep_source', 'ep_sha256'))},
                'ep_first_ns': stamps[:, 0], 'ep_last_ns': stamps[:, 1]}


def row_columns(robot: RobotDescription, *, with_velocities: bool = True,
                truth: tuple[int, int] | None = None) -> Columns:
    """Name the columns with one entry per row, besides the pixels.

    Args:
        robot: Actions and states.
        with_velocities: Whether there are any.
        truth: Of a simulator: numbers in a whole state, and in what its task measures.
    """
    actions, states = robot.action_dim, len(robot.state_names)
    return {'action': ((actions,), np.float32), 'proprio': ((states,), np.float32),
            'qpos': ((states,), np.float64),
            **({'qvel': ((states,), np.float64)} if with_velocities else {}),
            **({SIM_STATE: ((truth[0],), np.float64), TRUTH: ((truth[1],), np.float64)}
               if truth else {}),
            'stamp_ns': ((), np.int64)}


def robot_attributes(robot: RobotDescription) -> dict[str, Any]:
    """Return what a model must know about the robot it is trained for."""
    return {'robot': robot.robot, 'interface': robot.interface,
            'control_dt_s': robot.control_dt_s, 'action_min': robot.min_command,
            'action_max': robot.max_command, 'action_names': list(robot.joint_names),
            'joint_names': list(robot.joint_names), 'state_names': list(robot.state_names),
            STATES: to_json(robot.state_quantities)}
