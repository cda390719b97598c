"""From a camera message to rgb: our decoder, or cv_bridge where it is installed; and its facts.

Ours is the default because it is the one that turns bags into training data, needs no ROS
distribution, decodes a JPEG only as large as needed, and says what is wrong with a picture. With
cv_bridge a robot sees as its other nodes see; a test holds both equal where cv_bridge is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import importlib
from typing import Any

from lewm_model.errors import ConfigError, ImageError
from lewm_model.images.decode import decode_compressed, to_rgb
from lewm_model.images.headers import read_header
from lewm_ros.wire.stamps import header
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

OURS, CV_BRIDGE = 'ours', 'cv_bridge'
DECODERS = (OURS, CV_BRIDGE)

# message, height and width that are enough, colours of a message that names none -> rgb
Decoder = Callable[[Image | CompressedImage, tuple[int, int] | None, str], np.ndarray]


def stamped(message: Image | CompressedImage, stamp_ns: int) -> Image | CompressedImage:
    """Set the stamp of a message, of a camera whose clock is the time of receipt."""
    message.header = header(stamp_ns, message.header.frame_id)
    return message


def same_picture(one: Image | CompressedImage, other: Image | CompressedImage) -> bool:
    """Tell whether two messages hold the same bytes; those of a real camera differ soon."""
    if len(one.data) != len(other.data):
        return False
    first, second = np.frombuffer(one.data, np.uint8), np.frombuffer(other.data, np.uint8)
    return np.array_equal(first[:4096], second[:4096]) and np.array_equal(first, second)


def same_pictures(some: Sequence[Image | CompressedImage],
                  others: Sequence[Image | CompressedImage]) -> bool:
    """Tell whether each camera sent the same bytes, whatever the stamps are."""
    return all(map(same_picture, some, others))


def info_size(info: CameraInfo) -> tuple[int, int]:
    """Return width and height of the pictures that a CameraInfo describes [px]."""
    return info.width, info.height


def picture_size(message: Image | CompressedImage) -> tuple[int, int]:
    """Return width and height [px] without decoding.

    Raises:
        ImageError: If a compressed picture is none.
    """
    if isinstance(message, CompressedImage):
        header = read_header(bytes(message.data), message.format)
        return header.width, header.height
    return message.width, message.height


def decode(message: Image | CompressedImage, at_least: tuple[int, int] | None = None,
           assume_encoding: str = '') -> np.ndarray:
    """Decode a message with our decoder, uint8 (H, W, 3).

    Args:
        message: From the camera.
        at_least: A JPEG may come out at a part of its size if height and width stay this long.
        assume_encoding: Of the robot description: the colours of a message that names none.

    Raises:
        ImageError: If the encoding is unknown or the data does not fit the header.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format, at_least=at_least)
    return to_rgb(message.encoding, message.height, message.width, message.step,
                  bool(message.is_bigendian), memoryview(message.data),
                  assume_encoding=assume_encoding)


def decoder_named(name: str) -> Decoder:
    """Return the decoder of this name.

    Raises:
        ConfigError: If there is none, or cv_bridge is not installed.
    """
    if name == OURS:
        return decode
    if name != CV_BRIDGE:
        raise ConfigError(f'image_decoder must be one of {", ".join(DECODERS)}, got {name!r}')
    try:
        module = importlib.import_module('cv_bridge')
        bridge = module.CvBridge()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'image_decoder is cv_bridge, which is not installed ({error}); install '
                          f'it (apt install ros-$ROS_DISTRO-cv-bridge), or set image_decoder: '
                          f'{OURS}') from error
    return lambda message, at_least=None, assume_encoding='': _by_bridge(
        bridge, message, assume_encoding)


def _by_bridge(bridge: Any, message: Image | CompressedImage, assume_encoding: str) -> np.ndarray:
    try:
        if isinstance(message, CompressedImage):
            return np.asarray(bridge.compressed_imgmsg_to_cv2(message, 'rgb8'))
        if assume_encoding and message.encoding in ('8UC2', '8UC3', '8UC4'):
            message.encoding = assume_encoding
        return np.asarray(bridge.imgmsg_to_cv2(message, 'rgb8'))
    except Exception as error:   # of several kinds, by version and encoding
        raise ImageError(f'cv_bridge cannot decode the picture: {error}') from error
