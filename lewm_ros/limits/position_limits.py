"""The ends of a joint's range: where positions are clipped, and how fast one may go near them."""

from __future__ import annotations

from lewm_model.robots.robot import RobotDescription
import numpy as np

Bounds = tuple[np.ndarray, np.ndarray]
_STEPS = 2.0   # one and a half where two plans have different grids, and what the loop is late


class PositionLimits:
    """The range of every joint of one robot.

    Attributes:
        limited: bool (A,), joints with an end on at least one side.
        needs_positions: Whether speeds depend on where the joints are measured.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self._robot = robot
        self._low, self._high = robot.position_min, robot.position_max
        self.limited = np.isfinite(self._low) | np.isfinite(self._high)
        self.needs_positions = robot.interface == 'joint_velocity' and bool(self.limited.any())

    def bounds(self, positions: np.ndarray | None, age_s: float) -> Bounds | None:
        """Return the smallest and largest commands (A,) for now; None: nothing is limited.

        A speed v towards an end at distance d is one from which the joint still stops there. It
        goes on with v for the time t in which it is not looked at, and then brakes with
        a = stop_rate: v t + v^2 / (2 a) <= d. t is the age of the measurement and the two control
        steps that a command may be in force. Beyond the end only the way back is left.

        Args:
            positions: Measured (A,), [rad] or [m]; only for robots that need them.
            age_s: Since they were measured.
        """
        if not self.limited.any() or self._robot.interface == 'twist':
            return None
        if not self.needs_positions:
            return self._low, self._high
        blind_s = max(age_s, 0.0) + _STEPS * self._robot.control_dt_s
        return (-self._speed(positions - self._low, blind_s),
                self._speed(self._high - positions, blind_s))

    def at_end(self, positions: np.ndarray) -> list[str]:
        """Name the joints that are at an end of their range or beyond it, within 1 %."""
        span = np.where(np.isfinite(self._high - self._low), self._high - self._low, 1.0)
        near = np.minimum(positions - self._low, self._high - positions) <= 0.01 * span
        return [name for name, one in zip(self._robot.joint_names, near, strict=True) if one]

    def _speed(self, distance: np.ndarray, blind_s: float) -> np.ndarray:
        rate = self._robot.stop_rate
        left = np.maximum(distance, 0.0)
        return rate * (np.sqrt(blind_s ** 2 + 2 * left / rate) - blind_s)
