"""Small LeRobot data sets, versions 2.1 and 3.0, whose frames say in blocks of grey who they are.

A frame holds 8 bits of its episode and 8 of its number as blocks of 16 x 16 px, black or white,
so that a lossy video still tells every frame from its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
import json
import os
from pathlib import Path

import av
import cv2
from lewm_model.data.episodes import EpisodeFile
from lewm_model.lerobot.convert import import_lerobot, LeRobotConfig, LeRobotReport
import numpy as np
import pyarrow as pa
from pyarrow import parquet

CAMERA = 'observation.images.top'
SIDE, BLOCK = 64, 16
LENGTHS = [25, 31, 22, 40]     # of the episodes in most tests
SMALL = LeRobotConfig(image_size=16, name='lab/toy')


def frame(episode: int, number: int) -> np.ndarray:
    """Return a picture that says which one it is, uint8 (64, 64, 3)."""
    bits = np.array([(value >> bit) & 1 for value in (episode, number) for bit in range(8)])
    blocks = bits.reshape(4, 4).astype(np.uint8) * 235
    return np.repeat(np.repeat(blocks, BLOCK, 0), BLOCK, 1)[:, :, None].repeat(3, axis=2)


def decode(picture: np.ndarray) -> tuple[int, int]:
    """Return episode and number of a picture of any size."""
    side = picture.shape[0] // 4
    blocks = picture.astype(float).mean(axis=2).reshape(4, side, 4, side).mean(axis=(1, 3))
    bits = (blocks > 118).astype(int).ravel()
    return tuple(int(sum(bit << place for place, bit in enumerate(part)))
                 for part in np.split(bits, 2))


def action(episode: int, number: int) -> list[float]:
    """Return the action of a row."""
    return [float(episode), float(number)]


@contextmanager
def same_scheduler() -> Iterator[None]:
    """Put the scheduler back: SVT-AV1 makes the calling thread a real-time one, if it may."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def write_video(path: Path, frames: list[np.ndarray], fps: float, *, codec: str = 'libx264',
                b_frames: int = 3, skip: tuple[int, ...] = ()) -> None:
    """Encode frames, with B-frames and a key frame every 12; `skip` leaves some out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = Fraction(fps).limit_denominator(1000)
    with same_scheduler(), av.open(str(path), 'w') as container:
        options = {'bf': str(b_frames)} if codec == 'libx264' else {}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.gop_size = 'yuv420p', 12
        stream.codec_context.time_base = 1 / rate
        for number, rgb in enumerate(frames):
            if number not in skip:
                picture = av.VideoFrame.from_ndarray(rgb, format='rgb24')
                picture.pts, picture.time_base = number, 1 / rate
                container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def make(folder: Path, lengths: list[int], *, version: str = 'v2.1', fps: float = 10,
         kind: str = 'video', codec: str = 'libx264', skip: tuple[int, ...] = ()) -> Path:
    """Write a data set; in version 3.0 the first two episodes share files, the others too."""
    features = {
        CAMERA: {'dtype': kind, 'shape': [SIDE, SIDE, 3], 'names': ['height', 'width', 'channel']},
        'observation.state': {'dtype': 'float32', 'shape': [3], 'names': {'motors': list('abc')}},
        'action': {'dtype': 'float32', 'shape': [2], 'names': ['who', 'when']},
        **{key: {'dtype': dtype, 'shape': [1], 'names': None} for key, dtype in (
            ('timestamp', 'float32'), ('frame_index', 'int64'), ('episode_index', 'int64'),
            ('index', 'int64'), ('task_index', 'int64'))}}
    info = {'codebase_version': version, 'robot_type': 'toy', 'fps': fps, 'features': features,
            'total_episodes': len(lengths), 'chunks_size': 1000}
    three = version.startswith('v3')
    info['data_path'], info['video_path'] = (
        ('data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
         'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4') if three else
        ('data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
         'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4'))
    (folder / 'meta').mkdir(parents=True)
    (folder / 'meta' / 'info.json').write_text(json.dumps(info))
    rows = [_rows(episode, length, sum(lengths[:episode]), fps, kind)
            for episode, length in enumerate(lengths)]
    pictures = [[frame(episode, number) for number in range(length)]
                for episode, length in enumerate(lengths)]
    (_write_3 if three else _write_2)(folder, rows, pictures, fps, kind, codec, skip)
    return folder


def edit_info(folder: Path, **changes) -> Path:
    """Change entries of meta/info.json; return the folder."""
    path = folder / 'meta' / 'info.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def convert(folder: Path, tmp_path: Path, **changes) -> tuple[LeRobotReport, EpisodeFile]:
    """Import a set as `SMALL` says, with changes; return the report and the data set file."""
    report = import_lerobot(folder, tmp_path / 'out.h5', replace(SMALL, **changes))
    return report, EpisodeFile.open(tmp_path / 'out.h5')


def _rows(episode: int, length: int, start: int, fps: float, kind: str) -> pa.Table:
    steps = np.arange(length)
    columns = {
        'observation.state': pa.FixedSizeListArray.from_arrays(pa.array(
            (steps[:, None] + np.array([0, 100, 200])).ravel().astype(np.float32)), 3),
        'action': pa.array([action(episode, number) for number in steps],
                           pa.list_(pa.float32())),
        'timestamp': pa.array((steps / fps).astype(np.float32)), 'frame_index': pa.array(steps),
        'episode_index': pa.array(np.full(length, episode)), 'index': pa.array(start + steps),
        'task_index': pa.array(np.full(length, episode % 2))}
    if kind == 'image':
        columns[CAMERA] = pa.array(
            [{'bytes': cv2.imencode('.png', frame(episode, number))[1].tobytes(), 'path': None}
             for number in steps], pa.struct([('bytes', pa.binary()), ('path', pa.string())]))
    return pa.table(columns)


def _write_2(folder, rows, pictures, fps, kind, codec, skip) -> None:
    (folder / 'data' / 'chunk-000').mkdir(parents=True)
    listed = []
    for episode, table in enumerate(rows):
        name = f'episode_{episode:06d}'
        parquet.write_table(table, folder / 'data' / 'chunk-000' / f'{name}.parquet')
        if kind == 'video':
            write_video(folder / 'videos' / 'chunk-000' / CAMERA / f'{name}.mp4',
                        pictures[episode], fps, codec=codec, skip=skip)
        listed.append({'episode_index': episode, 'tasks': [f'task {episode % 2}'],
                       'length': len(table)})
    _lines(folder / 'meta' / 'episodes.jsonl', listed)
    _lines(folder / 'meta' / 'tasks.jsonl', [{'task_index': index, 'task': f'task {index}'}
                                             for index in range(2)])


def _write_3(folder, rows, pictures, fps, kind, codec, skip) -> None:
    listed = []
    for number, group in enumerate((range(min(2, len(rows))), range(2, len(rows)))):
        if not group:
            continue
        path = folder / 'data' / 'chunk-000' / f'file-{number:03d}.parquet'
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.concat_tables([rows[index] for index in group]), path,
                            row_group_size=7)
        start = 0
        for episode in group:
            length = len(rows[episode])
            begin = sum(map(len, rows[:episode]))
            listed.append({
                'episode_index': episode, 'tasks': [f'task {episode % 2}'], 'length': length,
                'dataset_from_index': begin, 'dataset_to_index': begin + length,
                'data/chunk_index': 0, 'data/file_index': number,
                **({f'videos/{CAMERA}/chunk_index': 0, f'videos/{CAMERA}/file_index': number,
                    f'videos/{CAMERA}/from_timestamp': start / fps,
                    f'videos/{CAMERA}/to_timestamp': (start + length) / fps}
                   if kind == 'video' else {})})
            start += length
        if kind == 'video':
            write_video(folder / 'videos' / CAMERA / 'chunk-000' / f'file-{number:03d}.mp4',
                        [rgb for index in group for rgb in pictures[index]], fps, codec=codec,
                        skip=skip)
    path = folder / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(listed), path)
    tasks = {'task_index': [0, 1], '__index_level_0__': ['task 0', 'task 1']}   # as pandas does
    parquet.write_table(pa.table(tasks), folder / 'meta' / 'tasks.parquet')


def _lines(path: Path, values: list[dict]) -> None:
    path.write_text(''.join(json.dumps(value) + '\n' for value in values))
