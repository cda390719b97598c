"""Raw pictures, as in `sensor_msgs/Image`, to rgb uint8: every colour encoding of ROS.

Depth is refused: millimetres are no colours. 16-bit channels become 8 bits by one stated rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
from lewm_model.errors import ImageError
from lewm_model.images.headers import check_size
import numpy as np

FULL_SCALE = 65535  # the 16-bit value that is white, unless the caller knows better


@dataclass(frozen=True)
class _Layout:
    """How rows of one encoding are read."""

    channels: int              # values per pixel
    bytes_per_value: int
    conversion: int | None     # of OpenCV, to rgb
    least: int = 1             # smallest height and width [px]
    width_divisor: int = 1     # pixels that share colour


# name: (values per pixel, conversion). OpenCV names a Bayer pattern after the second row, second
# and third pixel, ROS after the first two of each of the first rows.
_COLOURS = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
}
_BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg': cv2.COLOR_BayerGB2RGB,
}
_UYVY = _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY, width_divisor=2)
_YUYV = _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2, width_divisor=2)
_LAYOUTS = {
    **{f'{name}{8 * size}': _Layout(channels, size, conversion)
       for name, (channels, conversion) in _COLOURS.items() for size in (1, 2)},
    # OpenCV interpolates between neighbours on both sides and leaves smaller mosaics black.
    **{f'{name}{8 * size}': _Layout(1, size, conversion, least=3)
       for name, conversion in _BAYER.items() for size in (1, 2)},
    'yuv422': _UYVY, 'uyvy': _UYVY, 'yuv422_yuy2': _YUYV, 'yuyv': _YUYV,
}
_TWO_PLANES = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21, 'nv24': None}
ENCODINGS = (*_LAYOUTS, *_TWO_PLANES)
DEPTH_ENCODINGS = ('16UC1', '32FC1')
_NAMELESS = {'8UC1': 1, '8UC2': 2, '8UC3': 3, '8UC4': 4}  # values per pixel, of no stated colour


def to_rgb(encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any, *,
           assume_encoding: str = '', full_scale: int = FULL_SCALE) -> np.ndarray:
    """Turn the fields of a raw image message into rgb.

    YUV is BT.601 with black at 16 and white at 235, as cameras send it. A 16-bit value v becomes
    round(255 * v / full_scale), with the default as in cv_bridge.

    Args:
        encoding: One of `ENCODINGS`, or '8UC1' (read as grey), or '8UC2' to '8UC4' together
            with `assume_encoding`.
        height: Rows [px].
        width: Columns [px].
        step: Bytes from one row to the next; padding is skipped. Of the brightness plane in
            nv12, nv21 and nv24; the rows of colours follow, in nv24 they are twice as long.
        is_bigendian: Byte order of 16-bit values.
        data: Bytes, or a uint8 array.
        assume_encoding: What 8UC1 to 8UC4 mean, as they name no colours.
        full_scale: The 16-bit value that is white, [1, 65535]: 4095 for a 12-bit camera that
            does not shift its values up.

    Returns:
        rgb, uint8 (H, W, 3), contiguous and independent of `data`.

    Raises:
        ImageError: Unknown encoding, depth, sizes that contradict each other, or values above
            `full_scale`.
    """
    encoding = _meaning(encoding, assume_encoding)
    check_size(height, width)
    if encoding in _TWO_PLANES:
        return _two_planes(encoding, height, width, step, _buffer(data))
    layout = _LAYOUTS[encoding]
    if min(height, width) < layout.least or width % layout.width_divisor:
        raise ImageError(f'image of {width}x{height} does not fit {encoding}, which needs at '
                         f'least {layout.least}x{layout.least} pixels and a width that is a '
                         f'multiple of {layout.width_divisor}')
    row_bytes = width * layout.channels * layout.bytes_per_value
    pixels = _rows(_buffer(data), height, step, row_bytes, f'width={width} in {encoding}')
    if layout.bytes_per_value == 2:
        # Rows were copied, so that an odd step does not matter.
        pixels = np.ascontiguousarray(pixels).view('>u2' if is_bigendian else '<u2')
        pixels = pixels.astype(np.uint16, copy=False)
    pixels = pixels.reshape(height, width, layout.channels)
    if layout.conversion is None:
        rgb = np.array(pixels)
    else:
        rgb = cv2.cvtColor(np.ascontiguousarray(pixels), layout.conversion)
    return to_8_bits(rgb, full_scale)


def to_8_bits(pixels: np.ndarray, full_scale: int = FULL_SCALE) -> np.ndarray:
    """Scale 16-bit values to [0, 255]; 8-bit ones are returned as they are.

    Args:
        pixels: uint8 or uint16 (H, W, 3).
        full_scale: The 16-bit value that is white, [1, 65535].

    Raises:
        ImageError: A value is above `full_scale`, or that is out of range.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if not 1 <= full_scale <= FULL_SCALE:
        raise ImageError(f'full_scale must be in [1, {FULL_SCALE}], got {full_scale}')
    if full_scale < FULL_SCALE and pixels.max() > full_scale:
        raise ImageError(f'image has the 16-bit value {pixels.max()}, above '
                         f'full_scale={full_scale}; set it to what is white for this camera')
    return cv2.convertScaleAbs(pixels, alpha=255 / full_scale)


