"""The planner's decisions, one camera frame at a time. No rclpy, no threads; time comes in.

It decides which frames to use, when to plan, and when earlier plans must no longer be followed:
then the epoch of its session rises, and the command node drops what is older. One plan is made by
`plan_maker`; which rows are committed is up to `schedule`, standing still to `robot_side`, the
goal to `goal_in_force`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import time

from lewm_model.errors import EngineFailure, LewmError
from lewm_model.planning.policy import Policy
from lewm_model.types import Observation
from lewm_ros.planner.loop.failures import code_of, Failures, Next
from lewm_ros.planner.loop.goal_in_force import GoalInForce
from lewm_ros.planner.loop.goal_sight import GoalSight
from lewm_ros.planner.loop.latency import Latency
from lewm_ros.planner.loop.loop_settings import LoopSettings
from lewm_ros.planner.loop.plan_maker import PlanMaker
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.loop.schedule import check_age, FrameOrder, Order, Schedule
from lewm_ros.planner.loop.session import Session
from lewm_ros.planner.loop.spare_time import SpareTime
from lewm_ros.planner.loop.states import state_of
from lewm_ros.planner.surprise.doubts import Doubts
from lewm_ros.wire.reasons import Code, Reason, reason_of, ReasonedError
from lewm_ros.wire.reports import GoalRequest, PlanReport, PlanState
import numpy as np

_NAN = float('nan')
_FINE = Reason()
_NO_GOAL = Reason(Code.NO_GOAL, 'no goal; send one with goal_node')


class PlanLoop:
    """Feeds frames to a policy and publishes its chunks.

    Args:
        policy: Warmed up; this loop is its only user.
        settings: See `LoopSettings`.
        session: Sends the chunks.
        robot: What is known of the robot.
        latency: Its first belief is the measured warm-up.
        now_ns: The node clock.
        fall_back: Makes another policy and its latency [s] when the engine keeps failing; None:
            there is no other.
        doubts: Judges what frames and goals show; None: nobody does.
        goal_sight: Corrects goal pictures; None: of a single camera.
        steady_s: The clock of `robot`.

    Attributes:
        report: How things are; one value that is replaced as a whole, so any thread may read it.
        broken: Why planning ended for good; false while it goes on.
        recovering: Whether another engine is being prepared, which takes long.
        recovered_s: When that ended.
        planning: Whether it is making a plan; else it looks at a frame, which is soon done.
        looking: How long that takes.
        progress_s: When the work on a frame last was known to go on; of `steady_s`.
    """

    def __init__(self, policy: Policy, settings: LoopSettings, *, session: Session,
                 robot: RobotSide, latency: Latency, now_ns: Callable[[], int],
                 fall_back: Callable[[], tuple[Policy, float]] | None = None,
                 doubts: Doubts | None = None, goal_sight: GoalSight | None = None,
                 steady_s: Callable[[], float] = time.monotonic) -> None:
        self.latency = latency
        self.policy = policy
        self.broken = Reason()
        self.recovering = self.planning = False
        self.looking = Latency(dt_s=policy.bundle.control_dt_s, max_steps=1, margin_s=0.0,
                               first_s=0.0)
        self._asking = Latency(dt_s=policy.bundle.control_dt_s, max_steps=1, margin_s=0.0,
                               first_s=float('inf'))     # the model, once in a search
        self.recovered_s = self.progress_s = -float('inf')
        self._settings = settings
        self._session = session
        self._robot = robot
        self._now_ns, self._steady_s = now_ns, steady_s
        self._fall_back = fall_back
        self._doubts = doubts or Doubts(settings.doubts)
        self._order = FrameOrder()
        self._schedule = Schedule(policy.bundle.control_dt_s)
        self._maker = PlanMaker(session, robot, latency, self._schedule, now_ns, steady_s)
        self._spare = SpareTime(self._maker)
        self.goal_sight = goal_sight or GoalSight()
        self._goal = GoalInForce(settings, self.goal_sight)
        self._failures = Failures(settings.engine_retries, can_fall_back=fall_back is not None)
        self._replan = False                      # the robot has just been enabled
        self.report = PlanReport(
            stamp_ns=0, session=session.number, epoch=0, state=PlanState.NO_OBS,
            backend=policy.backend, goal_tolerance=self._goal.progress.tolerance,
            samples=policy.config.num_candidates,
            reason=Reason(Code.NO_FRAME, 'no camera frame yet'))

    # From outside ----------------------------------------------------------------------------

    def configure(self, settings: LoopSettings) -> None:
        """Change the settings between two frames."""
        stop = settings.dry_run and not self._settings.dry_run
        self._settings = settings
        self._failures.retries = settings.engine_retries
        self._doubts.configure(settings.doubts)
        self.latency.margin_s = settings.latency_margin_s
        self._goal.configure(settings)
        self.report = replace(self.report, goal_tolerance=self._goal.progress.tolerance)
        self.policy.set_budget_ms(settings.budget_ms)
        if stop:
            self._maker.withdraw(_FINE)

    def set_goal(self, goal: GoalRequest) -> None:
        """Go where the camera would see the goal's picture, or the goal's quantities are so.

        The robot keeps following the present plan until the first one to the new goal is
        there; the epoch changes with that plan, so nothing stops in between.
        """
        self._goal.ask(goal)
        self._doubts.forgive(looked=False)
        self.report = replace(self.report, goal_tolerance=self._goal.progress.tolerance)
        try:
            self._encode_goal()
        except EngineFailure as error:   # it is tried again with the next frame
            self._engine_failed(error)

    def clear_goal(self) -> None:
        """Go nowhere: the robot stops."""
        self._goal.drop(self.policy, Reason())
        self._fail(PlanState.NO_GOAL, _NO_GOAL)

    def refuse_goal(self, text: str) -> None:
        """Stop, because the goal that was asked for is unusable."""
        self._goal.drop(self.policy, Reason(Code.GOAL_REFUSED, text))
        self._fail(PlanState.FAULT, self._goal.refusal)

    def reset(self, text: str, not_before_ns: int = -1) -> None:
        """Forget the past, keep the goal; frames up to `not_before_ns` are ignored."""
        goal = self.policy.goal
        self.policy.reset()
        self.policy.set_goal(goal)
        self._goal.progress.restart()
        self._doubts.forgive()
        self.goal_sight.forget_frame()
        self._order.restart(not_before_ns)
        self._fail(PlanState.NO_OBS, Reason(Code.RESET, text))

    def executed(self, stamp_ns: int, action: np.ndarray) -> None:
        """Tell what the robot was told from `stamp_ns` on, (A,) robot units."""
        self.policy.executed(stamp_ns, action)

    def robot_enabled(self) -> None:
        """Plan with the next frame: what was sent before is not followed."""
        self._replan = True
        self._doubts.forgive()

    def fault(self, reason: Reason) -> None:
        """Withdraw all plans for a reason from outside, such as an unreadable picture."""
        self._fail(PlanState.FAULT, reason)

    def hung_limit_s(self) -> float:
        """Return after how long without progress the work on a frame hangs [s].

        A search makes progress with every answer of the model. Infinite if it never told of any.
        """
        return (self._asking if self.planning else self.looking).hung_limit_s()

    def can_spare(self, seconds: float) -> bool:
        """Tell whether the work on frames may rest for so long; see `SpareTime`."""
        wanted = self._goal.waits or self._goal.is_new or self._replan
        return self._spare.has(seconds, self._settings, wanted=wanted)

    def must_plan(self) -> bool:
        """Tell whether the rows of a plan that the robot follows are about to run out."""
        return self._spare.is_over(self._settings)

    def step(self, observation: Observation, frozen: Reason = _FINE, *,
             waited: bool = False) -> None:
        """Look at a frame, and plan if it is time; failures end in `report`, never here.

        Args:
            observation: The frame.
            frozen: Why the picture may not be a present one; false if it is.
            waited: It waited for something else than frames, so if a plan is due, it is made on
                the next one: what waited says nothing about how long plans take.
        """
        self._spare.new_frame()
        stamp_ns = observation.stamp_ns
        order = self._order.judge(stamp_ns)
        if order is Order.LATE or self.broken:
            return
        if order is Order.JUMP:
            back_s = (self._order.newest_ns - stamp_ns) / 1e9
            self.reset(f'camera time jumped back by {back_s:.3f} s')
        try:
            self._look(observation, frozen, waited)
        except EngineFailure as error:
            self._engine_failed(error)
        except ReasonedError as error:
            self._fail(state_of(error.reason), error.reason)
        except LewmError as error:
            self._fail(PlanState.FAULT, reason_of(error, Code.PLANNER_FAILED))

    # One frame -------------------------------------------------------------------------------

    def _look(self, observation: Observation, frozen: Reason, waited: bool) -> None:
        stamp_ns, settings, epoch = observation.stamp_ns, self._settings, self._session.epoch
        now_ns = self._now_ns()
        if stamp_ns <= now_ns + round(settings.obs_max_future_s * 1e9):
            self._order.take(stamp_ns)   # one from the future must not make the next ones late
        check_age(stamp_ns, now_ns, max_age_s=settings.obs_max_age_s,
                  max_future_s=settings.obs_max_future_s)
        if frozen and settings.frozen_stops:
            raise ReasonedError(frozen.code, frozen.text)
        started_s = time.perf_counter()
        self.policy.observe(observation)
        self._goal.look(observation.rgb)
        self._encode_goal()
        doubt = self._doubts.look(self.policy, observation)
        self.report = replace(self.report, **doubt.numbers)
        encoded_s = time.perf_counter() - started_s
        self.looking.add(encoded_s)
        if self.policy.goal is None:
            self._failures.worked()
            self._fail(*((PlanState.FAULT, self._goal.refusal) if self._goal.refusal
                         else (PlanState.NO_GOAL, _NO_GOAL)))
            return
        if doubt.stops:
            self._failures.worked()
            raise ReasonedError(doubt.reason.code, doubt.reason.text)
        report = self._judge(stamp_ns, encoded_s, frozen or doubt.reason)
        due = self._goal.is_new or self._replan or self._schedule.due(
            stamp_ns, replan_steps=settings.replan_steps, latency_steps=self.latency.steps())
        if due and waited:
            self._spare.owes()
        elif due:
            # The distance is news at once; the state waits for how planning ends.
            self.report = replace(report, state=self.report.state, reason=self.report.reason)
            self.planning = True
            try:
                report = self._plan(report, encoded_s, epoch)
            finally:
                self.planning = False
            self._failures.worked()
        self.report = report

    def _judge(self, stamp_ns: int, encoded_s: float, doubt: Reason) -> PlanReport:
        distance, errors = self.policy.goal_distance, tuple(self.policy.goal_errors)
        idle = self._robot.idle_reason(self._steady_s())
        state = self._goal.progress.update(stamp_ns, distance, errors,
                                           moving=not (idle or self._settings.dry_run))
        return replace(
            self.report, frame_stamp_ns=stamp_ns, epoch=self._session.epoch,
            goal_distance=distance, goal_errors=errors, goal_id=self.policy.goal.goal_id,
            goal_tolerance=self._goal.progress.tolerance, state=state, encode_ms=1e3 * encoded_s,
            reason=doubt or idle or self._goal.progress.why(state) or self._doubts.goal_reason)

    def _plan(self, report: PlanReport, encoded_s: float, epoch: int) -> PlanReport:
        self.progress_s = self._steady_s()
        self.policy.on_progress = self._on_progress
        report = self._maker.make(self.policy, report, self._settings, epoch=epoch,
                                  encoded_s=encoded_s, new_goal=self._goal.is_new)
        self._goal.is_new = self._replan = False
        self._spare.planned()
        return report

    def _on_progress(self) -> None:
        before_s, self.progress_s = self.progress_s, self._steady_s()
        self._asking.add_step(self.progress_s - before_s)

    def _encode_goal(self) -> None:
        """Make the goal that was asked for the policy's; EngineFailure leaves it to do."""
        if not self._goal.waits:
            return
        if self._goal.encode(self.policy):
            self._doubts.new_goal(self.policy, self._goal.seen)
        else:
            self._fail(PlanState.FAULT, self._goal.refusal)

    # When it does not work -------------------------------------------------------------------

    def _engine_failed(self, error: EngineFailure) -> None:
        """Try again with the next frame, then with another engine, then end."""
        step = self._failures.failed()
        code = code_of(error)
        if step is Next.RETRY:
            self._fail(PlanState.FAULT, Reason(
                code, f'{error}; attempt {self._failures.count + 1} of '
                      f'{self._failures.retries + 1} follows'))
        elif step is Next.GIVE_UP:
            self.broken = Reason(code, f'{error}; giving up')
            self._fail(PlanState.FAULT, self.broken)
        else:
            self._fail(PlanState.FAULT,
                       Reason(code, f'{error}; the fall-back engine is being prepared'))
            self._change_engine(error)

    def _change_engine(self, failure: EngineFailure) -> None:
        self.recovering = True
        try:
            self.policy, first_latency_s = self._fall_back()
            self.policy.set_budget_ms(self._settings.budget_ms)
            self.latency.restart(first_latency_s)
            self._asking.restart(float('inf'))
            self._goal.give_again(self.policy)
        except Exception as error:
            self.broken = Reason(code_of(failure),
                                 f'{failure}; and the fall-back engine: {error}')
            self._fail(PlanState.FAULT, self.broken)
        finally:
            self.recovered_s, self.recovering = self._steady_s(), False
        self.report = replace(self.report, backend=self.policy.backend)

    def _fail(self, state: PlanState, reason: Reason) -> None:
        """Say why there is no plan; a plan in force is withdrawn by a new epoch."""
        self._maker.withdraw(reason)
        self.report = replace(
            self.report, epoch=self._session.epoch, state=state, reason=reason,
            frame_stamp_ns=max(self._order.newest_ns, 0), goal_distance=_NAN, goal_errors=(),
            goal_tolerance=self._goal.progress.tolerance,
            goal_id=self.policy.goal.goal_id if self.policy.goal else '')
