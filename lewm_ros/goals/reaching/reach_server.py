"""The action server of ReachGoal in the goal node, and `~/add_goal`.

It lives here and not in the planner, so that a planner that was killed still ends in an aborted
result. One order is carried out at a time; a newer one takes its place without a stop between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lewm_model.errors import LewmError
from lewm_ros.action import ReachGoal
from lewm_ros.goals.giving.resolve import Resolved, Resolver
from lewm_ros.goals.reaching.dry_run import DryRun
from lewm_ros.goals.reaching.reach import Reach, ReachLimits
from lewm_ros.msg import ControllerState, PlanStatus
from lewm_ros.node.entities import Entities
from lewm_ros.node.plain import PlainNode
from lewm_ros.srv import SetGoal
from lewm_ros.wire import qos
from lewm_ros.wire.reach_msgs import (
    MAX_GOALS,
    msg_to_order,
    progress_to_msg,
    result_to_msg,
    target_of,
)
from lewm_ros.wire.reaching import Ending, ReachOrder, ReachResult
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.refusals import refuse
from lewm_ros.wire.status import msg_to_controller_report, msg_to_plan_report
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

TICK_S = 0.1      # feedback comes as often
_SEND_S = 0.2     # rclpy sends a result some callbacks after it was returned


@dataclass
class _Pursued:
    """The order that is carried out."""

    handle: ServerGoalHandle
    reach: Reach
    goals: list[Resolved]
    done: Future
    applied: int | None = None      # index of the goal that was published last


class ReachServer:
    """Carries out ReachGoal.

    Args:
        node: Owner.
        resolver: Makes goals of what people give.
        limits: How patient to be; asked for every order.
        publish: Puts a goal in force.
        clear: Takes the goal away.
    """

    def __init__(self, node: PlainNode, resolver: Resolver, *,
                 limits: Callable[[], ReachLimits], publish: Callable[[Resolved], None],
                 clear: Callable[[], None]) -> None:
        self._node, self._resolver, self._limits = node, resolver, limits
        self._publish, self._clear = publish, clear
        self._pursued: _Pursued | None = None
        self._unanswered, self._answered_s = 0, -_SEND_S
        self._dry_run = DryRun(node)
        # Only while there is a way to watch: each message wakes the node.
        self._ears = Entities(node, node.guard)
        self._hears = False
        waiting = ReentrantCallbackGroup()   # a callback that awaits keeps its group busy
        own = node.always
        own.service(SetGoal, '~/add_goal', self._on_add, callback_group=waiting)
        # Refusals are results with a text: a rejected goal could not say why.
        own.own(ActionServer(node, ReachGoal, '~/reach_goal', self._execute,
                             goal_callback=lambda _: GoalResponse.ACCEPT,
                             cancel_callback=lambda _: CancelResponse.ACCEPT,
                             callback_group=waiting), ActionServer.destroy)

    @property
    def busy(self) -> bool:
        """Whether somebody waits for a result that is not on its way yet."""
        return self._unanswered > 0 or self._now()[1] - self._answered_s < _SEND_S

    def displace(self, text: str) -> None:
        """End the order, if there is one: somebody else has chosen a goal, or cleared it."""
        if self._pursued is not None:
            self._pursued.reach.displace(text)
            self._act(self._pursued)

    def shut_down(self) -> None:
        """End the order and take the goal away; the result goes out with the next callbacks."""
        if self._pursued is not None:
            self._pursued.reach.shut_down('the goal node is ending; the goal was cleared')
            self._clear()
            self._act(self._pursued)

    # One order ---------------------------------------------------------------------------------

    async def _execute(self, handle: ServerGoalHandle) -> ReachGoal.Result:
        self._unanswered += 1
        try:
            result = await self._serve(handle)
        except LewmError as error:
            self._node.guard.note('goal refused', error)
            result = ReachResult(Ending.GOAL_REFUSED, str(error))
        except Exception as error:   # a bug of ours must not leave the client without an answer
            result = ReachResult(Ending.UNKNOWN, self._node.guard.note('reach_goal', error))
        finally:
            self._unanswered -= 1
            self._answered_s = self._now()[1]
        self._node.get_logger().info(f'reach_goal: {result}')
        if result:
            handle.succeed()
        elif result.ending is Ending.CANCELED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result_to_msg(result)

    async def _serve(self, handle: ServerGoalHandle) -> ReachResult:
        order, specs = msg_to_order(handle.request)
        goals = await self._resolver.resolve_all(specs)
        if handle.is_cancel_requested:
            return ReachResult(Ending.CANCELED, 'canceled before it began')
        if order.dry_run:
            return await self._dry_run.ask(goals[0].goal, lambda: handle.is_cancel_requested)
        return await self._pursue(handle, order, goals)

    async def _pursue(self, handle: ServerGoalHandle, order: ReachOrder,
                      goals: list[Resolved]) -> ReachResult:
        self.displace(f'another ReachGoal, to {goals[0].goal.goal_id!r}, took its place')
        self._listen()
        now_ns, steady_s = self._now()
        reach = Reach([target_of(found.goal) for found in goals], order, self._limits(),
                      now_ns=now_ns, steady_s=steady_s)
        pursued = self._pursued = _Pursued(handle, reach, goals,
                                           Future(executor=self._node.executor))
        tick = self._node.create_timer(
            TICK_S, self._node.guard.listener(lambda: self._tick(pursued), 'reach_goal'),
            clock=self._node.steady)
        try:
            self._act(pursued)
            return await pursued.done
        finally:
            self._node.destroy_timer(tick)
            if self._pursued is pursued:
                self._pursued = None
                if reach.result is None:
                    self._clear()
            if self._pursued is None:
                self._ears.withdraw()
                self._hears = False

    def _listen(self) -> None:
        if not self._hears:
            self._hears = True
            listen = self._ears.subscription
            listen(PlanStatus, 'plan_status', self._on_plan, qos.RECORD)
            listen(ControllerState, 'controller_state', self._on_controller, qos.RECORD)

    def _act(self, pursued: _Pursued) -> None:
        """Do what the state of the order asks for."""
        reach = pursued.reach
        if reach.result is not None:
            if not pursued.done.done():
                pursued.done.set_result(reach.result)
            if self._pursued is pursued:
                self._pursued = None
        elif reach.wanted is None:
            if pursued.applied is not None:
                pursued.applied = None
                self._clear()
        elif reach.wanted != pursued.applied:
            pursued.applied = reach.wanted
            self._publish(pursued.goals[reach.wanted])

    # What comes in -----------------------------------------------------------------------------

    def _tick(self, pursued: _Pursued) -> None:
        reach, now = pursued.reach, self._now()
        if pursued.handle.is_cancel_requested:
            reach.cancel(*now)
        reach.tick(*now)
        self._act(pursued)
        if reach.result is None:
            pursued.handle.publish_feedback(progress_to_msg(reach.progress()))

    def _on_plan(self, message: PlanStatus) -> None:
        if self._pursued is not None:
            self._pursued.reach.hear_plan(msg_to_plan_report(message), *self._now())
            self._act(self._pursued)

    def _on_controller(self, message: ControllerState) -> None:
        if self._pursued is not None:
            self._pursued.reach.hear_controller(msg_to_controller_report(message), *self._now())
            self._act(self._pursued)

    async def _on_add(self, request: SetGoal.Request, response: SetGoal.Response):
        try:
            found = await self._resolver.resolve(request.spec)
            self._add(found)
        except LewmError as error:
            self._node.guard.note('goal refused', error)
            return refuse(response, error, otherwise=Code.GOAL_REFUSED)
        response.success, response.goal_id = True, found.goal.goal_id
        return response

    def _add(self, found: Resolved) -> None:
        pursued = self._pursued
        if pursued is None:
            raise ReasonedError(Code.NOTHING_UNDER_WAY, (
                'no ReachGoal is under way to which a goal could be added; send one'))
        if len(pursued.goals) >= MAX_GOALS:
            raise ReasonedError(Code.BUSY, f'the list has {MAX_GOALS} goals already; more must '
                                           f'wait for its end')
        pursued.reach.add(target_of(found.goal))
        pursued.goals.append(found)

    def _now(self) -> tuple[int, float]:
        return (self._node.get_clock().now().nanoseconds,
                self._node.steady.now().nanoseconds / 1e9)