def is_mosaic(encoding: str) -> bool:
    """Return whether this is a Bayer encoding: one colour per pixel."""
    return encoding in _LAYOUTS and encoding.startswith('bayer_')


def refuse_depth(encoding: str) -> None:
    """Raise for encodings of distances.

    Raises:
        ImageError: With the reason.
    """
    if encoding in DEPTH_ENCODINGS:
        raise ImageError(f'image encoding {encoding!r} holds depth, not colours, and is not '
                         f'used as a picture; name the topic of the colour camera')


def _meaning(encoding: str, assumed: str) -> str:
    """Return the encoding to decode, one of `ENCODINGS`."""
    refuse_depth(encoding)
    if encoding in ENCODINGS:
        return encoding
    if encoding not in _NAMELESS:
        raise ImageError(f'image encoding {encoding!r} is not supported; let the camera driver '
                         f'publish one of {", ".join(ENCODINGS)}')
    channels = _NAMELESS[encoding]
    assumed = assumed or ('mono8' if channels == 1 else '')
    fitting = [name for name, layout in _LAYOUTS.items()
               if layout.channels == channels and layout.bytes_per_value == 1]
    if assumed not in fitting:
        raise ImageError(f'image encoding {encoding!r} does not say which colours it holds; set '
                         f'assume_encoding to one of {", ".join(fitting)}, got {assumed!r}')
    return assumed


def _buffer(data: Any) -> np.ndarray:
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    return np.frombuffer(data, dtype=np.uint8)


def _rows(buffer: np.ndarray, rows: int, step: int, row_bytes: int, what: str) -> np.ndarray:
    """Return the used bytes of each row, a view (rows, row_bytes)."""
    if step < row_bytes:
        raise ImageError(f'image step {step} is too small for {what} ({row_bytes} bytes a row)')
    if buffer.size < step * rows:
        raise ImageError(f'image data is cut short: {buffer.size} bytes, but step={step} times '
                         f'height={rows} is {step * rows}')
    return buffer[:step * rows].reshape(rows, step)[:, :row_bytes]


def _two_planes(encoding: str, height: int, width: int, step: int,
                buffer: np.ndarray) -> np.ndarray:
    """Decode a plane of brightness followed by one of colour pairs."""
    luma = _rows(buffer, height, step, width, f'width={width} in {encoding}')
    rest = buffer[step * height:]
    if encoding == 'nv24':  # a pair for each pixel: rows of Y U Y V, each pixel written twice
        pairs = _rows(rest, height, 2 * step, 2 * width, f'the colours of {encoding}')
        packed = np.stack([np.repeat(luma, 2, axis=1), pairs], axis=-1)
        return np.ascontiguousarray(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUY2)[:, ::2])
    if height % 2 or width % 2:
        raise ImageError(f'image of {width}x{height} does not fit {encoding}: height and width '
                         f'must be even')
    pairs = _rows(rest, height // 2, step, width, f'the colours of {encoding}')
    return cv2.cvtColor(np.concatenate([luma, pairs]), _TWO_PLANES[encoding])
