"""Turns pictures from files, services and the camera into the one latched goal. No torch."""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
import sys

from lewm_model.errors import ImageError, LewmError
from lewm_model.robot import RobotDescription
from lewm_ros.goals.files import read_allowed, read_picture
from lewm_ros.msg import Goal
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.run_node import run_node
from lewm_ros.srv import CaptureGoal, SetGoal
from lewm_ros.wire import qos
from lewm_ros.wire.goals import no_goal_to_msg, picture_goal_to_msg
from lewm_ros.wire.pictures import image_message_type, image_to_rgb
from lewm_ros.wire.reports import GoalSource
from lewm_ros.wire.stamps import header_stamp_ns
import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

_CAPTURE_TIMEOUT_S = 2.0       # where the caller gives none
_CAPTURE_TIMEOUT_MAX_S = 60.0
_MAX_TEXT = 200                # characters of a goal id or task


@dataclass(frozen=True)
class GoalParameters:
    """Settings of the goal node."""

    robot: str = parameter(
        'sim_reacher', 'robot description, for its camera: a shipped name or a YAML file',
        read_only=True)
    goal_image: str = parameter(
        '', 'picture file that is the goal from the start; empty: none', read_only=True)
    goal_root: str = parameter(
        '', 'the only folder from which ~/set_goal may read files; empty: it reads none',
        read_only=True)


class GoalNode(Node):
    """Publishes `goal`, latched, whenever a new goal is chosen."""

    def __init__(self, **kwargs) -> None:
        super().__init__('goal_node', **kwargs)
        self._settings = NodeParameters(self, GoalParameters).values
        robot = RobotDescription.from_yaml(self._settings.robot)
        self._image_topic, self._assume_encoding = robot.image_topic, robot.assume_encoding
        self._image_message = image_message_type(robot.image_topic, robot.image_type)
        self._camera = None                                  # subscribed while somebody waits
        self._waiting: list[tuple[int, Future]] = []         # (frames newer than this, future)
        self._goal_pub = self.create_publisher(Goal, 'goal', qos.LATCHED)
        self.create_service(SetGoal, '~/set_goal', self._on_set_goal)
        self.create_service(Trigger, '~/clear_goal', self._on_clear_goal)
        # A callback that awaits keeps its group busy: alone in its own, it blocks nobody else.
        self.create_service(CaptureGoal, '~/capture_goal', self._on_capture_goal,
                            callback_group=ReentrantCallbackGroup())
        if self._settings.goal_image:  # named by the operator, so not bound to goal_root
            rgb = read_picture(Path(self._settings.goal_image).expanduser().resolve())
            self._publish(rgb, GoalSource.FILE)

    def _on_set_goal(self, request: SetGoal.Request, response: SetGoal.Response):
        try:
            if request.source == SetGoal.Request.FILE:
                rgb = read_allowed(request.uri, self._settings.goal_root)
            elif request.source == SetGoal.Request.MESSAGE:
                rgb = image_to_rgb(request.image, assume_encoding=self._assume_encoding)
            else:
                raise ImageError(f'source must be {SetGoal.Request.FILE} (FILE) or '
                                 f'{SetGoal.Request.MESSAGE} (MESSAGE), got {request.source}')
            goal = self._publish(rgb, GoalSource(request.source), request.goal_id, request.task,
                                 tolerance=request.tolerance)
        except LewmError as error:
            return self._refuse(response, error)
        response.success, response.goal_id = True, goal.goal_id
        return response

    def _on_clear_goal(self, request: Trigger.Request, response: Trigger.Response):
        self._goal_pub.publish(no_goal_to_msg(self.get_clock().now().nanoseconds))
        self.get_logger().info('the goal was cleared')
        response.success = True
        return response

    async def _on_capture_goal(self, request: CaptureGoal.Request,
                               response: CaptureGoal.Response):
        timeout_s = (request.timeout_s if math.isfinite(request.timeout_s)
                     and request.timeout_s > 0 else _CAPTURE_TIMEOUT_S)
        timeout_s = min(timeout_s, _CAPTURE_TIMEOUT_MAX_S)
        try:
            message = await self._next_frame(timeout_s)
            rgb = image_to_rgb(message, assume_encoding=self._assume_encoding)
            goal = self._publish(rgb, GoalSource.CAPTURE, request.goal_id, request.task,
                                 tolerance=request.tolerance, stamp_ns=header_stamp_ns(message))
        except LewmError as error:
            return self._refuse(response, error)
        response.success, response.goal = True, goal
        return response

    async def _next_frame(self, timeout_s: float) -> Image | CompressedImage:
        """Wait for a frame captured after this call; callbacks go on meanwhile."""
        future = Future(executor=self.executor)
        entry = (self.get_clock().now().nanoseconds, future)
        self._waiting.append(entry)
        if self._camera is None:
            self._camera = self.create_subscription(self._image_message, self._image_topic,
                                                    self._on_image, qos.IMAGE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also ends when sim time stands still
        timer = self.create_timer(timeout_s, lambda: future.done() or future.set_result(None),
                                  clock=steady)
        message = await future
        self.destroy_timer(timer)
        self._waiting.remove(entry)
        if not self._waiting:
            self.destroy_subscription(self._camera)
            self._camera = None
        if message is None:
            raise ImageError(f'no frame newer than the call came on {self._image_topic!r} within '
                             f'{timeout_s:g} s; is the camera running, do the clocks agree?')
        return message

    def _on_image(self, message: Image | CompressedImage) -> None:
        try:
            stamp_ns = header_stamp_ns(message)
        except LewmError as error:
            self.get_logger().error(f'frame refused: {error}', throttle_duration_sec=1.0)
            return
        for newer_than_ns, future in self._waiting:
            if stamp_ns > newer_than_ns and not future.done():
                future.set_result(message)

    def _publish(self, rgb: np.ndarray, source: GoalSource, goal_id: str = '', task: str = '',
                 stamp_ns: int | None = None, tolerance: float = 0.0) -> Goal:
        if stamp_ns is None:
            stamp_ns = self.get_clock().now().nanoseconds
        goal = picture_goal_to_msg(rgb, stamp_ns=stamp_ns, goal_id=goal_id, source=source,
                                   task=task, tolerance=tolerance)
        self._goal_pub.publish(goal)
        self.get_logger().info(f'new goal {goal.goal_id!r} from {source.name}, '
                               f'{rgb.shape[1]}x{rgb.shape[0]}')
        return goal

    def _refuse(self, response, error: LewmError):
        self.get_logger().warning(f'goal refused: {error}')
        response.success, response.message = False, str(error)
        return response


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(GoalNode, args)


if __name__ == '__main__':
    sys.exit(main())
