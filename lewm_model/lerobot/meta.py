"""What a LeRobot data set says about itself, versions 2.x and 3.0 made alike.

Version 2 has one Parquet file and one video per episode, 3.0 many episodes per file; the names of
both are in `meta/info.json`. Rows and frames are `rows` and `video`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from lewm_model.errors import DatasetError
from lewm_model.lerobot.files import (
    fill_template,
    LeRobotFolder,
    open_parquet,
    read_columns,
)

VERSIONS = ('v2.0', 'v2.1', 'v3.0')
_PATHS = {   # where info.json does not say
    '2': ('data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
          'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4'),
    '3': ('data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
          'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4')}


@dataclass(frozen=True)
class Feature:
    """One column."""

    key: str
    dtype: str                  # 'video', 'image', 'float32', ...
    width: int                  # numbers per row; 0 if it is not a flat list of them
    names: tuple[str, ...]      # one per number, all different
    is_depth: bool
    is_named: bool = False      # by the set itself, one name per number


@dataclass(frozen=True)
class LeRobotEpisode:
    """Where one episode is, as seen by one camera."""

    index: int
    length: int                 # rows
    tasks: tuple[str, ...]
    data_path: str              # Parquet file, relative to the folder
    video_path: str             # '' where the pictures are in the Parquet file
    video_start_s: float        # of its first frame in the video
    video_end_s: float          # of the end of its last frame; infinite if not said


class LeRobotSet:
    """An opened data set; nothing but its metadata is read.

    Args:
        path: The folder.

    Raises:
        DatasetError: If it is not a LeRobot data set of a version that is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = LeRobotFolder(path)
        info = self.folder.read_json('meta/info.json')
        self.version = str(info.get('codebase_version'))
        if self.version not in VERSIONS:
            raise DatasetError(f'{path} is a LeRobot data set of version {self.version}, '
                               f'{", ".join(VERSIONS)} are read; convert it with the scripts '
                               f'that come with LeRobot')
        self.fps = info.get('fps')
        if isinstance(self.fps, bool) or not isinstance(self.fps, (int, float)) or not (
                0 < self.fps < 1e4):
            raise DatasetError(f'{path}: fps must be a number in (0, 10000), meta/info.json says '
                               f'{self.fps!r}')
        self.robot_type = str(info.get('robot_type') or 'unknown')
        features = info.get('features')
        if not isinstance(features, dict):
            raise DatasetError(f'{path}: meta/info.json has no features')
        self.features = {key: _feature(key, value) for key, value in features.items()}
        self._info = info
        self._data_path, self._video_path = (
            str(info.get(name) or default) for name, default in
            zip(('data_path', 'video_path'), _PATHS[self.version[1]], strict=True))

    @property
    def cameras(self) -> tuple[str, ...]:
        """The columns with colour pictures."""
        return tuple(key for key, feature in self.features.items()
                     if feature.dtype in ('video', 'image') and not feature.is_depth)

    def choose_camera(self, name: str | None) -> Feature:
        """Return the camera called `name`, in full or by its last part; None: the only one.

        Raises:
            DatasetError: The message lists what there is.
        """
        found = [key for key in self.cameras
                 if name in (None, key) or key.endswith(f'.{name}')]
        if len(found) != 1:
            said = 'several cameras' if name is None else f'no camera {name!r}'
            raise DatasetError(f'{self.folder.path} has {said if self.cameras else "no camera"}; '
                               f'name one of {", ".join(self.cameras) or "none"} (--camera)')
        return self.features[found[0]]

    def choose_numbers(self, key: str, option: str) -> Feature:
        """Return a column that is a flat list of numbers in each row.

        Raises:
            DatasetError: The message lists what there is.
        """
        feature = self.features.get(key)
        if feature is None or not feature.width:
            usable = [name for name, one in self.features.items() if one.width]
            raise DatasetError(f'{self.folder.path} has no column of numbers {key!r}; it has '
                               f'{", ".join(usable) or "none"} ({option})')
        return feature

    def episodes(self, camera: Feature) -> list[LeRobotEpisode]:
        """List the episodes in the order of their numbers.

        Raises:
            DatasetError: If the metadata is missing, damaged or contradicts itself.
        """
        read = self._episodes_3 if self.version.startswith('v3') else self._episodes_2
        try:
            found = sorted(read(camera), key=lambda episode: episode.index)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f'{self.folder.path}: the list of episodes in meta is damaged: '
                               f'{type(error).__name__} {error}') from error
        numbers = [episode.index for episode in found]
        if len(set(numbers)) != len(numbers) or any(
                episode.index < 0 or episode.length < 0
                or not math.isfinite(episode.video_start_s) for episode in found):
            raise DatasetError(f'{self.folder.path}: the list of episodes in meta has an episode '
                               f'twice, or negative numbers')
        if not found:
            raise DatasetError(f'{self.folder.path}: meta lists no episodes')
        return found

    def _episodes_2(self, camera: Feature) -> list[LeRobotEpisode]:
        chunk_size = int(self._info.get('chunks_size') or 1000)
        found = []
        for line in self.folder.read_json_lines('meta/episodes.jsonl'):
            index = int(line['episode_index'])
            names = {'episode_chunk': index // chunk_size, 'episode_index': index,
                     'total_episodes': int(self._info.get('total_episodes') or 0)}
            found.append(LeRobotEpisode(
                index=index, length=int(line['length']), tasks=_texts(line.get('tasks')),
                data_path=fill_template(self._data_path, names),
                video_path='' if camera.dtype == 'image' else fill_template(
                    self._video_path, {**names, 'video_key': camera.key}),
                video_start_s=0.0, video_end_s=math.inf))
        return found

    def _episodes_3(self, camera: Feature) -> list[LeRobotEpisode]:
        names = ['episode_index', 'length', 'data/chunk_index', 'data/file_index']
        video = [f'videos/{camera.key}/{name}' for name in
                 ('chunk_index', 'file_index', 'from_timestamp', 'to_timestamp')]
        names += video if camera.dtype == 'video' else []
        found = []
        for path in self.folder.matching('meta/episodes/*/*.parquet'):
            file = open_parquet(path)
            has_tasks = 'tasks' in file.schema_arrow.names
            columns = read_columns(path, file, names + ['tasks'] * has_tasks)
            for row in _rows(columns):
                index = int(row['episode_index'])
                place = {'chunk_index': int(row['data/chunk_index']),
                         'file_index': int(row['data/file_index']), 'episode_index': index}
                if camera.dtype == 'video':
                    chunk, number, start_s, end_s = (row[name] for name in video)
                    video_path = fill_template(self._video_path, {
                        'video_key': camera.key, 'chunk_index': int(chunk),
                        'file_index': int(number), 'episode_index': index})
                else:
                    video_path, start_s, end_s = '', 0.0, math.inf
                found.append(LeRobotEpisode(
                    index=index, length=int(row['length']), tasks=_texts(row.get('tasks')),
                    data_path=fill_template(self._data_path, place), video_path=video_path,
                    video_start_s=float(start_s), video_end_s=float(end_s)))
        return found


