"""Wait for a frame of each camera that was captured after somebody asked for it."""

from __future__ import annotations

from lewm_model.robots.robot import RobotDescription
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.entities import Entities
from lewm_ros.node.plain import PlainNode
from lewm_ros.node.readers import SILENT_S
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.stamps import header_stamp_ns
from rclpy.task import Future

TIMEOUT_S = 2.0         # where the caller gives none
MAX_TIMEOUT_S = 60.0


def patience_s(asked_s: float) -> float:
    """Return how long to wait for a frame, in (0, 60] s; without a sensible wish 2 s."""
    return min(asked_s, MAX_TIMEOUT_S) if asked_s > 0 else TIMEOUT_S   # NaN is not positive


class Capture:
    """Reads the cameras while somebody waits for a frame, and only then.

    Args:
        node: Owner of the subscriptions, and its clock.
        robot: Its cameras.
    """

    def __init__(self, node: PlainNode, robot: RobotDescription) -> None:
        self._node, self._robot = node, robot
        self._entities = Entities(node, node.guard)
        self._cameras: CameraInput | None = None
        self._waiting: list[tuple[int, Future]] = []         # (frames newer than this, future)

    async def next_frames(self, timeout_s: float) -> tuple[Frame, ...]:
        """Wait for frames captured after this call; callbacks go on meanwhile.

        Raises:
            ReasonedError: NO_FRAME, if none has come in time; says what is missing.
        """
        node = self._node
        future = Future(executor=node.executor)
        entry = (node.get_clock().now().nanoseconds, future)
        self._waiting.append(entry)
        if self._cameras is None:
            self._cameras = CameraInput(node, self._entities, self._robot, self._on_frames)
        # the steady clock also ends it when sim time stands still
        timer = node.create_timer(timeout_s, lambda: future.done() or future.set_result(None),
                                  clock=node.steady)
        frames = await future
        node.destroy_timer(timer)
        self._waiting.remove(entry)
        silence = self._cameras.silence(min(0.9 * timeout_s, SILENT_S))
        if not self._waiting:
            self._entities.withdraw()
            self._cameras = None
        if frames is None:
            why = silence or (f'those on {self._robot.image_topic!r} are older, do the clocks '
                              f'agree?')
            raise ReasonedError(Code.NO_FRAME, (
                f'no frame newer than the call came within {timeout_s:g} s; {why}'))
        return frames

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        for newer_than_ns, future in self._waiting:
            if header_stamp_ns(frames[0]) > newer_than_ns and not future.done():
                future.set_result(frames)
