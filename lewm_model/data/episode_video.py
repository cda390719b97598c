"""One episode as a video to look at: the frames, and beside them the actions as bars."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
from lewm_model.data.data_checks import action_names
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, MissingPackageError, without_path
import numpy as np

_VIEW, _PANEL = 480, 400            # px
_INK, _FAINT, _BLUE, _RED = (30, 30, 30), (205, 205, 205), (33, 102, 172), (178, 24, 43)
_MAX_BARS = 14
_DEFAULT_FPS = 10                   # where the set does not say its control step


def write_episode_video(file: EpisodeFile, episode: int, path: str | Path) -> None:
    """Write an episode as MP4, in real time.

    Args:
        file: The data set.
        episode: Its number, in [0, num_episodes).
        path: The video; the name must end in .mp4.

    Raises:
        DatasetError: If there is no such episode, or the file cannot be written.
        MissingPackageError: If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackageError('av', 'video', 'writing a video of an episode') from error
    path = Path(path)
    if path.suffix != '.mp4':
        raise DatasetError(f'cannot write video {path}: the name must end in .mp4')
    if not 0 <= episode < file.num_episodes:
        raise DatasetError(f'{file.path} has episodes 0 to {file.num_episodes - 1}, not '
                           f'{episode}')
    rate = Fraction(1 / (file.control_dt_s or 1 / _DEFAULT_FPS)).limit_denominator(1001)
    try:
        with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
            stream = container.add_stream('libx264', rate=rate,
                                          options={'crf': '20', 'preset': 'veryfast'})
            stream.width, stream.height = _VIEW + _PANEL, _VIEW
            stream.pix_fmt = 'yuv420p'
            for picture in draw_episode(file, episode):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
            container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as error:
        raise DatasetError(f'cannot write video {path}: {without_path(error)}') from error


def draw_episode(file: EpisodeFile, episode: int) -> Iterator[np.ndarray]:
    """Draw one picture per row, uint8 (480, 880, 3)."""
    offset, length = int(file.ep_offset[episode]), int(file.ep_len[episode])
    names = action_names(file)
    low, high = (np.asarray(file.attributes[key], dtype=float) if key in file.attributes else
                 reduce(file.action, axis=0).astype(float)
                 for key, reduce in (('action_min', np.fmin.reduce),
                                     ('action_max', np.fmax.reduce)))
    for step in range(length):
        picture = np.full((_VIEW, _VIEW + _PANEL, 3), 255, dtype=np.uint8)
        rgb = np.asarray(file.pixels[offset + step])
        enlarge = cv2.INTER_NEAREST if rgb.shape[0] <= _VIEW else cv2.INTER_AREA
        picture[:, :_VIEW] = cv2.resize(rgb, (_VIEW, _VIEW), interpolation=enlarge)
        seconds = f'   {step * file.control_dt_s:.2f} s' if file.control_dt_s else ''
        _write(picture, f'episode {episode}   row {step} of {length}{seconds}', 26)
        _bars(picture, names, file.action[offset + step], low, high)
        yield picture


def _bars(picture: np.ndarray, names: list[str], action: np.ndarray, low: np.ndarray,
          high: np.ndarray) -> None:
    left, right = _VIEW + 20, _VIEW + _PANEL - 20
    shown = min(len(names), _MAX_BARS)
    pitch = min(58, (_VIEW - 60) // shown)
    for axis in range(shown):
        top = 48 + axis * pitch
        value, span = float(action[axis]), max(float(high[axis] - low[axis]), 1e-12)
        bar = slice(top + pitch // 2, top + pitch - 4)
        picture[bar, left:right] = _FAINT

        def place(number: float, axis: int = axis, span: float = span) -> int:
            share = np.clip((number - float(low[axis])) / span, 0, 1)
            return left + int(round(share * (right - left)))

        if np.isfinite(value):
            start, end = sorted((place(0.0), place(value)))
            outside = not low[axis] - 1e-6 <= value <= high[axis] + 1e-6
            picture[bar, start:max(end, start + 2)] = _RED if outside else _BLUE
        text = f'{value:+.3f}' if np.isfinite(value) else 'none'
        _write(picture, f'{names[axis][:22]}  {text}', top + pitch // 2 - 5)
    if len(names) > shown:
        _write(picture, f'and {len(names) - shown} more actions', _VIEW - 8)


def _write(picture: Any, text: str, bottom: int) -> None:
    ascii_text = text.encode('ascii', 'replace').decode()   # all that OpenCV can draw
    cv2.putText(picture, ascii_text, (_VIEW + 20, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.48, _INK,
                1, cv2.LINE_AA)
