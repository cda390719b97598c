"""Wait for a camera frame that was captured after somebody asked for it."""

from __future__ import annotations

from lewm_model.errors import ImageError
from lewm_model.robot import RobotDescription
from lewm_ros.node.entities import Entities
from lewm_ros.node.plain import PlainNode
from lewm_ros.wire import qos
from lewm_ros.wire.pictures import image_message_type
from lewm_ros.wire.stamps import header_stamp_ns
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image

TIMEOUT_S = 2.0         # where the caller gives none
MAX_TIMEOUT_S = 60.0


def patience_s(asked_s: float) -> float:
    """Return how long to wait for a frame, in (0, 60] s; without a sensible wish 2 s."""
    return min(asked_s, MAX_TIMEOUT_S) if asked_s > 0 else TIMEOUT_S   # NaN is not positive


class Capture:
    """Reads the camera while somebody waits for a frame, and only then.

    Args:
        node: Owner of the subscription, and its clock.
        robot: Its camera.
    """

    def __init__(self, node: PlainNode, robot: RobotDescription) -> None:
        self._node, self._robot = node, robot
        self._camera: Entities | None = None
        self._waiting: list[tuple[int, Future]] = []         # (frames newer than this, future)

    async def next_frame(self, timeout_s: float) -> Image | CompressedImage:
        """Wait for a frame captured after this call; callbacks go on meanwhile.

        Raises:
            ImageError: If none has come in time.
        """
        node = self._node
        future = Future(executor=node.executor)
        entry = (node.get_clock().now().nanoseconds, future)
        self._waiting.append(entry)
        if self._camera is None:
            self._camera = Entities(node, node.guard)
            self._camera.subscription(
                image_message_type(self._robot.image_topic, self._robot.image_type),
                self._robot.image_topic, self._on_image, qos.IMAGE)
        # the steady clock also ends it when sim time stands still
        timer = node.create_timer(timeout_s, lambda: future.done() or future.set_result(None),
                                  clock=node.steady)
        message = await future
        node.destroy_timer(timer)
        self._waiting.remove(entry)
        if not self._waiting:
            self._camera.withdraw()
            self._camera = None
        if message is None:
            raise ImageError(
                f'no frame newer than the call came on {self._robot.image_topic!r} within '
                f'{timeout_s:g} s; is the camera running, do the clocks agree?')
        return message

    def _on_image(self, message: Image | CompressedImage) -> None:
        stamp_ns = header_stamp_ns(message)
        for newer_than_ns, future in self._waiting:
            if stamp_ns > newer_than_ns and not future.done():
                future.set_result(message)
