"""Frames of a video at given times, exact to the frame, in one pass and one frame of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lewm_model.errors import DatasetError, MissingPackageError, without_path
from lewm_model.images.headers import MAX_PIXELS
import numpy as np

_TOLERANCE = 0.25    # of a frame: nearer to this frame than to any other


def import_av() -> Any:
    """Return PyAV, or say how to install it."""
    try:
        import av
    except ImportError as error:
        raise MissingPackageError('av', 'lerobot', 'decoding the videos of a data set') from error
    return av


def frames_at(path: Path, times_s: np.ndarray, fps: float) -> Iterator[np.ndarray]:
    """Decode the frame that is shown at each time.

    Decoding begins at the key frame before the first time. Frames come in the order in which they
    are shown, whatever the order in which they are stored, and are told apart by their stamps,
    never by counting.

    Args:
        path: The video.
        times_s: In increasing order [s], on the clock of the video.
        fps: Frame rate of the data set, which says how near is near enough.

    Yields:
        rgb, uint8 (H, W, 3), one per time.

    Raises:
        DatasetError: If the video is damaged, or has no frame at one of the times.
    """
    av = import_av()
    try:
        with av.open(str(path), metadata_errors='ignore') as container:
            if not container.streams.video:
                raise DatasetError(f'{path} has no video stream')
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DatasetError(f'{path} has a codec that is not known here, or is damaged')
            _require_size(path, stream.codec_context)
            yield from _nearest(path, _decoded(path, container, stream, times_s[0], fps),
                                times_s, fps)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DatasetError(f'{path} cannot be decoded: {without_path(error)}; it is damaged or '
                           f'was not downloaded completely, get it again') from error


def _require_size(path: Path, of: Any) -> None:
    if not 0 < of.width * of.height <= MAX_PIXELS:
        raise DatasetError(f'{path} has frames of {of.width}x{of.height}, at most {MAX_PIXELS} '
                           f'pixels are decoded')


def _decoded(path: Path, container: Any, stream: Any, start_s: float, fps: float
             ) -> Iterator[tuple[float, Any]]:
    """Yield (time [s], frame) from the key frame at or before `start_s` on."""
    def frames() -> Iterator[tuple[float, Any]]:
        for frame in container.decode(stream):
            if frame.pts is None:
                raise DatasetError(f'{path} has a frame without a time stamp')
            if frame.is_corrupt:
                raise DatasetError(f'{path}: the frame at {float(frame.time):.3f} s is damaged')
            _require_size(path, frame)   # which may change on the way
            yield float(frame.pts * stream.time_base), frame

    if start_s > 0:
        container.seek(max(0, int((start_s - 0.5 / fps) / stream.time_base)), stream=stream)
        found = frames()
        first = next(found, None)
        if first is not None and first[0] <= start_s + _TOLERANCE / fps:
            yield first
            yield from found
            return
        container.seek(0, stream=stream)   # some files have an index that leads too far
    yield from frames()


def _nearest(path: Path, frames: Iterator[tuple[float, Any]], times_s: np.ndarray, fps: float
             ) -> Iterator[np.ndarray]:
    before: tuple[float, Any] | None = None
    after = next(frames, None)
    for time_s in times_s.tolist():
        while after is not None and after[0] < time_s:
            before, after = after, next(frames, None)
        near = [one for one in (before, after) if one is not None]
        best = min(near, key=lambda one: abs(one[0] - time_s), default=None)
        if best is None or abs(best[0] - time_s) > _TOLERANCE / fps:
            there = f'the nearest is at {best[0]:.4f} s' if best else 'it has no frames'
            raise DatasetError(f'{path} has no frame at {time_s:.4f} s, {there}; video and rows '
                               f'of this data set do not fit')
        yield best[1].to_ndarray(format='rgb24')
