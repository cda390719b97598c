"""The simulated motor drivers: what reaches the scene of the newest command, or without one."""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import RobotDescription
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
        self._fresh = False

    def receive(self, action: np.ndarray, now_s: float) -> None:
        """Take a new command, (A,), that arrived at `now_s`."""
        self._output = np.asarray(action, np.float64).copy()
        self._received_s = now_s
        self._fresh = True

    def output(self, now_s: float, dt_s: float, positions: np.ndarray | None = None
               ) -> np.ndarray | None:
        """Return the command that begins now, (A,); None: the last one goes on.

        Args:
            now_s: Simulated time [s].
            dt_s: Until the next call [s].
            positions: Not used.
        """
        if self.timed_out(now_s):
            if not self._output.any():
                return None
            step = self._stop_rate * dt_s
            self._output = self._output - np.clip(self._output, -step, step)
            self._fresh = True
        fresh, self._fresh = self._fresh, False
        return self._output.copy() if fresh else None

    def timed_out(self, now_s: float) -> bool:
        """Tell whether the newest command is too old to count."""
        return (self._timeout_s > 0 and self._received_s is not None
                and now_s - self._received_s > self._timeout_s)


class HoldingDrive:
    """Hands every command on once; what was commanded last counts for ever.

    So do position controllers.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the command."""
        self._command: np.ndarray | None = None

    def receive(self, action: np.ndarray, now_s: float) -> None:
        """Take a new command, (A,)."""
        self._command = np.asarray(action, np.float64).copy()

    def output(self, now_s: float, dt_s: float, positions: np.ndarray | None = None
               ) -> np.ndarray | None:
        """Return the command if it is new, (A,), see `Drive.output`."""
        command, self._command = self._command, None
        return command

    def timed_out(self, now_s: float) -> bool:
        """Tell that no command is ever too old."""
        return False


class PositionDrive:
    """Follows the newest position command on joints that take speeds, and holds it for ever.

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


def drive_of(robot: RobotDescription, own: RobotDescription, timeout_s: float
             ) -> Drive | HoldingDrive | PositionDrive:
    """Return the drive of a robot in a scene that was made for another description of it.

    Args:
        robot: How it is commanded here.
        own: How the scene takes commands: the description of its task.
        timeout_s: Of speeds and forces, see `Drive`.

    Raises:
        ConfigError: If the simulator cannot drive such a robot.
    """
    if robot.joint_names != own.joint_names:
        raise ConfigError(f'robot {robot.robot!r} is commanded by {", ".join(robot.joint_names)}, '
                          f'the scene by {", ".join(own.joint_names)}; use robot {own.robot!r}')
    if robot.interface == own.interface:
        return (HoldingDrive() if robot.interface == 'joint_position'
                else Drive(robot.stop_rate, timeout_s))
    # The servos of position control are simulated, on the positions of the joints themselves.
    if (robot.interface, own.interface) == ('joint_position', 'joint_velocity') and (
            own.state_names == own.joint_names):
        return PositionDrive(own.max_command)
    raise ConfigError(f'robot {robot.robot!r} has interface {robot.interface}, the scene takes '
                      f'{own.interface}; use robot {own.robot!r}')
