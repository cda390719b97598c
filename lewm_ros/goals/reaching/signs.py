"""What the planner and the command node say, as reasons to end the way to a goal. Pure.

Some things end it at once, some only when they last: a camera may blink, an engine is tried again.
"""

from __future__ import annotations

from lewm_ros.wire.reaching import Ending
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.reports import CommandState, ControllerReport, PlanReport, PlanState

WITH_PLAN = (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED)
FOLLOWING = (CommandState.TRACKING, CommandState.HOLD)
_COMING_TO_REST = (*FOLLOWING, CommandState.RAMP_DOWN)
_MODEL = (Code.ENGINE_FAILED, Code.PLAN_INVALID, Code.PLANNER_STUCK, Code.PLANNER_FAILED,
          Code.INACTIVE)
_PICTURES = (Code.NO_FRAME, Code.FRAME_STALE, Code.FRAME_FUTURE, Code.FRAME_UNREADABLE,
             Code.FRAME_MISFIT, Code.FRAME_FROZEN, Code.NO_ROBOT_STATE, Code.RESET,
             Code.VIEW_UNFAMILIAR)
# There is nothing to follow: that is the planner's business, and some planners are slow.
_NO_ROW = (Code.WAITING_FOR_PLAN, Code.PLAN_GAP, Code.PLAN_ENDED, Code.PLAN_WITHDRAWN,
           Code.PLANNER_SILENT)


def has_plan(report: PlanReport) -> bool:
    """Tell whether the planner has a goal and plans to it."""
    return report.state in WITH_PLAN and report.reason.code is not Code.PLANNER_STUCK


def planner_ends(report: PlanReport, since_ns: int) -> tuple[Ending, str] | None:
    """Return what a planner says that nothing will change by itself; None: nothing.

    Args:
        report: Its newest one.
        since_ns: What it says of earlier frames concerns an earlier goal.
    """
    code, text = report.reason.code, report.reason.text
    if report.state is PlanState.IDLE:
        return Ending.MODEL_ERROR, f'the planner left its active state: {text}'
    if report.state is not PlanState.FAULT or report.frame_stamp_ns <= since_ns:
        return None
    if code is Code.GOAL_REFUSED:
        return Ending.GOAL_REFUSED, text
    if code is Code.SURPRISED:
        return Ending.SURPRISED, text
    return None


def planner_trouble(report: PlanReport) -> Ending | None:
    """Return how it ends if the planner goes on saying this; None: all is well."""
    if has_plan(report) or report.state is PlanState.NO_GOAL:
        return None
    return _without_plan(report.reason.code)


def plan_refused(code: Code | None) -> Ending:
    """Return how a dry run ends for which there is no plan; None: the planner gave no code."""
    if code in (Code.GOAL_REFUSED, Code.BAD_ARGUMENT):
        return Ending.GOAL_REFUSED
    return _without_plan(code)


def _without_plan(code: Code | None) -> Ending:
    if code in _PICTURES:
        return Ending.NO_OBSERVATION
    return Ending.MODEL_ERROR if code in _MODEL else Ending.UNKNOWN


def command_ends(report: ControllerReport) -> tuple[Ending, str] | None:
    """Return why the robot will not move until a person does something; None: it may."""
    text = report.reason.text or report.state.name
    if report.state is CommandState.FAULT:
        return Ending.COMMAND_FAULT, text
    if report.e_stop:
        return Ending.E_STOP, text
    if report.state is CommandState.DISABLED:
        return Ending.NOT_ENABLED, text
    return None


def command_trouble(report: ControllerReport) -> bool:
    """Tell whether the command node, though enabled, does not follow plans that are there."""
    return report.state not in FOLLOWING and report.reason.code not in _NO_ROW


def rests(report: ControllerReport) -> bool:
    """Tell whether the robot was told to stand still, and nothing else since."""
    return report.at_rest and report.state not in _COMING_TO_REST
