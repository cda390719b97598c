"""What viewers publish when somebody clicks: poses, points, and pixels of a picture.

One click is worked on at a time and only the newest waits: whoever clicks again means the later
one, and a flood costs no more than one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from geometry_msgs.msg import Point, PointStamped, PoseStamped
from lewm_model.errors import ImageError
from lewm_model.robots.clicks import clicked_topic
from lewm_model.robots.robot import RobotDescription
from lewm_ros.goals.giving.bank_desk import BankDesk, GALLERY_TOPIC
from lewm_ros.node.plain import PlainNode
from lewm_ros.wire import qos
from lewm_ros.wire.goal_specs import GoalWish, pixel_of, point_to_wish, pose_to_wish
from lewm_ros.wire.reports import GoalSource
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup


class ClickTopics:
    """Listens to clicks.

    Args:
        node: Owner of the subscriptions.
        robot: Its first camera is the one that is clicked.
        desk: Of the goal bank; its gallery can be clicked if there is a bank.
        take: Makes a wish the goal.
        picture_size: Waits for height and width of the first camera's pictures [px].
    """

    def __init__(self, node: PlainNode, robot: RobotDescription, desk: BankDesk,
                 take: Callable[[GoalWish], Awaitable[None]],
                 picture_size: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._take, self._picture_size, self._desk = take, picture_size, desk
        group = MutuallyExclusiveCallbackGroup()   # a callback that awaits keeps it busy
        for kind, topic, callback in (
                (PoseStamped, 'goal_pose', self._on_pose),
                (PointStamped, 'clicked_point', self._on_point),
                (Point, clicked_topic(robot.all_cameras[0].topic), self._on_pixel),
                *([(Point, clicked_topic(GALLERY_TOPIC), self._on_gallery)] if desk.bank else [])):
            node.always.subscription(kind, topic, callback, qos.LATEST, callback_group=group)

    async def _on_pose(self, message: PoseStamped) -> None:
        await self._take(pose_to_wish(message))

    async def _on_point(self, message: PointStamped) -> None:
        await self._take(point_to_wish(message))

    async def _on_gallery(self, message: Point) -> None:
        await self._take(self._desk.clicked(message))

    async def _on_pixel(self, message: Point) -> None:
        column, row = pixel_of(message)
        height, width = await self._picture_size()
        if not (0 <= column < width and 0 <= row < height):
            raise ImageError(f'the click at ({column:g}, {row:g}) px is outside of the picture, '
                             f'{width}x{height} px')
        await self._take(GoalWish(GoalSource.PIXEL,
                                  point=((column + 0.5) / width, (row + 0.5) / height)))
