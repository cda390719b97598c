"""Limits on every command, the last stage before the robot.

In this order: speed scale, value limits, position limits, rate limits, dead band.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import PlanningError
from lewm_model.robots.robot import RobotDescription
import numpy as np

_PERIODS = (0.2, 2.0)  # measured time since the last command counts within these [steps]
_ROUNDING = 1e-6         # of commands; a change that is allowed must arrive exactly


@dataclass(frozen=True)
class Limited:
    """A command the robot may get."""

    values: np.ndarray    # float64 (A,), what is sent
    base: np.ndarray      # float64 (A,), before the dead band: the next change starts from it
    clipped: bool         # a value or position limit was hit
    slewed: bool          # a rate limit was hit


class CommandLimiter:
    """Makes any request one that the robot may get; all limits are those of the robot."""

    def __init__(self, robot: RobotDescription) -> None:
        self._robot = robot
        self._speeds = robot.interface != 'joint_position'

    def limit(self, requested: np.ndarray, last: np.ndarray, elapsed_s: float, *,
              stopping: bool = False, speed_scale: float = 1.0,
              bounds: tuple[np.ndarray, np.ndarray] | None = None,
              near: np.ndarray | None = None) -> Limited:
        """Return the command nearest to `requested` that the robot may get after `last`.

        Args:
            requested: (A,), robot units.
            last: (A,), `Limited.base` of the command that the robot got before.
            elapsed_s: Measured time since then [s]; counts as 0.2 to 2 control steps, so
                neither a stall nor a burst turns into a jump.
            stopping: Use the emergency ramp, `stop_rate`, instead of `max_rate`, and no other
                limit: standing still is always allowed.
            speed_scale: In [0, 1]; of speeds, or of the rate at which positions change.
            bounds: Smallest and largest values (A,) for now, from position limits. A speed
                above them comes down with `stop_rate` if that is faster.
            near: (A,), where the robot was measured; the command is at most one change from it.

        Raises:
            PlanningError: If `requested` is not finite or has the wrong length.
        """
        requested = np.asarray(requested, np.float64)
        if requested.shape != last.shape or not np.isfinite(requested).all():
            raise PlanningError(f'command {requested.tolist()} is not {last.size} finite numbers')
        robot = self._robot
        low, high = (periods * robot.control_dt_s for periods in _PERIODS)
        elapsed_s = min(max(elapsed_s, low), high)
        if stopping:
            target, clipped, most = requested, False, robot.stop_rate * elapsed_s
        else:
            wanted = requested * speed_scale if self._speeds else requested
            inside = self._within_values(wanted)
            target = inside if bounds is None else np.clip(inside, *bounds)
            clipped = bool((target != wanted).any())
            rate = robot.max_rate * (1.0 if self._speeds else speed_scale)
            braking = self._speeds & ((target < inside) & (target < last)
                                      | (target > inside) & (target > last))
            most = elapsed_s * np.where(braking, np.maximum(rate, robot.stop_rate), rate)
        base, slewed = self._slew(last, target, most,
                                  together=robot.keeps_direction and not stopping)
        if near is not None:
            base = np.clip(base, near - most, near + most)
        still = np.abs(base) < robot.deadband   # zeros for positions
        return Limited(values=np.where(still, 0.0, base), base=base, clipped=clipped,
                       slewed=slewed)

    def _within_values(self, wanted: np.ndarray) -> np.ndarray:
        """Apply the value limits; of speeds all shrink by one factor, which keeps the way."""
        low, high = self._robot.min_command, self._robot.max_command
        if self._speeds:
            bound = np.where(wanted > 0, np.maximum(high, 0), np.minimum(low, 0))
            over = (np.abs(wanted) > np.abs(bound)) & (bound != 0)   # zero would stop all axes
            if over.any():
                wanted = wanted * (bound[over] / wanted[over]).min()
        return np.clip(wanted, low, high)

    @staticmethod
    def _slew(last: np.ndarray, target: np.ndarray, most: np.ndarray, *, together: bool
              ) -> tuple[np.ndarray, bool]:
        """Return the command on the way from `last` to `target`, and whether it ends early."""
        change = target - last
        too_much = np.abs(change) > most + _ROUNDING  # what is allowed arrives exactly
        if not too_much.any():
            return target, False
        if together:
            return last + change * (most[too_much] / np.abs(change[too_much])).min(), True
        return np.where(too_much, last + np.clip(change, -most, most), target), True
