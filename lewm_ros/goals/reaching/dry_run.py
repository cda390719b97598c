"""Ask the planner what it would do, and how far it would get; nothing moves."""

from __future__ import annotations

from collections.abc import Callable
import time

from lewm_ros.goals.reaching import signs
from lewm_ros.msg import Goal
from lewm_ros.node.plain import PlainNode
from lewm_ros.node.waiting import pause
from lewm_ros.srv import PlanOnce
from lewm_ros.wire.reach_msgs import msg_to_planned, plan_once_request
from lewm_ros.wire.reaching import Ending, ReachResult
from lewm_ros.wire.refusals import code_of

SERVICE = 'planner_node/plan_once'
_FIND_S = 2.0       # for a planner that was started just now
_ANSWER_S = 30.0
_LOOK_S = 0.05


class DryRun:
    """A client of the planner.

    Args:
        node: Owner.
    """

    def __init__(self, node: PlainNode) -> None:
        self._node = node
        self._client = node.always.own(node.create_client(PlanOnce, SERVICE), node.destroy_client)

    async def ask(self, goal: Goal, canceled: Callable[[], bool]) -> ReachResult:
        """Plan to a goal from what the camera sees now.

        Args:
            goal: As it would be published.
            canceled: Whether nobody wants to know any more.
        """
        begun_s, name = time.monotonic(), goal.goal_id

        def ended(ending: Ending, text: str = '', **costs: float) -> ReachResult:
            return ReachResult(ending, text, goal_id=name, elapsed_s=time.monotonic() - begun_s,
                               **costs)

        while not self._client.service_is_ready():
            if canceled() or time.monotonic() - begun_s > _FIND_S:
                break
            await pause(self._node, _LOOK_S)
        if canceled():
            return ended(Ending.CANCELED, 'canceled; nothing has moved')
        if not self._client.service_is_ready():
            return ended(Ending.PLANNER_GONE, f'nobody offers {SERVICE}; is the planner running '
                                              f'and active?')
        answer = self._client.call_async(plan_once_request(goal))
        while not answer.done():
            if canceled() or time.monotonic() - begun_s > _ANSWER_S:
                self._client.remove_pending_request(answer)
                return ended(*((Ending.CANCELED, 'canceled; nothing has moved') if canceled() else
                               (Ending.PLANNER_GONE, f'{SERVICE} did not answer within '
                                                     f'{_ANSWER_S:g} s')))
            await pause(self._node, _LOOK_S)
        refusal, start_cost, final_cost = msg_to_planned(answer.result())
        if refusal:
            return ended(signs.plan_refused(code_of(answer.result())),
                         f'the planner did not plan: {refusal}')
        return ended(Ending.NONE, start_cost=start_cost, final_cost=final_cost)
