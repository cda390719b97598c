"""Turns what people ask for into the one latched goal, and watches the way there. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import sys

from diagnostic_msgs.msg import DiagnosticStatus
from lewm_model.errors import ImageError, LewmError
from lewm_model.images.tiles import goal_sheet
from lewm_model.robots.clicks import WAYS
from lewm_model.robots.robot import RobotDescription
from lewm_ros.goals.giving.bank_desk import BankDesk
from lewm_ros.goals.giving.capture import Capture, patience_s, TIMEOUT_S
from lewm_ros.goals.giving.click_topics import ClickTopics
from lewm_ros.goals.giving.clicks import ClickGoals, clicks_of
from lewm_ros.goals.giving.files import read_picture
from lewm_ros.goals.giving.render import Renderer
from lewm_ros.goals.giving.resolve import Found, Resolved, Resolver
from lewm_ros.goals.giving.shape import GoalShape
from lewm_ros.goals.reaching.reach import ReachLimits
from lewm_ros.goals.reaching.reach_server import ReachServer
from lewm_ros.msg import Goal
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.plain import Health, PlainNode
from lewm_ros.node.run_node import run_node, spin
from lewm_ros.srv import CaptureGoal, SelectGoal, SetGoal
from lewm_ros.wire import qos
from lewm_ros.wire.decoders import decoder_named, DECODERS
from lewm_ros.wire.goal_specs import GoalWish
from lewm_ros.wire.goals import no_goal_to_msg
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.refusals import refuse
from lewm_ros.wire.reports import GoalSource
from lewm_ros.wire.stamps import header_stamp_ns
import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import Trigger


@dataclass(frozen=True)
class GoalParameters:
    """Settings of the goal node."""

    robot: str = parameter(
        'sim_reacher', 'robot description, for its camera: a shipped name or a YAML file',
        read_only=True)
    bundle: str = parameter(
        '', 'model bundle, name or folder: pictures of another shape than it was trained on are '
        'refused at once; empty: only the planner judges', read_only=True)
    goal_image: str = parameter(
        '', 'picture file that is the goal from the start; empty: none', read_only=True)
    image_decoder: str = parameter(
        'ours', 'what decodes pictures of the camera: ours or, where it is installed, cv_bridge',
        choices=DECODERS, read_only=True)
    goal_root: str = parameter(
        '', 'the only folder from which ~/set_goal may read files; empty: it reads none',
        read_only=True)
    no_progress_s: float = parameter(
        10.0, 'ReachGoal is aborted when the goal has not come closer in so much time of motion; '
        '0.0: never; a ReachGoal may say another one [s]', low=0.0, high=3600.0)
    silence_s: float = parameter(
        3.0, 'planner or command node that is silent for so long is gone, and ReachGoal aborted '
        '[s]', low=1.5, high=60.0)
    trouble_s: float = parameter(
        5.0, 'ReachGoal is aborted when the planner has no plan, or the command node does not '
        'follow it, for so long [s]', low=0.5, high=600.0)
    stop_s: float = parameter(
        5.0, 'after a cancel the robot must stand still within this time [s]', low=0.5,
        high=60.0)
    goal_bank: str = parameter(
        '', 'folder of a goal bank, see "lewm goal-bank"; a relative path starts at goal_root; '
        'empty: none', read_only=True)
    clicks: str = parameter(
        '', 'what a click becomes: the nearest entry of the goal bank, a rendered picture '
        '(simulation), or quantities without a picture; empty: as the robot file says',
        choices=('', *WAYS), read_only=True)


class GoalNode(PlainNode):
    """Publishes `goal`, latched, whenever a new goal is chosen."""

    def __init__(self, **kwargs) -> None:
        super().__init__('goal_node', **kwargs)
        self._given = NodeParameters(self, GoalParameters)
        self._settings = self._given.values
        self._robot = RobotDescription.from_yaml(self._settings.robot)
        self._capture = Capture(self, self._robot)
        self._decode = decoder_named(self._settings.image_decoder)
        self._shape = self._goal_shape()
        self._resolver = Resolver(
            root=self._settings.goal_root, shape=self._shape, capture=self._look,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            assume_encoding=self._robot.assume_encoding)
        clicks = clicks_of(self._robot.clicks, self._settings.clicks)
        self._bank = BankDesk(self, self._bank_folder(), self._robot, clicks)
        self._resolver.plug(GoalSource.BANK, self._bank.find)
        if self._bank.problem:
            self.get_logger().error(self._bank.problem)
        if clicks is not None:
            made = ClickGoals(clicks, self._bank.bank,
                              Renderer(self) if clicks.become == 'render' else None)
            self._resolver.plug(GoalSource.POSE, made.pose)
            self._resolver.plug(GoalSource.PIXEL, made.pixel)
        self._problem = ''      # why there is no goal though one was asked for at the start
        self._goal_id = ''      # of the goal in force
        self._goal_pub = self.always.publisher(Goal, 'goal', qos.LATCHED)
        self._reach = ReachServer(self, self._resolver, limits=self._reach_limits,
                                  publish=self._put, clear=self._clear)
        serve = self.always.service
        serve(Trigger, '~/clear_goal', self._on_clear_goal)
        # A callback that awaits keeps its group busy: in one of their own they block nobody.
        waiting = ReentrantCallbackGroup()
        serve(SetGoal, '~/set_goal', self._on_set_goal, callback_group=waiting)
        serve(SelectGoal, '~/select_goal', self._on_select_goal, callback_group=waiting)
        serve(CaptureGoal, '~/capture_goal', self._on_capture_goal, callback_group=waiting)
        ClickTopics(self, self._robot, self._bank, self._on_click, self._picture_size)
        if self._settings.goal_image:
            self._take_first(Path(self._settings.goal_image))

    @property
    def hardware_id(self) -> str:
        """Name of the robot."""
        return self._robot.robot

    def health(self) -> Health:
        """Say which goal is in force."""
        problem = self._problem or self._bank.problem
        if problem:
            return Health(DiagnosticStatus.ERROR, problem)
        return Health(summary=f'goal {self._goal_id!r}' if self._goal_id else 'no goal')

    def conclude(self) -> bool:
        """Take away the goal of a ReachGoal that nobody will watch; True: all is answered."""
        self._reach.shut_down()
        return not self._reach.busy

    def _reach_limits(self) -> ReachLimits:
        given = self._given.values
        return ReachLimits(given.no_progress_s, given.silence_s, given.trouble_s, given.stop_s)

    def _goal_shape(self) -> GoalShape:
        """Read the bundle's view; one that cannot be read is the planner's to refuse."""
        try:
            return GoalShape(self._settings.bundle, self._robot)
        except LewmError as error:
            self.get_logger().error(f'the shape of goals is not checked here: {error}')
            return GoalShape('', self._robot)

    def _take_first(self, path: Path) -> None:
        """Publish the operator's goal; it is named by them, so it is not bound to goal_root.

        One that cannot be used is told, here and in diagnostics: others can still be set.
        """
        try:
            rgb = read_picture(path.expanduser().resolve())
            self._publish(Resolved(self._resolver.goal_of(GoalWish(GoalSource.FILE), Found(rgb))))
        except (LewmError, OSError, RuntimeError) as error:   # the last two: of `resolve`
            self._problem = f'goal_image cannot be the goal: {error}'
            self.get_logger().error(f'{self._problem}; set another by ~/set_goal')

    def _bank_folder(self) -> str:
        folder, root = self._settings.goal_bank, self._settings.goal_root
        return str(Path(root).expanduser() / folder) if folder and root else folder

    # Requests ----------------------------------------------------------------------------------

    async def _on_set_goal(self, request: SetGoal.Request, response: SetGoal.Response):
        try:
            goal = self._publish(await self._resolver.resolve(request.spec))
        except LewmError as error:
            return self._refuse(response, error)
        response.success, response.goal_id = True, goal.goal_id
        return response

    async def _on_select_goal(self, request: SelectGoal.Request, response: SelectGoal.Response):
        try:
            found = await self._resolver.resolve(request.spec)
        except LewmError as error:
            return self._refuse(response, error)
        response.success, response.goal = True, found.goal
        response.distance, response.message = float(found.distance), found.text
        return response

    def _on_clear_goal(self, request: Trigger.Request, response: Trigger.Response):
        self._reach.displace('the goal was cleared by ~/clear_goal')
        self._clear()
        response.success = True
        return response

    async def _on_capture_goal(self, request: CaptureGoal.Request,
                               response: CaptureGoal.Response):
        try:
            rgb, stamp_ns = await self._look(patience_s(request.timeout_s))
            wish = GoalWish(GoalSource.CAPTURE, goal_id=request.goal_id, task=request.task,
                            tolerance=request.tolerance)
            goal = self._publish(Resolved(self._resolver.goal_of(
                wish, Found(rgb, stamp_ns=stamp_ns))))
        except LewmError as error:
            return self._refuse(response, error)
        response.success, response.goal = True, goal
        return response

    async def _on_click(self, wish: GoalWish) -> None:
        try:
            self._publish(await self._resolver.resolve_wish(wish))
        except LewmError as error:
            self.guard.note('click refused', error)

    async def _picture_size(self) -> tuple[int, int]:
        """Return height and width of the first camera's pictures [px]."""
        first = (await self._capture.next_frames(TIMEOUT_S))[0]
        return self._decode(first, None, self._robot.assume_encoding).shape[:2]

    async def _look(self, timeout_s: float = TIMEOUT_S) -> tuple[np.ndarray, int]:
        """Return what the cameras see next, side by side, and when [ns]."""
        frames = await self._capture.next_frames(timeout_s)
        try:
            pictures = [self._decode(frame, None, self._robot.assume_encoding)
                        for frame in frames]
        except ImageError as error:
            raise ReasonedError(Code.FRAME_UNREADABLE, str(error)) from error
        return goal_sheet(pictures), header_stamp_ns(frames[0])

    def _clear(self) -> None:
        self._goal_pub.publish(no_goal_to_msg(self.get_clock().now().nanoseconds))
        self._goal_id = self._problem = ''
        self.get_logger().info('the goal was cleared')

    def _publish(self, found: Resolved) -> Goal:
        """Put a goal in force, whatever a ReachGoal wanted."""
        self._reach.displace(f'goal {found.goal.goal_id!r} took its place')
        return self._put(found)

    def _put(self, found: Resolved) -> Goal:
        goal = found.goal
        self._goal_pub.publish(goal)
        self._goal_id, self._problem = goal.goal_id, ''
        self.get_logger().info(f'new goal {goal.goal_id!r} from {GoalSource(goal.source).name}, '
                               f'{found.looks}{found.text and f": {found.text}"}')
        return goal

    def _refuse(self, response, error: LewmError):
        self.guard.note('goal refused', error)
        return refuse(response, error, otherwise=Code.GOAL_REFUSED)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(GoalNode, args,
                    loop=lambda node, end: spin(node, end, conclude=node.conclude))


if __name__ == '__main__':
    sys.exit(main())
