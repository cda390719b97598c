"""The simulated motor drivers: what the joints do under the newest command, or without one."""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.robot import RobotDescription
import numpy as np

# Of the position loop [1/s]; inside it is the velocity servo of the simulated joints (20 ms).
_POSITION_GAIN = 15.0


class Drive:
    """Holds the newest velocity command; a command that grows old ramps down to zero.

    Real drivers do this in firmware, so a dead network or a killed node stops the motors
    whatever the software above them believes.

    Args:
        stop_rate: Slew limit of the ramp, (A,) [unit/s].
        timeout_s: Age at which a command stops counting [s]; 0 lets it count forever.
    """

    def __init__(self, stop_rate: np.ndarray, timeout_s: float) -> None:
        self._stop_rate = np.asarray(stop_rate, np.float64)
        self._timeout_s = timeout_s
        self.clear()

    def clear(self) -> None:
        """Forget the command and stand still at once, as after a reset."""
        self._output = np.zeros_like(self._stop_rate)
        self._received_s: float | None = None

    def receive(self, action: np.ndarray, now_s: float) -> None:
        """Take a new command, (A,), that arrived at `now_s`."""
        self._output = np.asarray(action, np.float64).copy()
        self._received_s = now_s

    def output(self, now_s: float, dt_s: float, positions: np.ndarray | None = None
               ) -> np.ndarray:
        """Return the speed of the joints in the coming `dt_s`, (A,); `positions` are not used."""
        if self.timed_out(now_s):
            step = self._stop_rate * dt_s
            self._output -= np.clip(self._output, -step, step)
        return self._output.copy()

    def timed_out(self, now_s: float) -> bool:
        """Tell whether the newest command is too old to count."""
        return (self._timeout_s > 0 and self._received_s is not None
                and now_s - self._received_s > self._timeout_s)


class PositionDrive:
    """Follows the newest position command with a speed limit, and holds it for ever.

    So do position controllers: what was commanded last is where they go, however old it is.

    Args:
        max_speed: (A,) [unit/s].
    """

    def __init__(self, max_speed: np.ndarray) -> None:
        self._max_speed = np.asarray(max_speed, np.float64)
        self.clear()

    def clear(self) -> None:
        """Forget the command; until the next one the joints stay where they are."""
        self._target: np.ndarray | None = None

    def receive(self, action: np.ndarray, now_s: float) -> None:
        """Take a new command, (A,)."""
        self._target = np.asarray(action, np.float64).copy()

    def output(self, now_s: float, dt_s: float, positions: np.ndarray) -> np.ndarray:
        """Return the speed of the joints at `positions` in the coming `dt_s`, (A,)."""
        if self._target is None:
            return np.zeros_like(self._max_speed)
        return np.clip(_POSITION_GAIN * (self._target - positions), -self._max_speed,
                       self._max_speed)

    def timed_out(self, now_s: float) -> bool:
        """Tell that no command is ever too old."""
        return False


def drive_of(robot: RobotDescription, max_speed: np.ndarray, timeout_s: float
             ) -> Drive | PositionDrive:
    """Return the drive of a robot, by its interface.

    Args:
        robot: Commanded by joint velocities or positions.
        max_speed: What its motors can do, (A,) [unit/s].
        timeout_s: Of velocity commands, see `Drive`.

    Raises:
        ConfigError: If the simulator cannot drive such a robot.
    """
    if robot.interface == 'joint_velocity':
        return Drive(robot.stop_rate, timeout_s)
    if robot.interface == 'joint_position':
        return PositionDrive(max_speed)
    raise ConfigError(f'the simulator drives joint_velocity and joint_position, robot '
                      f'{robot.robot!r} has interface {robot.interface}; choose another robot')
