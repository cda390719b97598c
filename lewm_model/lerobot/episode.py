"""One LeRobot episode to one small data set file of its own: the step that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
import json
from pathlib import Path

from lewm_model.bags.files import sha256_of
from lewm_model.errors import DatasetError, ImageError
from lewm_model.images.decode import resize_square, square_from_compressed
from lewm_model.ingest.convert_bag import read_attribute
from lewm_model.ingest.set_writer import Columns, SetWriter
from lewm_model.lerobot.files import LeRobotFolder
from lewm_model.lerobot.meta import LeRobotEpisode
from lewm_model.lerobot.rows import open_row_file, RowFile
from lewm_model.lerobot.video import frames_at
import numpy as np

SETTINGS = 'lerobot_settings'   # attribute of a part: what its rows depend on
_SHORT = 0.5                    # of a frame, that a section of a video may lack


@dataclass(frozen=True)
class LeRobotChoice:
    """What to take from a data set, and how; crosses process borders."""

    name: str                   # of the data set, such as lerobot/pusht
    version: str
    fps: float
    camera: str                 # column
    is_video: bool
    action: tuple[str, int]     # column, numbers per row
    state: tuple[str, int] | None
    image_size: int             # S [px]
    every: int                  # frames per row
    combine: str                # how the actions of these frames become one, see COMBINE
    order: tuple[int, ...]      # which number of `action` each action of the file is


@dataclass(frozen=True)
class EpisodeReport:
    """What became of one episode."""

    index: int
    frames: int
    rows: int = 0
    error: str = ''             # why it was left out


# The action of a row that stands for several frames: which of these is right depends on what the
# action means, which no data set says.
COMBINE = {
    'last': 'the last of them: absolute targets, such as joint positions',
    'mean': 'their mean: velocities',
    'sum': 'their sum: displacements, relative to the step before',
}


def convert_episode(folder: Path, episode: LeRobotEpisode, choice: LeRobotChoice, part: Path,
                    min_rows: int) -> EpisodeReport:
    """Convert one episode into the data set file `part`, unless that was done before.

    Memory holds the numbers of one Parquet file and one frame.

    Returns:
        What became of it. One that cannot be read is a report with `error`.

    Raises:
        DatasetError: If the part cannot be written.
    """
    rows = -(-episode.length // choice.every)
    report = EpisodeReport(episode.index, episode.length, rows)
    if rows < min_rows:
        return EpisodeReport(episode.index, episode.length, error=(
            f'shorter than {min_rows} rows (--min-rows)'))
    try:
        files = LeRobotFolder(folder)
        paths = [files.file(name) for name in (episode.data_path, episode.video_path) if name]
        sha256 = _hash(tuple(map(_version_of, paths)))
        settings = json.dumps({**asdict(choice), 'episode': asdict(episode), 'sha256': sha256},
                              sort_keys=True)
        if part.is_file() and read_attribute(part, SETTINGS) == settings:
            return report
        columns = (choice.action, *([choice.state] if choice.state else []))
        file = open_row_file(paths[0], columns)
        place, values = file.episode(episode.index, episode.length, choice.fps)
    except (DatasetError, OSError) as error:
        return EpisodeReport(episode.index, episode.length, error=str(error))
    steps = np.arange(0, episode.length, choice.every)
    stamps = np.round(steps * 1e9 / choice.fps).astype(np.int64)
    try:
        with SetWriter(part, np.array([rows]), choice.image_size, _row_columns(choice)) as writer:
            for row, square in enumerate(_squares(file, paths[-1], place, steps, episode, choice)):
                writer.write_pixels(row, square[None])
            writer.write(0, {
                'action': combine(values[choice.action[0]][:, list(choice.order)], choice.every,
                                  choice.combine),
                'stamp_ns': stamps,
                **({'proprio': values[choice.state[0]][steps]} if choice.state else {})})
            writer.write_episodes({
                **{name: np.array([text.encode()]) for name, text in (
                    ('ep_id', f'{choice.name}/{episode.index}'), ('ep_source', choice.name),
                    ('ep_sha256', sha256), ('ep_task', '; '.join(episode.tasks)))},
                'ep_first_ns': stamps[:1], 'ep_last_ns': stamps[-1:]})
            writer.set_attributes({SETTINGS: settings})
    except _UnreadableError as error:
        return EpisodeReport(episode.index, episode.length, error=str(error))
    return report


def combine(actions: np.ndarray, every: int, how: str) -> np.ndarray:
    """Make one action per row out of those of `every` frames.

    The actions of frames t to t + every - 1 lead from the row of frame t to the next row. The
    last row of an episode leads nowhere: its action is NaN, as in every data set here, although
    LeRobot records one.

    Args:
        actions: One per frame, (n, A).
        every: Frames per row.
        how: One of COMBINE.

    Returns:
        float32 (ceil(n / every), A).
    """
    rows = -(-len(actions) // every)
    whole = actions[:(rows - 1) * every].reshape(rows - 1, every, -1)
    made = {'last': lambda: whole[:, -1], 'mean': lambda: whole.mean(axis=1),
            'sum': lambda: whole.sum(axis=1)}[how]()
    return np.concatenate([made, np.full((1, actions.shape[1]), np.nan)]).astype(np.float32)


class _UnreadableError(DatasetError):
    """Pictures of an episode cannot be read: the fault of the source, not of what is written."""


def _squares(file: RowFile, path: Path, place: slice, steps: np.ndarray, episode: LeRobotEpisode,
             choice: LeRobotChoice) -> Iterator[np.ndarray]:
    """Yield the picture of each row, uint8 (S, S, 3)."""
    try:
        if choice.is_video:
            span = (episode.video_end_s - episode.video_start_s) * choice.fps
            if span < episode.length - _SHORT:
                raise DatasetError(
                    f'{path}: by meta, episode {episode.index} has {span:.1f} frames here and '
                    f'{episode.length} rows; its last rows would show the next episode')
            for rgb in frames_at(path, episode.video_start_s + steps / choice.fps, choice.fps):
                yield resize_square(rgb, choice.image_size)
        else:
            for row, content in enumerate(file.pictures(choice.camera, place)):
                if row % choice.every == 0:
                    yield square_from_compressed(content, size=choice.image_size)
    except (DatasetError, ImageError, OSError) as error:
        raise _UnreadableError(str(error)) from error


def _row_columns(choice: LeRobotChoice) -> Columns:
    return {'action': ((choice.action[1],), np.float32), 'stamp_ns': ((), np.int64),
            **({'proprio': ((choice.state[1],), np.float32)} if choice.state else {})}


def _version_of(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash files; those of version 3 hold many episodes, and are hashed once."""
    return sha256_of([path for path, _, _ in files])
