"""Pictures to rgb uint8, the same online and offline. NumPy and OpenCV only, no torch, no ROS.

The arguments are the plain fields of `sensor_msgs/Image` and `sensor_msgs/CompressedImage`, so
live messages, bags and files end in one decoder, and in one way to the model's square:
`square_from_raw` and `square_from_compressed`. Normalisation is `lewm_model.preprocess`; raw
encodings are `image_encodings`, what is checked before decoding is `image_headers`.
"""

from __future__ import annotations

from pathlib import Path
import sys
from typing import Any

import cv2
from lewm_model.errors import ImageError, without_path
from lewm_model.images.encodings import (
    ENCODINGS,
    FULL_SCALE,
    is_mosaic,
    refuse_depth,
    to_8_bits,
    to_rgb,
)
from lewm_model.images.headers import damaged, MAX_PIXELS, PictureHeader, read_header
import numpy as np

__all__ = ['decode_compressed', 'ENCODINGS', 'MAX_PIXELS', 'read_image', 'resize', 'resize_square',
           'square_from_compressed', 'square_from_raw', 'to_rgb', 'write_image']

_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4,
            2: cv2.IMREAD_REDUCED_COLOR_2}


def square_from_raw(encoding: str, height: int, width: int, step: int, is_bigendian: bool,
                    data: Any, *, size: int | None, assume_encoding: str = '',
                    full_scale: int = FULL_SCALE) -> np.ndarray:
    """Turn a raw image message into the square the model sees.

    Args and errors are those of `to_rgb`, and of `resize_square`; size None leaves the picture
    as it is.

    Returns:
        rgb, uint8 (size, size, 3).
    """
    rgb = to_rgb(encoding, height, width, step, is_bigendian, data,
                 assume_encoding=assume_encoding, full_scale=full_scale)
    return rgb if size is None else resize_square(rgb, size)


def square_from_compressed(data: Any, image_format: str = '', *, size: int | None,
                           full_scale: int = FULL_SCALE,
                           header: PictureHeader | None = None) -> np.ndarray:
    """Turn a compressed image message into the square the model sees.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side stays at least
    `size`: most of the work of decoding is then never done. That is not bit for bit the full
    decoding resized, so training and the live robot must both come here.

    Args and errors are those of `decode_compressed`, and of `resize_square`; size None leaves
    the picture as it is.

    Returns:
        rgb, uint8 (size, size, 3).
    """
    rgb = decode_compressed(data, image_format, at_least=None if size is None else (size, size),
                            full_scale=full_scale, header=header)
    return rgb if size is None else resize_square(rgb, size)


def decode_compressed(data: Any, image_format: str = '', *,
                      at_least: tuple[int, int] | None = None, full_scale: int = FULL_SCALE,
                      header: PictureHeader | None = None) -> np.ndarray:
    """Turn a JPEG, PNG or WebP, as in `sensor_msgs/CompressedImage`, into rgb.

    What counts is the content, not the text: drivers write 'jpeg', 'rgb8; jpeg compressed bgr8'
    and more. The text tells only what content cannot: that grey values are depth, or a Bayer
    mosaic. An orientation tag is ignored, as raw images have none.

    Args:
        data: The file's bytes, or a uint8 array of them.
        image_format: The message's `format`.
        at_least: A JPEG may come out at 1/2, 1/4 or 1/8 if height and width stay this long
            [px]; None: full size.
        full_scale: The 16-bit value that is white, of a 16-bit PNG; see `to_rgb`.
        header: What `read_header` said of this data; None: it is read here.

    Returns:
        rgb, uint8 (H, W, 3).

    Raises:
        ImageError: Depth, another format, too many pixels, or damaged data.
    """
    source, _, rest = (part.strip() for part in image_format.partition(';'))
    if 'compressedDepth' in image_format:
        raise ImageError(f'compressed image of format {image_format!r} holds depth, not colours; '
                         f'name the compressed topic of the colour camera')
    refuse_depth(source)
    content = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
    header = header or read_header(content, image_format)
    # image_transport converts colours before it compresses and then names them last; a mosaic
    # without such a name went in as it was.
    mosaic = header.is_grey and is_mosaic(source) and rest.endswith('compressed')
    if mosaic:
        flags, shrink = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, 1
    else:
        shrink = _shrink(header.height, header.width, at_least) if header.kind == 'jpeg' else 1
        flags = _REDUCED.get(shrink, cv2.IMREAD_COLOR)
        if header.bits == 16:
            flags |= cv2.IMREAD_ANYDEPTH
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8),
                              flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise damaged(content, f'OpenCV says {error.err}') from error
    expected = (-(-header.height // shrink), -(-header.width // shrink))
    if pixels is None or pixels.shape[:2] != expected:
        raise damaged(content, f'OpenCV cannot decode this {header.kind} of '
                               f'{header.width}x{header.height}')
    if mosaic:
        return to_rgb(f'{source.rstrip("0123456789")}{8 * pixels.itemsize}', *pixels.shape,
                      pixels.strides[0], sys.byteorder == 'big', pixels, full_scale=full_scale)
    return to_8_bits(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), full_scale)


def _shrink(height: int, width: int, at_least: tuple[int, int] | None) -> int:
    """Return the largest divisor that leaves height and width at least this long."""
    if at_least is None:
        return 1
    return next((divisor for divisor in _REDUCED if -(-height // divisor) >= at_least[0]
                 and -(-width // divisor) >= at_least[1]), 1)


def resize_square(rgb: np.ndarray, size: int) -> np.ndarray:
    """Scale a picture to size x size; see `resize`."""
    return resize(rgb, size, size)


def resize(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a picture; the only definition, for training and for the live robot.

    The whole view is kept: other aspect ratios are squeezed, not cropped, because what the
    robot reaches for may be at the border. Area interpolation where the picture shrinks to half
    or less; in between, bilinear is as good (0.07 grey levels on average) and seven times as fast.

    Args:
        rgb: uint8 (H, W, 3).
        height: Of the result [px].
        width: Of the result [px].

    Returns:
        uint8 (height, width, 3); `rgb` itself if it has that size already.

    Raises:
        ImageError: If `rgb` is not uint8 (H, W, 3).
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ImageError(f'a picture must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
    if rgb.shape[:2] == (height, width):
        return rgb
    halves = rgb.shape[0] >= 2 * height or rgb.shape[1] >= 2 * width
    return cv2.resize(rgb, (width, height),
                      interpolation=cv2.INTER_AREA if halves else cv2.INTER_LINEAR)


def read_image(path: str | Path) -> np.ndarray:
    """Read a JPEG, PNG or WebP file as rgb, uint8 (H, W, 3).

    Raises:
        ImageError: If the file is missing, of another format or damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'cannot read picture {path}: {without_path(error)}') from error
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
        raise ImageError(f'cannot write picture {path}: {without_path(error)}') from error
