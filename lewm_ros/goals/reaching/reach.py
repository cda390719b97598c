"""Going to goals as one pure object: what planner and command node say, and silence, come in.

It says which goal is wanted now, how it goes, and how it ended; `reach_server` publishes and
answers. Every end but success and pre-emption first takes the goal away and waits until the robot
stands: a planner or an operator who comes back later must not find a goal that nobody watches.

Time comes with every call: the node clock (sim time in simulation) for what people asked for, the
steady clock for silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from lewm_ros.goals.reaching import signs
from lewm_ros.goals.reaching.at_rest import AtRest, Heard, UNHEARD_S
from lewm_ros.goals.reaching.leg import Leg
from lewm_ros.goals.reaching.plans import Plans
from lewm_ros.wire.reaching import Ending, ReachOrder, ReachProgress, ReachResult, Target
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.reports import ControllerReport, PlanReport, PlanState

_SETTLE_S = 0.3        # what is heard earlier may have been said before motion was enabled
_TAKE_S = 5.0          # a planner that looks at newer frames knows the goal by then
_HEARD_NS = 2 * 10**8  # the planner may look at a frame of this time before it hears of the goal
_JITTER_NS = 10**8     # a node clock that goes back by more has jumped


@dataclass(frozen=True)
class ReachLimits:
    """How patient to be [s]."""

    no_progress_s: float = 10.0   # of motion without getting closer; 0: for ever
    silence_s: float = 3.0        # of planner or command node
    trouble_s: float = 5.0        # of a planner without a plan, or a robot that does not follow
    stop_s: float = 5.0           # until the robot must stand
    rest_s: float = 0.3           # it stands when so long it was told nothing else (node clock)
    find_s: float = 2.0           # more, for who was never heard: the middleware finds them


class Reach:
    """One order to go to goals.

    Args:
        targets: In order.
        order: What was asked for.
        limits: Of the goal node.
        now_ns: Node clock.
        steady_s: Steady clock.

    Attributes:
        wanted: Index of the goal that must be in force; None: no goal at all.
        result: How it ended; None: it goes on.
    """

    def __init__(self, targets: Sequence[Target], order: ReachOrder, limits: ReachLimits, *,
                 now_ns: int, steady_s: float) -> None:
        self._targets, self._order, self._limits = list(targets), order, limits
        self.wanted: int | None = 0
        self.result: ReachResult | None = None
        self._begun_ns = self._now_ns = now_ns
        self._begun_s = steady_s
        self._plan: Heard[PlanReport] = Heard(steady_s)
        self._controller: Heard[ControllerReport] = Heard(steady_s)
        self._trouble: tuple[Ending | None, float] = (None, 0.0)   # of the planner, since when
        self._idle_since_s: float | None = None                    # of the command node
        self._session = 0                       # of the planner that took the goal
        self._untaken_since_s: float | None = None
        self._plans = Plans()
        self._reached = 0
        self._end: tuple[Ending, str] | None = None
        self._at_rest: AtRest | None = None
        self._leg = self._next_leg()

    # What comes in -----------------------------------------------------------------------------

    def hear_plan(self, report: PlanReport, now_ns: int, steady_s: float) -> None:
        """Take a report of the planner; one that is not followed does not count."""
        controller = self._controller.report
        followed = controller.session if controller is not None else 0
        if self.result is not None or followed and report.session != followed:
            return
        self._watch_clock(now_ns)
        self._plan = Heard(steady_s, report)
        self._plans.see(report)
        if self._end is None:
            self._follow(report, steady_s)
        self.tick(now_ns, steady_s)

    def hear_controller(self, report: ControllerReport, now_ns: int, steady_s: float) -> None:
        """Take a report of the command node."""
        self._controller = Heard(steady_s, report)
        self.tick(now_ns, steady_s)

    def tick(self, now_ns: int, steady_s: float) -> None:
        """Let time pass; call it often."""
        if self.result is not None:
            return
        self._watch_clock(now_ns)
        if self._end is None:
            end = self._why_to_end(steady_s)
            if end is not None:
                self._stop(*end, steady_s)
        if self._end is not None:
            self._look_whether_it_rests(steady_s)

    def cancel(self, now_ns: int, steady_s: float) -> None:
        """Stop the robot, then end."""
        if self.result is None and (self._end is None or self._end[0] is not Ending.CANCELED):
            self._stop(Ending.CANCELED, 'canceled; the robot stands still', steady_s)
        self.tick(now_ns, steady_s)

    def displace(self, text: str) -> None:
        """End at once: somebody else decides now where the robot goes."""
        self._conclude(Ending.PREEMPTED, text)

    def shut_down(self, text: str) -> None:
        """End at once, without a goal: nobody will be there to watch."""
        self.wanted = None
        self._conclude(Ending.INACTIVE, text)

    def add(self, target: Target) -> None:
        """Go to one more goal after the others.

        Raises:
            ReasonedError: NOTHING_UNDER_WAY, if it has just ended.
        """
        if self.result is not None or self._end is not None:
            raise ReasonedError(Code.NOTHING_UNDER_WAY,
                                'going to goals has just ended; send a new ReachGoal')
        self._targets.append(target)

    # What is judged ----------------------------------------------------------------------------

    def _follow(self, report: PlanReport, steady_s: float) -> None:
        leg = self._leg
        if report.reason.code is Code.RESET:
            leg.restart(self._now_ns)
        planning = report.state in signs.WITH_PLAN
        known = signs.has_plan(report) or report.state is PlanState.NO_GOAL
        if not known or report.frame_stamp_ns <= leg.since_ns:
            return
        if planning and report.goal_id == leg.target.goal_id:
            self._session, self._untaken_since_s = report.session, None
            leg.see(report, moving=self._may_move())
            if leg.reached:
                self._arrive()
            return
        other = (f'the planner goes to {report.goal_id!r}' if planning
                 else 'the planner has no goal')
        if leg.taken and report.session == self._session:
            self.displace(f'{other} now: somebody else publishes goals')
        elif self._untaken_since_s is None:   # a planner that has just begun has not heard of it
            self._untaken_since_s = steady_s
        elif steady_s - self._untaken_since_s > _TAKE_S:
            self._stop(Ending.UNKNOWN, f'the planner does not take the goal: after {_TAKE_S:g} s '
                       f'{other}; do planner and goal node share the topic `goal`?', steady_s)

    def _arrive(self) -> None:
        self._reached += 1
        if self._reached == len(self._targets):
            self._conclude(Ending.NONE, '')
        else:
            self.wanted = self._reached
            self._leg = self._next_leg()

    def _next_leg(self) -> Leg:
        return Leg(self._targets[self._reached], dwell_s=self._order.dwell_s,
                   since_ns=self._now_ns)

    def _why_to_end(self, steady_s: float) -> tuple[Ending, str] | None:
        plan, controller, limits = self._plan.report, self._controller.report, self._limits
        limit_s = limits.silence_s + (limits.find_s if controller is None else 0.0)
        if steady_s - self._controller.when_s > limit_s:
            return Ending.COMMAND_FAULT, (f'no controller_state for {limit_s:g} s; is the command '
                                          f'node running and active?')
        if controller is not None and steady_s - self._begun_s > _SETTLE_S:
            end = signs.command_ends(controller)
            if end is not None:
                return end
        limit_s = limits.silence_s + (limits.find_s if plan is None else 0.0)
        if steady_s - self._plan.when_s > limit_s:
            return Ending.PLANNER_GONE, (f'no plan_status for {limit_s:g} s; is the planner '
                                         f'running and active?')
        if plan is not None:
            end = (signs.planner_ends(plan, self._leg.since_ns + _HEARD_NS)
                   or self._lasting_trouble(plan, steady_s))
            if end is not None:
                return end
        return self._why_given_up()

    def _lasting_trouble(self, plan: PlanReport, steady_s: float) -> tuple[Ending, str] | None:
        limit_s, kind = self._limits.trouble_s, signs.planner_trouble(plan)
        if kind is None or self._trouble[0] is None:
            self._trouble = (kind, steady_s)
        if kind is not None and steady_s - self._trouble[1] > limit_s:
            return kind, (f'the planner has had no plan for {limit_s:g} s, it says '
                          f'{plan.state.name}: {plan.reason}')
        controller = self._controller.report
        idle = (controller is not None and signs.has_plan(plan)
                and signs.command_trouble(controller))
        if not idle or self._idle_since_s is None:
            self._idle_since_s = steady_s if idle else None
        if idle and steady_s - self._idle_since_s > limit_s:
            return Ending.COMMAND_FAULT, (f'the command node has not followed the plans for '
                                          f'{limit_s:g} s: {controller.reason}')
        return None

    def _why_given_up(self) -> tuple[Ending, str] | None:
        order, leg = self._order, self._leg
        if order.timeout_s and self._elapsed_s() > order.timeout_s:
            return Ending.TIMEOUT, (f'{self._reached} of {len(self._targets)} goals reached in '
                                    f'{order.timeout_s:g} s')
        patience_s = order.no_progress_s or self._limits.no_progress_s
        if patience_s and leg.still_s > patience_s:
            return Ending.NO_PROGRESS, (
                f'the goal has not come closer than {leg.best:.3g} for {patience_s:g} s of '
                f'motion, reached is below {leg.tolerance:.3g}: {leg.why_not()}')
        return None

    def _stop(self, ending: Ending, text: str, steady_s: float) -> None:
        self._end, self.wanted = (ending, text), None
        self._at_rest = AtRest(steady_s, rest_s=self._limits.rest_s,
                               gone_s=self._limits.silence_s)

    def _look_whether_it_rests(self, steady_s: float) -> None:
        (ending, text), limits, controller = self._end, self._limits, self._controller
        if self._at_rest.look(self._plan, controller, self._now_ns, steady_s):
            self._conclude(ending, text)
            return
        late = steady_s - self._at_rest.since_s > limits.stop_s
        silent_s = steady_s - controller.when_s
        if silent_s > limits.silence_s or late and (
                controller.report is None or silent_s > UNHEARD_S):
            doubt = ('the command node is silent, so nobody knows whether the robot stands still; '
                     'the guard stops it')
        elif late:
            doubt = f'the robot does not stand still after {limits.stop_s:g} s; use the e-stop'
        else:
            return
        if ending is Ending.CANCELED:
            self._conclude(Ending.STILL_MOVING, f'canceled, but {doubt}')
        else:
            self._conclude(ending, f'{text}; {doubt}')

    # What goes out -----------------------------------------------------------------------------

    def progress(self) -> ReachProgress:
        """Say how it goes."""
        leg, plan, controller = self._leg, self._plan.report, self._controller.report
        moving = controller is not None and controller.state in signs.FOLLOWING
        reason = plan.reason if plan is not None else Reason()
        if controller is not None and not moving and controller.reason:
            reason = controller.reason
        return ReachProgress(
            goal_id=leg.target.goal_id, goals_left=len(self._targets) - self._reached,
            distance=leg.distance, tolerance=leg.tolerance, best_distance=leg.best,
            errors=leg.errors, seconds_left=leg.seconds_left(), elapsed_s=self._elapsed_s(),
            replans=self._plans.replans, latency_ms=self._plans.latency_ms, moving=moving,
            reason=reason,
            surprise=plan.surprise if plan is not None else math.nan)

    def _conclude(self, ending: Ending, text: str) -> None:
        if self.result is not None:
            return
        leg, plans = self._leg, self._plans
        self.result = ReachResult(
            ending, text, goals_reached=self._reached, goal_id=leg.target.goal_id,
            final_distance=leg.distance, best_distance=leg.best, elapsed_s=self._elapsed_s(),
            replans=plans.replans, latency_p95_ms=plans.latency_p95_ms())

    def _may_move(self) -> bool:
        controller = self._controller.report
        return (controller is not None and controller.state in signs.FOLLOWING
                and controller.speed_scale > 0)

    def _elapsed_s(self) -> float:
        return (self._now_ns - self._begun_ns) / 1e9

    def _watch_clock(self, now_ns: int) -> None:
        """A node clock that jumped back, or begins, counts on from there."""
        if now_ns < self._now_ns - _JITTER_NS or not self._now_ns:
            self._begun_ns += now_ns - self._now_ns
            self._leg.restart(now_ns)
            self._now_ns = now_ns
        self._now_ns = max(now_ns, self._now_ns)
