"""In which state a planner is that has no plan. Pure."""

from __future__ import annotations

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import PlanState

# What is no fault: it passes by itself.
_STATES = {Code.NO_ROBOT_STATE: PlanState.NO_OBS, Code.FRAME_FROZEN: PlanState.NO_OBS,
           Code.FRAME_STALE: PlanState.NO_OBS, Code.FRAME_FUTURE: PlanState.NO_OBS,
           Code.PLANNER_STUCK: PlanState.PLANNING}


def state_of(reason: Reason) -> PlanState:
    """Return the state of a planner that has no plan for this reason."""
    return _STATES.get(reason.code, PlanState.FAULT)
