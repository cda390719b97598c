"""The planner's decisions, one camera frame at a time. No rclpy, no threads; time comes in.

It decides which frames to use, when to plan, which actions are already committed, and when
earlier plans must no longer be followed. The last is said by the epoch: the command node drops
every chunk of an older epoch as soon as a report carries a newer one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import time

from lewm_model.errors import LewmError, PlanningError
from lewm_model.planning.policy import Policy
from lewm_model.types import ActionChunk, Observation
from lewm_ros.planner.goal_progress import GoalProgress
from lewm_ros.planner.latency import Latency
from lewm_ros.wire.reasons import Code, Reason, reason_of, ReasonedError
from lewm_ros.wire.reports import PlanReport, PlanState
import numpy as np

_NAN = float('nan')
_NO_GOAL = Reason(Code.NO_GOAL, 'no goal; send one with goal_node')


@dataclass(frozen=True)
class LoopSettings:
    """What the loop must know besides the policy."""

    replan_steps: int          # control steps from one plan's frame to the next one's
    obs_max_age_s: float       # older frames are not planned on
    obs_max_future_s: float    # nor are frames stamped further ahead
    dry_run: bool = False      # plan and report, publish no chunk
    backend: str = 'torch'


# chunk, committed steps, time spent encoding and solving [s]
Publish = Callable[[ActionChunk, int, float], None]


class PlanLoop:
    """Feeds a policy and publishes its chunks; used by one thread, `report` is read by any.

    Args:
        policy: Made for this robot and warmed up.
        settings: See `LoopSettings`.
        latency: Its first belief is the measured warm-up.
        progress: Judges the distance to the goal.
        session: Random; chunks and reports carry it, and epochs count from 0 within it.
        publish: Sends a chunk on its way.
        now_ns: The node clock.

    Attributes:
        report: State after the newest frame; replaced as a whole, never changed.
    """

    def __init__(self, policy: Policy, settings: LoopSettings, *, latency: Latency,
                 progress: GoalProgress, session: int, publish: Publish,
                 now_ns: Callable[[], int]) -> None:
        self.latency = latency
        self._policy = policy
        self._settings = settings
        self._progress = progress
        self._publish = publish
        self._now_ns = now_ns
        self._dt_ns = round(policy.bundle.control_dt_s * 1e9)
        self._session = session
        self._epoch = 0
        self._chunk: ActionChunk | None = None   # the one the robot follows
        self._goal_is_new = False
        self._refusal = ''                       # why the goal that was asked for is not used
        self._newest_ns = -1
        self._not_before_ns = -1                 # frames up to this stamp show another scene
        self.report = PlanReport(
            stamp_ns=0, session=session, epoch=0, state=PlanState.NO_OBS, backend=settings.backend,
            goal_tolerance=progress.tolerance, samples=policy.config.num_candidates,
            reason=Reason(Code.NO_FRAME, 'no camera frame yet'))

    def set_goal(self, rgb: np.ndarray, goal_id: str, source: str,
                 tolerance: float = 0.0) -> None:
        """Go where the camera would see `rgb`, within `tolerance` (0: as configured).

        The robot keeps following the present plan until the first one to the new goal is
        there; the epoch changes with that plan, so nothing stops in between.
        """
        try:
            self._policy.set_goal_image(rgb, goal_id, source)
        except LewmError as error:
            self.refuse_goal(f'goal {goal_id!r}: {error}')
            return
        self._refusal = ''
        self._goal_is_new = True
        self._progress.restart(tolerance)
        self.report = replace(self.report, goal_tolerance=self._progress.tolerance)

    def clear_goal(self) -> None:
        """Go nowhere: the robot stops."""
        self._policy.clear_goal()
        self._refusal = ''
        self._progress.restart()
        self._fail(PlanState.NO_GOAL, _NO_GOAL)

    def refuse_goal(self, reason: str) -> None:
        """Stop, because the goal that was asked for is unusable."""
        self._policy.clear_goal()
        self._refusal = reason
        self._fail(PlanState.FAULT, Reason(Code.GOAL_REFUSED, reason))

    def reset(self, reason: str, not_before_ns: int = -1) -> None:
        """Forget the past, keep the goal; frames up to `not_before_ns` are ignored."""
        goal = self._policy.goal
        self._policy.reset()
        self._policy.set_goal(goal)
        self._progress.restart(self._progress.tolerance)
        self._newest_ns, self._not_before_ns = -1, not_before_ns
        self._fail(PlanState.NO_OBS, Reason(Code.RESET, reason))

    def executed(self, stamp_ns: int, action: np.ndarray) -> None:
        """Tell what the robot was told from `stamp_ns` on, (A,) robot units."""
        self._policy.executed(stamp_ns, action)

    def step(self, observation: Observation) -> None:
        """Look at a frame, and plan if it is time; failures end in `report`, never here."""
        stamp_ns = observation.stamp_ns
        if stamp_ns <= self._not_before_ns or stamp_ns == self._newest_ns:
            return
        if stamp_ns < self._newest_ns:
            self.reset(f'camera time jumped back by {(self._newest_ns - stamp_ns) / 1e9:.3f} s')
        self._newest_ns = stamp_ns
        try:
            self._check_age(stamp_ns)
            started_s = time.perf_counter()
            self._policy.observe(observation)
            encoded_s = time.perf_counter() - started_s
            if self._policy.goal is None:
                if self._refusal:
                    self._fail(PlanState.FAULT, Reason(Code.GOAL_REFUSED, self._refusal))
                else:
                    self._fail(PlanState.NO_GOAL, _NO_GOAL)
                return
            report = self._judge(stamp_ns, encoded_s)
            if self._due(stamp_ns):
                # The distance is news at once; the state waits for how planning ends.
                self.report = replace(report, state=self.report.state, reason=self.report.reason)
                report = self._plan(report, encoded_s)
            self.report = report
        except StaleFrame as error:
            self._fail(PlanState.NO_OBS, error.reason)
        except LewmError as error:
            self._fail(PlanState.FAULT, reason_of(error, Code.PLANNER_FAILED))

    def fault(self, reason: Reason) -> None:
        """Withdraw all plans for a reason from outside, such as an unreadable picture."""
        self._fail(PlanState.FAULT, reason)

    def _check_age(self, stamp_ns: int) -> None:
        age_s = (self._now_ns() - stamp_ns) / 1e9
        if age_s > self._settings.obs_max_age_s:
            raise StaleFrame(
                Code.FRAME_STALE, f'the camera frame is {age_s:.3f} s old, allowed are '
                f'{self._settings.obs_max_age_s} s')
        if age_s < -self._settings.obs_max_future_s:
            raise StaleFrame(
                Code.FRAME_FUTURE, f'the camera frame is stamped {-age_s:.3f} s in the future, '
                f'allowed are {self._settings.obs_max_future_s} s; do the clocks agree?')

    def _judge(self, stamp_ns: int, encoded_s: float) -> PlanReport:
        distance = self._policy.goal_distance
        return replace(
            self.report, frame_stamp_ns=stamp_ns, epoch=self._epoch,
            goal_distance=distance, state=self._progress.update(stamp_ns, distance),
            goal_id=self._policy.goal.goal_id, encode_ms=1e3 * encoded_s, reason=Reason())

    def _due(self, stamp_ns: int) -> bool:
        if self._chunk is None or self._goal_is_new:
            return True
        elapsed = round((stamp_ns - self._chunk.stamp_ns) / self._dt_ns)
        # The next chunk must arrive before this one runs out, even if it takes twice as long as
        # the steps reserved for it.
        return elapsed >= min(self._settings.replan_steps,
                              len(self._chunk.actions) - 2 * self.latency.steps())

    def _committed(self, stamp_ns: int) -> np.ndarray:
        """Return the actions that will have started before the next chunk arrives, (d, A)."""
        rows = np.zeros((self.latency.steps(), len(self._policy.bundle.action_names)), np.float32)
        if self._chunk is not None and not self._settings.dry_run:
            first = round((stamp_ns - self._chunk.stamp_ns) / self._dt_ns)
            known = self._chunk.actions[max(first, 0):max(first + len(rows), 0)]
            if first >= 0:
                rows[:len(known)] = known
        return rows

    def _plan(self, report: PlanReport, encoded_s: float) -> PlanReport:
        stamp_ns = report.frame_stamp_ns
        committed = self._committed(stamp_ns)
        started_s = time.perf_counter()
        chunk = self._policy.plan(self._now_ns(), committed)
        planned_s = time.perf_counter() - started_s
        if not np.isfinite(chunk.actions).all():
            raise PlanningError('the plan has actions that are not finite')
        if self._goal_is_new:
            self._epoch += 1
        self._goal_is_new = False
        self._chunk = replace(chunk, session=self._session, epoch=self._epoch)
        if not self._settings.dry_run:
            self._publish(self._chunk, len(committed), encoded_s + planned_s)
        total_s = (self._now_ns() - stamp_ns) / 1e9
        self.latency.add(total_s)
        plan = self._policy.last_plan
        late = total_s * 1e9 > len(committed) * self._dt_ns
        return replace(
            report, epoch=self._epoch, best_cost=plan.cost, start_cost=plan.start_cost,
            std_mean=plan.elite_std, iterations=plan.iterations, plan_ms=1e3 * planned_s,
            total_ms=1e3 * total_s, deadline_misses=report.deadline_misses + late)

    def _fail(self, state: PlanState, reason: Reason) -> None:
        """Say why there is no plan; a plan in force is withdrawn by a new epoch."""
        if self._chunk is not None:
            self._epoch += 1
        self._chunk = None
        self.report = replace(self.report, epoch=self._epoch, state=state, reason=reason,
                              frame_stamp_ns=max(self._newest_ns, 0),
                              goal_id=self._policy.goal.goal_id if self._policy.goal else '',
                              goal_distance=_NAN)


class StaleFrame(ReasonedError):
    """The frame does not show the present."""
