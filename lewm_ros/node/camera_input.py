"""The cameras of a robot as one stream: read as they are offered, joined by stamps, watched.

What a node does with the pictures is its own; here is what every node needs to know of them:
that they come, how often, and why not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time

from lewm_model.errors import LewmError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.node.entities import Entities
from lewm_ros.node.frame_joiner import FrameJoiner
from lewm_ros.node.readers import SILENT_S
from lewm_ros.wire.decoders import info_size, picture_size, same_picture, stamped
from lewm_ros.wire.pictures import image_message_type
from lewm_ros.wire.stamps import header_stamp_ns
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

Frame = Image | CompressedImage

# Frames that may wait for the executor. One is enough to plan on, but each is answered, and a
# busy thread must not cost answers; more than a few would only be old.
_DEPTH = 4
FROZEN_S = 2.0       # the same bytes for so long are said; cameras have noise
_RATE_OVER = 30      # frames over which the rate is measured


class CameraInput:
    """Subscribes to the cameras of a robot and hands over what belongs together.

    Args:
        node: Whose clock stamps frames of cameras without one (`clock: receive`).
        entities: Own the subscriptions.
        robot: Its cameras.
        on_frames: Gets one message of each camera, in the order of the robot file; the stamp of
            the first is the time of all.

    Attributes:
        stamp_ns: Of the newest frames that were handed over; 0: none yet.
    """

    def __init__(self, node: Node, entities: Entities, robot: RobotDescription,
                 on_frames: Callable[[tuple[Frame, ...]], None]) -> None:
        self._node, self._robot, self._on_frames = node, robot, on_frames
        cameras = robot.all_cameras
        self._joiner = FrameJoiner(len(cameras), robot.control_dt_ns // 2)
        self._watches = [_Watch() for _ in cameras]
        self._joined_s = time.monotonic()
        self.stamp_ns = 0
        self._infos: dict[int, CameraInfo] = {}
        self._readers = [entities.stream(
            image_message_type(camera.topic, camera.type), camera.topic,
            self._receiver(place), depth=_DEPTH) for place, camera in enumerate(cameras)]
        for place, camera in enumerate(cameras):
            if camera.info_topic:
                entities.stream(CameraInfo, camera.info_topic, self._info_receiver(place), depth=1)

    def silence(self, patience_s: float = SILENT_S) -> str:
        """Say why no frames were handed over for `patience_s`, with the fix; '' if they were."""
        if time.monotonic() - self._joined_s < patience_s:
            return ''
        for reader in self._readers:
            if why := reader.silence(patience_s):
                return f'no camera frames: {why}'
        if len(self._readers) == 1:
            return (f'no camera frames: those on {self._readers[0].topic} cannot be used, see the '
                    f'log')
        return (f'no camera frames: {self._readers[0].topic} has no frame of '
                f'{self._readers[self._joiner.lacking].topic} within '
                f'{self._robot.control_dt_s / 2:g} s of its own; are both stamped by one clock?')

    def frozen(self) -> str:
        """Say that a camera repeats one picture; '' if none does."""
        for watch, reader in zip(self._watches, self._readers, strict=True):
            if watch.frozen_s > FROZEN_S:
                return (f'{reader.topic} has repeated the same picture for over {FROZEN_S:g} s: '
                        f'the driver is frozen, or nothing moves in a simulation')
        return ''

    def warnings(self, misfits: Callable[[int, int, int], str]) -> list[str]:
        """Say what does not fit between pictures, their CameraInfo and the model.

        Args:
            misfits: Judges (camera, width, height), see `Sight.misfits`.
        """
        found = [text] if (text := self.frozen()) else []
        for place, info in self._infos.items():
            topic, frame = self._readers[place].topic, self._watches[place].newest
            said = info_size(info)
            try:
                shown = picture_size(frame) if frame is not None else said
            except LewmError:
                continue            # the planner says why it cannot be read
            if shown != said:
                found.append(f'{topic} has pictures of {shown[0]}x{shown[1]} px, its CameraInfo '
                             f'says {said[0]}x{said[1]} px: it describes another mode')
            elif text := misfits(place, *said):
                found.append(f'{topic}: by its CameraInfo {text}')
        return found

    def values(self) -> dict[str, str]:
        """Return rates and offers for diagnostics."""
        found = {}
        for place, (watch, reader) in enumerate(zip(self._watches, self._readers, strict=True)):
            name = 'camera' if not place else f'camera_{place + 1}'
            found[f'{name}_hz'] = f'{watch.rate_hz():.1f}'
            found[f'{name}_reader'] = reader.profile.reliability.name.lower()
            found[f'{name}_unchanged_s'] = f'{watch.frozen_s:.1f}'
        if len(self._watches) > 1:
            found['incomplete_sets'] = str(self._joiner.incomplete)
        return found

    def _receiver(self, place: int) -> Callable[[Frame], None]:
        receives = self._robot.camera_clock(place) == 'receive'

        def on_image(message: Frame) -> None:
            if receives:
                stamped(message, self._node.get_clock().now().nanoseconds)
            self._watches[place].see(message)
            for frames in self._joiner.add(place, header_stamp_ns(message), message):
                self._joined_s, self.stamp_ns = time.monotonic(), header_stamp_ns(frames[0])
                self._on_frames(frames)
        return on_image

    def _info_receiver(self, place: int) -> Callable[[CameraInfo], None]:
        def on_info(message: CameraInfo) -> None:
            self._infos[place] = message
        return on_info


class _Watch:
    """Rate of one camera, and whether its pictures change."""

    def __init__(self) -> None:
        self.newest: Frame | None = None
        self._arrivals: deque[float] = deque(maxlen=_RATE_OVER)
        self._changed_s = time.monotonic()

    def see(self, message: Frame) -> None:
        now_s, before = time.monotonic(), self.newest
        if before is None or not same_picture(before, message):
            self._changed_s = now_s
        self.newest = message
        self._arrivals.append(now_s)

    @property
    def frozen_s(self) -> float:
        """How long the same picture has come [s]."""
        return max(0.0, self._arrivals[-1] - self._changed_s) if self._arrivals else 0.0

    def rate_hz(self) -> float:
        """Return frames per second, falling while none come."""
        if len(self._arrivals) < 2:
            return 0.0
        return len(self._arrivals) / max(time.monotonic() - self._arrivals[0], 1e-6)
