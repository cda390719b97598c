"""Going to goals, as plain values: what is asked for, how it goes, how it ended. No rclpy.

`reach_msgs` turns these into `action/ReachGoal` and back; a test holds the numbers equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
import math

from lewm_ros.wire.reasons import Reason

_NAN = float('nan')


class Ending(IntEnum):
    """How going to goals ended, see the comments in `action/ReachGoal.action`."""

    NONE = 0
    GOAL_REFUSED = 1
    UNKNOWN = 100
    NO_OBSERVATION = 101
    PLANNER_GONE = 102
    MODEL_ERROR = 103
    NO_PROGRESS = 104
    TIMEOUT = 105
    COMMAND_FAULT = 106
    E_STOP = 107
    NOT_ENABLED = 108
    PREEMPTED = 109
    CANCELED = 110
    SURPRISED = 111
    STILL_MOVING = 112
    INACTIVE = 113


@dataclass(frozen=True)
class ReachOrder:
    """What somebody asks for, beside the goals."""

    dwell_s: float = 0.0         # each goal must stay met this long; 0: as the planner's parameter
    timeout_s: float = 0.0       # for all goals together; 0: none
    no_progress_s: float = 0.0   # 0: as the goal node's parameter
    dry_run: bool = False        # plan to the first goal, move nothing


@dataclass(frozen=True)
class Target:
    """One goal as whoever watches the way to it needs it."""

    goal_id: str
    names: tuple[str, ...] = ()         # quantities that count; (): all of a picture
    tolerance: float = 0.0              # of the distance; 0: as the planner's parameter
    tolerances: tuple[float, ...] = ()  # of each quantity, inf where it has no weight; (): none


@dataclass(frozen=True)
class ReachProgress:
    """How it goes."""

    goal_id: str
    goals_left: int                    # this one included
    distance: float = _NAN             # see `tolerance` in Goal.msg
    tolerance: float = _NAN
    best_distance: float = _NAN
    errors: tuple[float, ...] = ()     # of the goal's names, each in its unit
    seconds_left: float = _NAN         # by the trend of the distance; NaN: it does not get smaller
    elapsed_s: float = 0.0
    replans: int = 0
    latency_ms: float = _NAN
    surprise: float = _NAN             # 1 is ordinary
    moving: bool = False               # the robot follows plans
    reason: Reason = Reason()          # why it does not, or does not get closer

    def __str__(self) -> str:
        left = 'no trend' if math.isnan(self.seconds_left) else f'{self.seconds_left:.1f} s left'
        return (f'goal {self.goal_id!r}, {self.goals_left} to go: distance {self.distance:.3g}, '
                f'reached below {self.tolerance:.3g}, best {self.best_distance:.3g}; {left} after '
                f'{self.elapsed_s:.1f} s, {"moving" if self.moving else "not moving"}'
                f'{": " if self.reason else ""}{self.reason}')


@dataclass(frozen=True)
class ReachResult:
    """How it ended; true if every goal was reached, or a dry run could be planned."""

    ending: Ending
    text: str = ''                 # for people; empty when all is well
    goals_reached: int = 0
    goal_id: str = ''              # of the last goal that was tried
    final_distance: float = _NAN
    best_distance: float = _NAN
    elapsed_s: float = 0.0
    replans: int = 0
    latency_p95_ms: float = _NAN   # frame captured to chunk published
    start_cost: float = _NAN       # dry run: before and after the search
    final_cost: float = _NAN

    def __bool__(self) -> bool:
        return self.ending is Ending.NONE

    def __str__(self) -> str:
        if self.ending is not Ending.NONE:
            return f'{self.ending.name}: {self.text}'
        if self.goals_reached:
            return (f'{self.goals_reached} reached in {self.elapsed_s:.1f} s, at '
                    f'{self.final_distance:.3g} from goal {self.goal_id!r}')
        return (f'goal {self.goal_id!r} can be planned: cost {self.start_cost:.3g} before the '
                f'search, {self.final_cost:.3g} after it')
