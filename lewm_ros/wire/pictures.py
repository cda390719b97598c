"""Camera messages and pictures; nobody else touches their fields."""

from __future__ import annotations

import math

from lewm_model.errors import ImageError
from lewm_model.images import decode
from lewm_model.robots.robot import COMPRESSED_IMAGE
from lewm_model.types import Observation
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image


def image_message_type(topic: str, image_type: str = '') -> type[Image] | type[CompressedImage]:
    """Return the class of a camera's messages.

    Args:
        topic: Camera topic; without a type its suffix decides, as image_transport names topics.
        image_type: Of the robot description; '' if it names none.
    """
    compressed = image_type == COMPRESSED_IMAGE if image_type else topic.endswith('/compressed')
    return CompressedImage if compressed else Image


def image_to_rgb(message: Image | CompressedImage, size: int | None = None,
                 assume_encoding: str = '') -> np.ndarray:
    """Decode a raw or compressed image message to RGB, uint8 (H, W, 3).

    The decoder is the one that turns bags into training data, also where cv_bridge is installed:
    a model must see the live camera as it saw the recorded one. A test compares both.

    Args:
        message: From the camera.
        size: Height and width that the model was trained on [px]; None: as it was captured.
        assume_encoding: Of the robot description: the colours of a message that names none.

    Raises:
        ImageError: If the encoding is unknown or the data does not fit the header.
    """
    if isinstance(message, CompressedImage):
        return decode.square_from_compressed(message.data, message.format, size=size)
    return decode.square_from_raw(message.encoding, message.height, message.width, message.step,
                                  bool(message.is_bigendian), memoryview(message.data), size=size,
                                  assume_encoding=assume_encoding)


def rgb_to_image(rgb: np.ndarray, stamp_ns: int, frame_id: str = '') -> Image:
    """Build an rgb8 image message from uint8 (H, W, 3)."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f'an RGB picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
    message = Image(header=header(stamp_ns, frame_id), height=rgb.shape[0], width=rgb.shape[1],
                    encoding='rgb8', is_bigendian=0, step=rgb.shape[1] * 3)
    # the setter copies bytes element by element unless it is given an array.array
    message.data.frombytes(np.ascontiguousarray(rgb).tobytes())
    return message


def jpeg_to_image(content: bytes, stamp_ns: int, frame_id: str = '') -> CompressedImage:
    """Build a compressed image message from the bytes of a JPEG file."""
    message = CompressedImage(header=header(stamp_ns, frame_id), format='jpeg')
    message.data.frombytes(content)
    return message


def image_to_observation(message: Image | CompressedImage, proprio: np.ndarray | None = None, *,
                         size: int | None = None, assume_encoding: str = '') -> Observation:
    """Return the observation of one camera message; the stamp is the capture time.

    `size` and `assume_encoding` are those of `image_to_rgb`.
    """
    return Observation(stamp_ns=header_stamp_ns(message),
                       rgb=image_to_rgb(message, size, assume_encoding), proprio=proprio)


def camera_info_to_msg(stamp_ns: int, frame_id: str, *, height: int, width: int,
                       fovy_rad: float) -> CameraInfo:
    """Build the description of an ideal pinhole camera with square pixels."""
    focal = 0.5 * height / math.tan(0.5 * fovy_rad)  # [px]
    cx, cy = 0.5 * width, 0.5 * height
    return CameraInfo(
        header=header(stamp_ns, frame_id), height=height, width=width,
        distortion_model='plumb_bob', d=[0.0] * 5,
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0])
