"""What messages mean to the plan loop; one that cannot be used is a reason, never an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lewm_model.errors import LewmError
from lewm_ros.planner.frozen import FrozenWatch
from lewm_ros.planner.glance import Look
from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.worker import Inbox
from lewm_ros.wire.goals import msg_to_goal
from lewm_ros.wire.motion import msg_to_executed
from lewm_ros.wire.reports import GoalKind, PlanState
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.sight import Sight
from lewm_ros.wire.stamps import stamp_to_ns
from lewm_ros.wire.status import msg_to_controller_report


class Intake:
    """Hands what is in the inbox to the loop; lives in the planner thread.

    Args:
        loop: Decides.
        robot: Gets what concerns the robot.
        interface: Of the robot.
        sight: Makes what the model sees of goals.
        frozen: Is told when its memory counts no more.
        say: Logs a text under a key, perhaps at a level; once a second for each key.
    """

    def __init__(self, loop: PlanLoop, robot: RobotSide, interface: RobotInterface,
                 sight: Sight, *, frozen: FrozenWatch,
                 say: Callable[..., None]) -> None:
        self._loop, self._robot, self._interface = loop, robot, interface
        self._sight, self._frozen = sight, frozen
        self._say = say
        self._readers = {'executed': self._read_executed, 'joints': robot.measured,
                         'controller': self._read_controller}

    def take(self, inbox: Inbox) -> None:
        """Work through the inbox, the frame last."""
        loop = self._loop
        if inbox.settings is not None:
            loop.configure(inbox.settings)
        if inbox.reset is not None:
            self._take_reset(inbox.reset)
        if inbox.goal is not None:
            self._take_goal(inbox.goal)
        for kind, message, arrived_s in inbox.waiting:
            try:
                self._readers[kind](message, arrived_s)
            except LewmError as error:   # of another robot, or malformed: not ours to act on
                self._say(kind, f'{kind} message left out: {error}')
        if inbox.look is not None:
            self._take_look(inbox.look)
        reason = loop.report.reason
        if loop.report.state is PlanState.FAULT:
            self._say(f'fault {reason.code}', reason.text, 'error')

    def _take_look(self, look: Look) -> None:
        if look.observation is None:
            self._loop.fault(look.trouble)
        else:
            self._loop.step(look.observation, look.frozen, waited=look.waited)

    def _take_goal(self, message: Any) -> None:
        try:
            goal = msg_to_goal(message)
            if goal.kind is GoalKind.PICTURE:
                goal = replace(goal, rgb=self._sight.goal(goal.rgb))
        except LewmError as error:
            self._loop.refuse_goal(str(error))
            return
        if goal.kind is GoalKind.NONE:
            self._loop.clear_goal()
        else:
            self._loop.set_goal(goal)

    def _take_reset(self, message: Any) -> None:
        self._frozen.forgive()
        try:
            self._loop.reset('the scene was reset', stamp_to_ns(message.stamp))
        except LewmError as error:
            self._say('reset', f'scene_reset message left out: {error}')

    def _read_executed(self, message: Any, arrived_s: float) -> None:
        stamp_ns, action = msg_to_executed(message, self._interface.names, self._interface.code)
        self._loop.executed(stamp_ns, action)
        self._robot.executed(action, arrived_s)

    def _read_controller(self, message: Any, arrived_s: float) -> None:
        if self._robot.controller(msg_to_controller_report(message), arrived_s):
            self._loop.robot_enabled()
            self._frozen.forgive()
