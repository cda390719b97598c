"""The cameras in a robot file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lewm_model.errors import ConfigError
from lewm_model.images.tiles import Crop, MAX_CAMERAS, parse_crop, WHOLE

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
CLOCKS = ('header', 'receive')


@dataclass(frozen=True)
class Camera:
    """One camera of a robot: where its pictures are, and which part of them the model sees."""

    topic: str
    type: str = ''          # one of IMAGE_TYPES; '': as the topic's suffix says, as recorded
    crop: Crop = WHOLE      # [left, top, width, height] as shares of the picture
    info_topic: str = ''    # sensor_msgs/CameraInfo; '' if there is none
    clock: str = ''         # 'header' or 'receive'; '': as `clocks.image` of the robot

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != 'crop' and not (isinstance(value, str)
                                           and (value or one.name != 'topic')):
                raise ConfigError(f'{one.name} of a camera must be a text, got {value!r}')
        if self.type and self.type not in IMAGE_TYPES:
            raise ConfigError(f'type of camera {self.topic!r} must be one of '
                              f'{", ".join(IMAGE_TYPES)}, got {self.type!r}')
        if self.clock and self.clock not in CLOCKS:
            raise ConfigError(f'clock of camera {self.topic!r} must be one of '
                              f'{", ".join(CLOCKS)}, got {self.clock!r}')
        object.__setattr__(self, 'crop', parse_crop(self.crop))

    @property
    def live_type(self) -> str:
        """The type that nodes subscribe to: as given, or by the name of the topic."""
        return self.type or (COMPRESSED_IMAGE if self.topic.endswith('/compressed') else IMAGE)

    @property
    def compressed(self) -> bool:
        """Whether its messages are CompressedImage, by type or by the name of the topic."""
        return self.live_type == COMPRESSED_IMAGE


def parse_cameras(value: Any) -> tuple[Camera, ...]:
    """Read the `cameras` list of a robot file.

    Raises:
        ConfigError: Says what is wrong, and what a camera has.
    """
    if not isinstance(value, (list, tuple)) or len(value) > MAX_CAMERAS:
        raise ConfigError(f'cameras must be a list of 1 to {MAX_CAMERAS} cameras, got {value!r}')
    known = [one.name for one in fields(Camera)]
    cameras = []
    for one in value:
        if isinstance(one, Mapping):
            if 'topic' not in one or not set(one) <= set(known):
                raise ConfigError(f'a camera has topic and perhaps {", ".join(known[1:])}, got '
                                  f'{dict(one)!r}')
            one = Camera(**one)
        if not isinstance(one, Camera):
            raise ConfigError(f'a camera has {", ".join(known)}, got {one!r}')
        cameras.append(one)
    topics = [camera.topic.strip('/') for camera in cameras]
    if len(set(topics)) != len(topics):
        raise ConfigError(f'cameras must have different topics, got {", ".join(topics)}')
    return tuple(cameras)
