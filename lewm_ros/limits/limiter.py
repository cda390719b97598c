"""Limits on every command, the last stage before the robot: value limits, then rate limits."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import PlanningError
from lewm_model.robot import RobotDescription
import numpy as np

_PERIODS = (0.2, 2.0)  # measured time since the last command counts within these [steps]
_ROUNDING = 1e-6         # of commands; a change that is allowed must arrive exactly


@dataclass(frozen=True)
class Limited:
    """A command the robot may get."""

    values: np.ndarray    # float64 (A,)
    clipped: bool         # a value limit was hit
    slewed: bool          # a rate limit was hit


class CommandLimiter:
    """Value limits, then rate limits, then an optional dead band; all from the robot."""

    def __init__(self, robot: RobotDescription) -> None:
        self._robot = robot

    def limit(self, requested: np.ndarray, last: np.ndarray, elapsed_s: float, *,
              stopping: bool = False, deadband: float = 0.0) -> Limited:
        """Return the command nearest to `requested` that the robot may get after `last`.

        Args:
            requested: (A,), robot units.
            last: (A,), the command the robot got before.
            elapsed_s: Measured time since then [s]; counts as 0.2 to 2 control steps, so
                neither a stall nor a burst turns into a jump.
            stopping: Use the emergency ramp, `stop_rate`, instead of `max_rate`.
            deadband: Smaller absolute values become zero; not of joint positions, where zero
                is a place like any other.

        Raises:
            PlanningError: If `requested` is not finite or has the wrong length.
        """
        requested = np.asarray(requested, np.float64)
        if requested.shape != last.shape or not np.isfinite(requested).all():
            raise PlanningError(f'command {requested.tolist()} is not {last.size} finite numbers')
        robot = self._robot
        clipped = (requested if stopping  # standing still is always allowed
                   else np.clip(requested, robot.min_command, robot.max_command))
        low, high = (periods * robot.control_dt_s for periods in _PERIODS)
        elapsed_s = min(max(elapsed_s, low), high)
        most = (robot.stop_rate if stopping else robot.max_rate) * elapsed_s
        change = clipped - last
        too_much = np.abs(change) > most + _ROUNDING  # what is allowed arrives exactly
        slewed = np.where(too_much, last + np.clip(change, -most, most), clipped)
        still = (np.abs(slewed) < deadband) & (robot.interface != 'joint_position')
        values = np.where(still, 0.0, slewed)
        return Limited(values=values, clipped=bool((clipped != requested).any()),
                       slewed=bool(too_much.any()))
