"""When the planner thread may do something else than look at frames. No rclpy; time comes in."""

from __future__ import annotations

import math

from lewm_ros.planner.loop.loop_settings import LoopSettings
from lewm_ros.planner.loop.plan_maker import PlanMaker

_OWED_S = 0.5     # so long the frame that a plan is owed to may be under way
_OVER_S = 1.0     # so long after the last row of a plan the next one is expected


class SpareTime:
    """Between two plans that a robot follows there is some; if nobody follows, all of it.

    Args:
        maker: Knows the plan in force, and how long plans take.
    """

    def __init__(self, maker: PlanMaker) -> None:
        self._maker = maker
        self.new_frame()

    def new_frame(self) -> None:
        """A frame has come that may be planned on."""
        self._has_planned, self._owed_since_s = False, -math.inf

    def planned(self) -> None:
        """A plan was made on it."""
        self._has_planned = True

    def owes(self) -> None:
        """A plan was due on it, and is left to the next frame."""
        self._owed_since_s = self._maker.steady_s()

    def has(self, seconds: float, settings: LoopSettings, *, wanted: bool) -> bool:
        """Tell whether the work on frames may rest for so long.

        A robot that follows plans goes on with the one it has until the next one is due. Where
        plans are made as fast as they can be, there is time after each, but never so much that
        the rows of the plan in force run out.

        Args:
            seconds: How long.
            settings: Of the loop.
            wanted: Whether a plan is wanted with the next frame, whatever is in force.
        """
        if self._maker.steady_s() - self._owed_since_s <= _OWED_S:
            return False
        if not self._is_followed(settings):
            return True
        replan_steps = math.inf if self._has_planned else settings.replan_steps
        return not wanted and seconds <= self._due_in_s(replan_steps)

    def is_over(self, settings: LoopSettings) -> bool:
        """Tell whether the rows of a plan that the robot follows are about to run out, or have."""
        return self._is_followed(settings) and self._due_in_s(math.inf) <= 0

    def _is_followed(self, settings: LoopSettings) -> bool:
        """Tell whether a robot that may move has a plan, or waits for the next one."""
        maker = self._maker
        return (not settings.dry_run and maker.schedule.left_s(maker.now_ns()) > -_OVER_S
                and not maker.robot.idle_reason(maker.steady_s()))

    def _due_in_s(self, replan_steps: float) -> float:
        maker = self._maker
        return maker.schedule.due_in_s(maker.now_ns(), replan_steps=replan_steps,
                                       latency_steps=maker.latency.steps())
