"""The action ReachGoal and the service PlanOnce: messages to plain values and back."""

from __future__ import annotations

from collections.abc import Sequence
import math

from lewm_ros.action import ReachGoal
from lewm_ros.msg import Goal, GoalSpec
from lewm_ros.srv import PlanOnce
from lewm_ros.wire import checks
from lewm_ros.wire.reaching import Ending, ReachOrder, ReachProgress, ReachResult, Target
from lewm_ros.wire.refusals import refusal_of
from lewm_ros.wire.status import msg_to_reason, reason_to_msg

MAX_GOALS = 100          # in one list
MAX_DWELL_S = 600.0
MAX_TIMEOUT_S = 1e6      # eleven days


def msg_to_order(message: ReachGoal.Goal) -> tuple[ReachOrder, list[GoalSpec]]:
    """Return what is asked for, and the goals as they were given.

    Raises:
        MessageError: If a number cannot be, or there is no goal, or too many are.
    """
    if not 1 <= len(message.goals) <= MAX_GOALS:
        raise checks.MessageError(f'goals must be 1 to {MAX_GOALS} goals, got '
                                  f'{len(message.goals)}')
    return ReachOrder(
        dwell_s=checks.within(message.dwell_s, 0.0, MAX_DWELL_S, 'dwell_s'),
        timeout_s=checks.within(message.timeout_s, 0.0, MAX_TIMEOUT_S, 'timeout_s'),
        no_progress_s=checks.within(message.no_progress_s, 0.0, MAX_TIMEOUT_S, 'no_progress_s'),
        dry_run=message.dry_run), list(message.goals)


def order_to_msg(order: ReachOrder, goals: Sequence[GoalSpec]) -> ReachGoal.Goal:
    """Build the action's goal message.

    Raises:
        MessageError: As `msg_to_order`, so that who asks for nonsense is told before.
    """
    message = ReachGoal.Goal(goals=list(goals), dwell_s=float(order.dwell_s),
                             timeout_s=float(order.timeout_s), dry_run=order.dry_run,
                             no_progress_s=float(order.no_progress_s))
    msg_to_order(message)
    return message


def target_of(goal: Goal) -> Target:
    """Return what is to be watched on the way to a goal that the goal node has made."""
    weights = list(goal.weights) or [1.0] * len(goal.names)
    tolerances = tuple(one if weight > 0 else math.inf
                       for one, weight in zip(goal.tolerances, weights, strict=False))
    return Target(goal.goal_id, tuple(goal.names), goal.tolerance, tolerances)


def progress_to_msg(progress: ReachProgress) -> ReachGoal.Feedback:
    """Build the feedback message."""
    return ReachGoal.Feedback(
        goal_id=progress.goal_id, goals_left=progress.goals_left,
        distance=float(progress.distance), tolerance=float(progress.tolerance),
        best_distance=float(progress.best_distance),
        errors=[float(error) for error in progress.errors],
        seconds_left=float(progress.seconds_left), elapsed_s=float(progress.elapsed_s),
        replans=progress.replans, latency_ms=float(progress.latency_ms),
        surprise=float(progress.surprise), moving=progress.moving,
        reason=reason_to_msg(progress.reason))


def msg_to_progress(message: ReachGoal.Feedback) -> ReachProgress:
    """Return how it goes; raises MessageError for a reason that does not exist."""
    return ReachProgress(
        goal_id=message.goal_id, goals_left=message.goals_left, distance=message.distance,
        tolerance=message.tolerance, best_distance=message.best_distance,
        errors=tuple(message.errors), seconds_left=message.seconds_left,
        elapsed_s=message.elapsed_s, replans=message.replans, latency_ms=message.latency_ms,
        surprise=message.surprise, moving=message.moving, reason=msg_to_reason(message.reason))


def result_to_msg(result: ReachResult) -> ReachGoal.Result:
    """Build the result message."""
    return ReachGoal.Result(
        error_code=int(result.ending), error_msg=result.text,
        goals_reached=result.goals_reached, goal_id=result.goal_id,
        final_distance=float(result.final_distance), best_distance=float(result.best_distance),
        elapsed_s=float(result.elapsed_s), replans=result.replans,
        latency_p95_ms=float(result.latency_p95_ms), start_cost=float(result.start_cost),
        final_cost=float(result.final_cost))


def msg_to_result(message: ReachGoal.Result) -> ReachResult:
    """Return how it ended; raises MessageError for a code that does not exist."""
    return ReachResult(
        ending=checks.enum(Ending, message.error_code, 'error_code'), text=message.error_msg,
        goals_reached=message.goals_reached, goal_id=message.goal_id,
        final_distance=message.final_distance, best_distance=message.best_distance,
        elapsed_s=message.elapsed_s, replans=message.replans,
        latency_p95_ms=message.latency_p95_ms, start_cost=message.start_cost,
        final_cost=message.final_cost)


def plan_once_request(goal: Goal) -> PlanOnce.Request:
    """Ask for a plan to this goal from what the camera sees now; the request has no picture."""
    return PlanOnce.Request(goal=goal)


def msg_to_planned(answer: PlanOnce.Response) -> tuple[str, float, float]:
    """Return why there is no plan ('': there is one), and its costs before and after."""
    return refusal_of(answer), answer.start_cost, answer.final_cost
