"""One ReachGoal from the side of who asked for it."""

from __future__ import annotations

import threading
import time
from typing import Any
import uuid

from lewm_ros.action import ReachGoal
from lewm_ros.commander.link import CommanderError, Link
from lewm_ros.wire.reach_msgs import msg_to_progress, msg_to_result
from lewm_ros.wire.reaching import Ending, ReachProgress, ReachResult
from lewm_ros.wire.reasons import Code
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle

_SILENT_S = 10.0     # feedback comes ten times a second
_STOP_S = 70.0       # the goal node's stop_s may be a minute


class UnderWay:
    """What was asked for, how it goes, and how it ended; make it by `begin`."""

    def __init__(self, link: Link, client: ActionClient) -> None:
        self.progress = ReachProgress('', 0)
        self._spoken = False                      # the goal node has sent feedback
        self._link, self._client = link, client
        self._heard_s = time.monotonic()
        self._handle: ClientGoalHandle | None = None
        self._end: Any = None                     # future of the result
        self._over = threading.Event()            # it has come
        self._lost: ReachResult | None = None     # nobody will send one

    @classmethod
    def begin(cls, link: Link, client: ActionClient, goal: ReachGoal.Goal, timeout_s: float
              ) -> UnderWay:
        """Send a goal and wait until it is taken.

        Raises:
            CommanderError: The goal node is not there, or does not answer; then what it may have
                heard all the same is canceled.
        """
        name = 'goal_node/reach_goal'
        link.find(name, client.wait_for_server, timeout_s)
        made = cls(link, client)
        made.progress = ReachProgress('', len(goal.goals))
        goal_uuid = ReachGoal.Impl.SendGoalService.Request().goal_id
        goal_uuid.uuid = list(uuid.uuid4().bytes)
        future = client.send_goal_async(goal, feedback_callback=made._on_feedback,
                                        goal_uuid=goal_uuid)
        if not link.wait(future, timeout_s=timeout_s):
            accepted = ReachGoal.Impl.SendGoalService.Response(accepted=True)
            ClientGoalHandle(client, goal_uuid, accepted).cancel_goal_async()
            raise CommanderError(f'{name} did not answer within {timeout_s:g} s; does the goal '
                                 f'node hang?', Code.NO_ANSWER)
        made._handle = future.result()
        if not made._handle.accepted:
            raise CommanderError(f'{name} took nothing; see the log of the goal node')
        made._heard_s = time.monotonic()
        made._end = made._handle.get_result_async()
        made._end.add_done_callback(lambda _: made._over.set())
        return made

    def is_over(self, wait_s: float) -> bool:
        """Tell whether it has ended; wait for that so long [s]."""
        if self._lost is not None or self._over.wait(wait_s):
            return True
        silent_s = time.monotonic() - self._heard_s
        # While goals are made, by looking through a camera for one, nothing is said.
        if silent_s > _SILENT_S and (self._spoken or not self._client.server_is_ready()):
            self._lost = ReachResult(Ending.UNKNOWN, (
                f'the goal node was silent for {silent_s:.0f} s, so nobody watches the robot; is '
                f'it running? stop() stops the robot'))
        return self._lost is not None

    def result(self) -> ReachResult:
        """Return how it ended; only when `is_over`."""
        if self._lost is not None:
            return self._lost
        return msg_to_result(self._end.result().result)

    def cancel(self, timeout_s: float) -> None:
        """Ask that the robot is stopped, and wait until it ended.

        Raises:
            CommanderError: Nobody answered: the robot may still move.
        """
        if self.is_over(0.0):
            return
        if not self._link.wait(self._handle.cancel_goal_async(), self._end,
                               timeout_s=timeout_s):
            raise CommanderError(f'the goal node did not answer a cancel within {timeout_s:g} s; '
                                 f'the robot may still move: call stop()')
        end_s = time.monotonic() + _STOP_S
        while not self.is_over(0.1):
            if time.monotonic() > end_s:
                raise CommanderError(f'a cancel has not ended after {_STOP_S:g} s; the robot may '
                                     f'still move: call stop()')

    def _on_feedback(self, message: Any) -> None:
        self._heard_s, self._spoken = time.monotonic(), True
        self.progress = msg_to_progress(message.feedback)
