"""What the nodes tell each other and people, as plain values. No rclpy, no torch.

`status`, `motion` and `goals` turn these into messages and back; the numbers of the enumerations
are those of the messages, and a test holds them equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
import secrets

from lewm_ros.wire.reasons import Reason
import numpy as np


def random_session() -> int:
    """Return the number of a new session, in [1, 2^64)."""
    return secrets.randbits(64) or 1


class CommandState(IntEnum):
    """State of the command side, see `msg/ControllerState.msg`."""

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


class GoalKind(IntEnum):
    """What a goal is, see `msg/Goal.msg`."""

    NONE = 0
    PICTURE = 1
    PROBE = 2


class GoalSource(IntEnum):
    """How a goal was given, see `msg/Goal.msg`."""

    FILE = 0
    MESSAGE = 1
    CAPTURE = 2
    BANK = 3
    POSE = 4
    PIXEL = 5
    QUANTITIES = 6


@dataclass(frozen=True, eq=False)
class GoalRequest:
    """Where somebody wants the robot to be."""

    kind: GoalKind
    stamp_ns: int
    goal_id: str = ''
    source: GoalSource = GoalSource.FILE
    tolerance: float = 0.0                # reached below this; 0: as the planner's parameter
    rgb: np.ndarray | None = None         # PICTURE: uint8 (H, W, 3)
    names: tuple[str, ...] = ()           # quantities that count; (): all of a picture
    values: np.ndarray | None = None      # PROBE: float64 (N,), in their units
    weights: np.ndarray | None = None     # float64 (N,), not negative; None: no names
    tolerances: np.ndarray | None = None  # float64 (N,), in their units; None: none of their own
    task: str = ''


@dataclass(frozen=True)
class PlanReport:
    """One per camera frame: proof that camera and planner live, and how the plan is doing."""

    stamp_ns: int                 # capture time of the newest frame that was received
    session: int                  # random, not 0, per activation
    epoch: int                    # from 0 within the session
    state: PlanState
    reason: Reason = Reason()     # why there is no plan
    frame_stamp_ns: int = 0       # of the newest frame looked at, which the numbers are of
    goal_id: str = ''
    goal_distance: float = float('nan')   # see `tolerance` in Goal.msg
    goal_tolerance: float = float('nan')  # reached below this, same unit
    goal_errors: tuple[float, ...] = ()   # of the quantities that the goal names
    best_cost: float = float('nan')
    start_cost: float = float('nan')
    encode_ms: float = 0.0
    plan_ms: float = 0.0
    total_ms: float = 0.0         # frame capture to chunk published
    obs_age_s: float = 0.0
    iterations: int = 0
    samples: int = 0
    std_mean: float = float('nan')
    speed_scale: float = 1.0      # [0, 1]: asks for commands slowed down by this
    surprise: float = float('nan')        # 1 is ordinary
    surprise_limit: float = float('nan')  # above it something is wrong
    deadline_misses: int = 0
    backend: str = ''


@dataclass(frozen=True)
class ExecutedStep:
    """What the robot was told; it acts from `stamp_ns` until the next one."""

    stamp_ns: int                 # start of the control step; publish time of a stop command
    requested: np.ndarray         # (A,), as planned
    executed: np.ndarray          # (A,), after limits
    session: int = 0              # of the chunk it was sampled from; 0: none
    epoch: int = 0
    sequence: int = 0             # of the chunk it was sampled from
    step: int = 0                 # row of that chunk
    clipped: bool = False
    slewed: bool = False
    overridden: bool = False      # hold, ramp or stop instead of the plan
    state: CommandState = CommandState.TRACKING
    chunk_age_s: float = 0.0      # since the frame the plan looked at
    speed_scale: float = 1.0      # in force


@dataclass(frozen=True)
class ControllerReport:
    """How the command side is doing."""

    stamp_ns: int
    state: CommandState
    reason: Reason = Reason()     # why the robot is not tracking
    at_rest: bool = True          # the last command was to stand still, or there was none
    e_stop: bool = False
    speed_scale: float = 1.0      # in force
    session: int = 0              # of the planner that is followed; 0: none
    epoch: int = 0
    sequence: int = 0
    steps_left: int = 0           # rows of the current chunk not yet executed
    chunk_age_s: float = 0.0
    rate_hz: float = 0.0          # measured command rate
    deadline_misses: int = 0
    commands_clipped: int = 0
    commands_slewed: int = 0


@dataclass(frozen=True)
class GuardReport:
    """What the guard says about itself."""

    stamp_ns: int
    phase: GuardPhase
    stops: int = 0                # how often it has begun to stop the robot
    reason: str = ''              # for people; empty while all is well
