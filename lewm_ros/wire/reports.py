"""What the nodes tell each other and people, as plain values. No rclpy, no torch.

`conversions` turns these into messages and back; the numbers of the two enumerations are those
of `msg/ControllerState.msg` and `msg/PlanStatus.msg`, and a test holds them equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class State(IntEnum):
    """State of the command side, see `watchdog`."""

    DISABLED = 0
    IDLE = 1
    TRACKING = 2
    HOLD = 3
    RAMP_DOWN = 4
    STOPPED = 5
    FAULT = 6


class PlanState(IntEnum):
    """State of the planner."""

    IDLE = 0
    PLANNING = 1
    REACHED = 2
    STALLED = 3
    NO_OBS = 4
    NO_GOAL = 5
    FAULT = 6


class GuardPhase(IntEnum):
    """What the guard is doing, see `guard.last_word`."""

    WAITING = 0
    WATCHING = 1
    SPEAKING = 2
    SPOKEN = 3
    TAKEN_OVER = 4


class GoalSource(IntEnum):
    """How a goal was given, see `msg/GoalImage.msg`."""

    FILE = 0
    TOPIC = 1
    CAPTURE = 2
    KEYFRAME = 3
    CLICK = 4


@dataclass(frozen=True)
class PlanReport:
    """One per camera frame: proof that camera and planner live, and how the plan is doing."""

    stamp_ns: int                 # capture time of the newest frame
    epoch: int
    state: PlanState
    goal_id: str = ''
    goal_distance: float = float('nan')   # squared latent distance of the newest frame
    goal_tolerance: float = float('nan')  # reached below this, same unit
    best_cost: float = float('nan')
    start_cost: float = float('nan')
    encode_ms: float = 0.0
    plan_ms: float = 0.0
    total_ms: float = 0.0         # frame capture to chunk published
    obs_age_s: float = 0.0
    iterations: int = 0
    samples: int = 0
    clip_ratio: float = 0.0
    std_mean: float = float('nan')
    deadline_misses: int = 0
    backend: str = ''
    reason: str = ''              # why there is no plan, for people


@dataclass(frozen=True)
class ExecutedStep:
    """What the robot was told; it acts from `stamp_ns` until the next one."""

    stamp_ns: int                 # start of the control step; publish time of a stop command
    requested: np.ndarray         # (A,), as planned
    executed: np.ndarray          # (A,), after limits
    epoch: int = 0
    sequence: int = 0             # of the chunk it was sampled from
    step: int = 0                 # row of that chunk
    clipped: bool = False
    slewed: bool = False
    overridden: bool = False      # hold, ramp or stop instead of the plan
    state: State = State.TRACKING
    chunk_age_s: float = 0.0      # since the frame the plan looked at


@dataclass(frozen=True)
class ControllerReport:
    """How the command side is doing."""

    stamp_ns: int
    state: State
    epoch: int = 0
    sequence: int = 0
    steps_left: int = 0           # rows of the current chunk not yet executed
    chunk_age_s: float = 0.0
    rate_hz: float = 0.0          # measured command rate
    deadline_misses: int = 0
    commands_clipped: int = 0
    commands_slewed: int = 0
    e_stop: bool = False
    reason: str = ''              # why the robot is not tracking, for people


@dataclass(frozen=True)
class GuardReport:
    """What the guard says about itself."""

    stamp_ns: int
    phase: GuardPhase
    stops: int = 0                # how often it has begun to stop the robot
    reason: str = ''              # for people; empty while all is well
