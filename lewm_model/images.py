"""Pictures to rgb uint8, the same online and offline. NumPy and OpenCV only, no torch, no ROS.

The arguments are the plain fields of `sensor_msgs/Image` and `sensor_msgs/CompressedImage`, so
live messages, bags and files end in one decoder. Normalisation is `lewm_model.preprocess`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from lewm_model.errors import ImageError
import numpy as np

# encoding: (channels per pixel, cv2 conversion to rgb). OpenCV names a Bayer pattern after the
# second row, second and third pixel, ROS after the first two of the first row.
_RAW = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}
ENCODINGS = tuple(_RAW)
_JPEG_START, _JPEG_END, _PNG_START = b'\xff\xd8\xff', b'\xff\xd9', b'\x89PNG\r\n\x1a\n'


def to_rgb(encoding: str, height: int, width: int, step: int, is_bigendian: bool,
           data: Any) -> np.ndarray:
    """Turn the fields of a raw image message into rgb.

    Args:
        encoding: One of `ENCODINGS`.
        height: Rows [px].
        width: Columns [px].
        step: Bytes from one row to the next, at least width times channels; padding is skipped.
        is_bigendian: Ignored, every supported encoding has one byte per channel.
        data: Bytes, or a uint8 array, of at least step * height.

    Returns:
        rgb, uint8 (H, W, 3), contiguous and independent of `data`.

    Raises:
        ImageError: Unknown encoding, or sizes that contradict each other.
    """
    if encoding not in _RAW:
        raise ImageError(f'image encoding {encoding!r} is not supported; let the camera driver '
                         f'publish one of {", ".join(ENCODINGS)}')
    channels, conversion = _RAW[encoding]
    if height < 1 or width < 1:
        raise ImageError(f'image is empty: height={height}, width={width}')
    if step < width * channels:
        raise ImageError(f'image step {step} is too small for width={width} in {encoding} '
                         f'({width * channels} bytes a row)')
    buffer = (np.ascontiguousarray(data).view(np.uint8).reshape(-1)
              if isinstance(data, np.ndarray) else np.frombuffer(data, dtype=np.uint8))
    if buffer.size < step * height:
        raise ImageError(f'image data is cut short: {buffer.size} bytes, but step={step} times '
                         f'height={height} is {step * height}')
    rows = buffer[:step * height].reshape(height, step)[:, :width * channels]
    pixels = rows.reshape(height, width, channels)
    if conversion is None:
        return np.array(pixels)
    if channels == 1 and encoding != 'mono8' and min(height, width) < 2:
        raise ImageError(f'image of {height}x{width} is too small for {encoding}')
    return cv2.cvtColor(np.ascontiguousarray(pixels), conversion)


def decode_compressed(data: Any, image_format: str = '') -> np.ndarray:
    """Turn a JPEG or PNG, as in `sensor_msgs/CompressedImage`, into rgb.

    What counts is the content, not the text: drivers write 'jpeg', 'rgb8; jpeg compressed bgr8'
    and more. An orientation tag is ignored, as raw images have none.

    Args:
        data: The file's bytes, or a uint8 array of them.
        image_format: The message's `format`, for error messages.

    Returns:
        rgb, uint8 (H, W, 3).

    Raises:
        ImageError: Another format, or damaged data.
    """
    content = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
    if content.startswith(_JPEG_START):
        # libjpeg fills what is missing with grey; a model must not learn from that.
        complete = content.rfind(_JPEG_END) > 0
    elif content.startswith(_PNG_START):
        complete = True
    else:
        raise ImageError(f'compressed image of format {image_format!r} is neither JPEG nor PNG '
                         f'({len(content)} bytes, first {content[:4].hex(" ") or "none"})')
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags) if complete else None
    except cv2.error as error:
        raise ImageError(f'compressed image cannot be decoded: {error}') from error
    if bgr is None:
        raise ImageError(f'compressed image of {len(content)} bytes is damaged or cut short')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def resize_square(rgb: np.ndarray, size: int) -> np.ndarray:
    """Scale a picture to size x size; the only definition, for training and for the live robot.

    The whole view is kept: other aspect ratios are squeezed, not cropped, because what the
    robot reaches for may be at the border. Area interpolation where the picture shrinks.

    Args:
        rgb: uint8 (H, W, 3).
        size: Height and width of the result [px].

    Returns:
        uint8 (size, size, 3); `rgb` itself if it has that size already.

    Raises:
        ImageError: If `rgb` is not uint8 (H, W, 3).
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ImageError(f'a picture must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
    if rgb.shape[:2] == (size, size):
        return rgb
    shrinks = min(rgb.shape[:2]) >= size
    return cv2.resize(rgb, (size, size),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read_image(path: str | Path) -> np.ndarray:
    """Read a JPEG or PNG file as rgb, uint8 (H, W, 3).

    Raises:
        ImageError: If the file is missing, of another format or damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'cannot read picture {path}: {error.strerror}') from error
    try:
        return decode_compressed(content, Path(path).suffix)
    except ImageError as error:
        raise ImageError(f'{path}: {error}') from error


def write_image(path: str | Path, rgb: np.ndarray) -> None:
    """Write rgb, uint8 (H, W, 3), as PNG or JPEG after the suffix of `path`.

    Raises:
        ImageError: If the suffix is unknown or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ('.png', '.jpg', '.jpeg'):
        raise ImageError(f'cannot write picture {path}: the name must end in .png or .jpg')
    _, content = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    try:
        Path(path).write_bytes(content.tobytes())
    except OSError as error:
        raise ImageError(f'cannot write picture {path}: {error.strerror}') from error
