"""What standing still is, by the robot's interface, and where motion starts from.

A robot commanded by speed stands still at zero. One commanded by position keeps the last target
for ever: it is told to stay where it was *measured* when the stop began, and its first command
after a pause starts from where it is, not from where it was long ago. One commanded by effort
cannot be stopped by a last word (zero effort is falling, the last effort goes on), so it is
refused. Pure, with injected time.
"""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.robot import JOINT_STATE, RobotDescription
import numpy as np


class Standstill:
    """Velocities and twists: standing still is zero, motion starts from the last command.

    Attributes:
        needs_positions: Whether `measure` has to be called.
        note: What people should know about the present standstill; empty if all is well.
    """

    needs_positions = False
    note = ''

    def measure(self, positions: np.ndarray, steady_s: float) -> None:
        """Take measured positions (A,), [rad] or [m], that arrived at `steady_s`."""

    def blocked(self, steady_s: float) -> str:
        """Say why motion cannot begin now, or nothing."""
        return ''

    def start(self, last: np.ndarray, steady_s: float) -> np.ndarray:
        """Return the command (A,) that the first command of a motion is rate-limited from."""
        return last

    def rest(self, last: np.ndarray, steady_s: float) -> np.ndarray:
        """Return the command (A,) to stop at; the same until the next `start`."""
        return np.zeros_like(last)

    def reached(self, last: np.ndarray) -> bool:
        """Tell whether the robot's last command (A,) is the one to stop at."""
        return not last.any()

    def release(self) -> None:
        """The robot may be moved by others from now on: in a pause, or while disabled."""

    def last_word(self, last: np.ndarray, steady_s: float) -> tuple[np.ndarray, bool] | None:
        """Return the last command and whether it is ramped to; None: say nothing."""
        return np.zeros_like(last), False


class HeldPosition(Standstill):
    """Joint positions: stop at the measured ones, and start from them.

    Args:
        names: Joints, for people.
        topic: Where their positions come from, for people.
        max_age_s: Older positions do not count [s].
    """

    needs_positions = True

    def __init__(self, names: tuple[str, ...], topic: str, max_age_s: float) -> None:
        self._what = f'positions of {", ".join(names)} on {topic}'
        self._max_age_s = max_age_s
        self._measured: tuple[np.ndarray, float] | None = None   # (positions, arrival)
        self._rest: np.ndarray | None = None
        self._released = True     # the last command says nothing about where the robot is
        self.note = ''

    def measure(self, positions: np.ndarray, steady_s: float) -> None:  # noqa: D102
        if np.isfinite(positions).all():
            self._measured = (np.array(positions, np.float64), steady_s)

    def blocked(self, steady_s: float) -> str:  # noqa: D102
        return self._problem(steady_s) if self._released else ''

    def start(self, last: np.ndarray, steady_s: float) -> np.ndarray:  # noqa: D102
        begin = self._measured[0] if self._released else last
        self._rest, self._released, self.note = None, False, ''
        return begin

    def rest(self, last: np.ndarray, steady_s: float) -> np.ndarray:  # noqa: D102
        # Measured once: a sagging arm must not be told to follow itself down.
        if self._rest is None:
            problem = self._problem(steady_s)
            self._rest = last.copy() if problem else self._measured[0]
            self.note = f'{problem}: holding the last command instead' if problem else ''
        return self._rest

    def reached(self, last: np.ndarray) -> bool:  # noqa: D102
        return self._rest is not None and bool((last == self._rest).all())

    def release(self) -> None:  # noqa: D102
        self._released = True

    def last_word(self, last: np.ndarray, steady_s: float):  # noqa: D102
        # It already holds, or was never ours to command.
        return None if self._released else (self.rest(last, steady_s), True)

    def _problem(self, steady_s: float) -> str:
        if self._measured is None:
            return f'no {self._what} yet'
        age_s = steady_s - self._measured[1]
        if not age_s <= self._max_age_s:
            return (f'the newest {self._what} came {age_s:.2f} s ago, allowed are '
                    f'{self._max_age_s} s')
        return ''


def standstill_of(robot: RobotDescription, max_age_s: float) -> Standstill:
    """Return how this robot is stopped.

    Args:
        robot: Its interface decides.
        max_age_s: Of measured positions, where they are needed [s].

    Raises:
        ConfigError: If nothing this package says could make it stand still.
    """
    if robot.interface == 'joint_effort':
        raise ConfigError(
            f'robot {robot.robot!r} is commanded by efforts, which are not sent live: no last '
            f'command makes it stand still when this node or the network dies. Put a position or '
            f'velocity controller in between and describe that, or plan in shadow mode only')
    if robot.interface != 'joint_position':
        return Standstill()
    if robot.state_type != JOINT_STATE:
        raise ConfigError(f'robot {robot.robot!r} is commanded by joint positions, and stops at '
                          f'the measured ones: state_type must be {JOINT_STATE}, got '
                          f'{robot.state_type}')
    return HeldPosition(robot.joint_names, robot.joint_state_topic, max_age_s)
