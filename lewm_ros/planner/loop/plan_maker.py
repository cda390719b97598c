"""One plan: what is committed, the search, and the chunk that goes out. No rclpy, no threads.

Whether a plan is due, and what a failure means, is up to `plan_loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import time

from lewm_model.errors import NotFinite
from lewm_model.planning.policy import Policy
from lewm_ros.planner.loop.latency import Latency
from lewm_ros.planner.loop.loop_settings import LoopSettings
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.loop.schedule import Schedule
from lewm_ros.planner.loop.session import Session
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.reports import PlanReport
import numpy as np

_LATE = Reason(Code.PLANNER_STUCK, 'the plan took too long and came after all plans were '
                                   'withdrawn')


@dataclass(frozen=True)
class PlanMaker:
    """Plans on the newest frame of a policy and sends the chunk.

    Attributes:
        session: Sends the chunks.
        robot: What is known of the robot.
        latency: Says how many steps to commit; is told what plans take.
        schedule: Gets the chunk that is in force.
        now_ns: The node clock.
        steady_s: The clock of `robot`.
    """

    session: Session
    robot: RobotSide
    latency: Latency
    schedule: Schedule
    now_ns: Callable[[], int]
    steady_s: Callable[[], float]

    def make(self, policy: Policy, report: PlanReport, settings: LoopSettings, *, epoch: int,
             encoded_s: float, new_goal: bool) -> PlanReport:
        """Make one plan and send it, unless it is a dry run; return the report with its numbers.

        Args:
            policy: Has seen the frame.
            report: Of the frame.
            settings: See `LoopSettings`.
            epoch: Of when the work on the frame began; plans may have been withdrawn since.
            encoded_s: What that work took before the search [s].
            new_goal: This is the first plan to it, which replaces all that was sent.

        Raises:
            EngineFailure: If the search fails, or its answer is not finite.
            ReasonedError: If the plan cannot begin anywhere, or was not sent.
        """
        stamp_ns, steady_s = report.frame_stamp_ns, self.steady_s
        rest = self.robot.rest(steady_s())
        executing = not settings.dry_run and self.robot.executes(self.session.number, steady_s())
        committed = self.schedule.committed(stamp_ns, self.latency.steps(), rest,
                                            executing=executing)
        started_s = time.perf_counter()
        chunk = policy.plan(self.now_ns(), committed,
                            rest=rest if self.robot.holds_position else None)
        planned_s = time.perf_counter() - started_s
        if not np.isfinite(chunk.actions).all():
            raise NotFinite('the plan has actions that are not finite')
        chunk = replace(chunk, epoch=epoch)
        if not settings.dry_run:
            chunk = self.session.send(chunk, len(committed), encoded_s + planned_s,
                                      new_epoch=new_goal)
            if chunk is None:
                why = self.session.trouble or self.session.why or _LATE
                if why.code is Code.PLANNER_STUCK:
                    self.latency.add_late(settings.replan_steps)
                raise ReasonedError(why.code, why.text)
        self.schedule.chunk = chunk
        total_s = (self.now_ns() - stamp_ns) / 1e9
        self.latency.add_planned(total_s, settings.replan_steps)
        plan, late = policy.last_plan, self.schedule.is_late(total_s, len(committed))
        return replace(
            report, epoch=self.session.epoch, best_cost=plan.cost, start_cost=plan.start_cost,
            std_mean=plan.elite_std, iterations=plan.iterations, plan_ms=1e3 * planned_s,
            total_ms=1e3 * total_s, deadline_misses=report.deadline_misses + late)

    def withdraw(self, reason: Reason) -> None:
        """Take back the plan in force, if there is one."""
        if self.schedule.chunk is not None:
            self.session.withdraw(reason)
        self.schedule.chunk = None