def _feature(key: str, value: Any) -> Feature:
    if not isinstance(value, dict):
        raise DatasetError(f'meta/info.json: feature {key!r} must be an object, got {value!r}')
    shape, dtype = value.get('shape'), str(value.get('dtype'))
    flat = (isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int
            and 0 < shape[0] <= 1 << 16 and dtype.startswith(('float', 'int', 'uint', 'bool')))
    width = shape[0] if flat else 0
    details = dict(value)
    for group in (value.get('info'), value.get('video_info')):
        details.update(group if isinstance(group, dict) else {})
    names = _names(key, value.get('names'), width)
    return Feature(key=key, dtype=dtype, width=width, names=names,
                   is_named=names != _numbered(key, width),
                   is_depth=bool(details.get('video.is_depth_map') or details.get('is_depth_map')))


def _names(key: str, given: Any, width: int) -> tuple[str, ...]:
    """Return one name per number; data sets give a list, a group of lists, or nothing."""
    if isinstance(given, dict):
        values = list(given.values())
        if all(isinstance(value, list) for value in values):
            given = [name for value in values for name in value]
        else:
            numbers = sorted(values, key=str) == sorted(range(len(values)), key=str)
            given = sorted(given, key=given.get) if numbers else list(given)   # name: place
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    if not isinstance(given, list) or len(given) != width:
        return _numbered(key, width)
    texts = [str(name) for name in given]
    return tuple(f'{name}_{place}' if texts.count(name) > 1 else name
                 for place, name in enumerate(texts))


def _numbered(key: str, width: int) -> tuple[str, ...]:
    return tuple(f'{key}_{place}' for place in range(width))


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = {name: column.to_pylist() for name, column in columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
