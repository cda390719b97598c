"""What standing still is, by the robot's interface, and where motion starts from.

A robot commanded by speed stands still at zero. One commanded by position keeps the last target
for ever: it is told to stay where it was *measured* when the stop began, or as far ahead on its
way to that target as it coasts, and its first command after a pause starts from where it is, not
from where it was long ago. One commanded by effort
cannot be stopped by a last word (zero effort is falling, the last effort goes on), so it is
refused. Pure, with injected time.

Whoever fills, pads, resets or initialises commands takes `still_command`, never zeros.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import JOINT_STATE, RobotDescription
from lewm_ros.limits.measured import MeasuredPositions
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

# How far ahead of its measured position a moving joint is told to stop [control steps]. A joint
# follows its target at a distance; told to be where it was measured, it turns back. A servo of
# 15/s that moved at 1.5 rad/s, commanded at 20 Hz, rests within 0.21 s so; told to be where it was
# measured within 0.27 s, after it came back with 0.8 rad/s; at its last target within 0.24 s.
_COASTING = 1.0
REMEMBERED_S = 2.0   # after a pause, a last command younger than this still binds the next [s]


def still_command(robot: RobotDescription, positions: np.ndarray | None) -> np.ndarray:
    """Return the command float64 (A,) that leaves the robot where it is.

    Args:
        robot: Its interface decides.
        positions: Where its joints are, measured or last sent (A,); only `joint_position` needs
            them.

    Raises:
        ConfigError: If the robot is commanded by position and nobody knows where it is.
    """
    if robot.interface != 'joint_position':
        return np.zeros(robot.action_dim)    # of an effort: no force; that it falls is not said
    if positions is None:
        raise ConfigError(f'robot {robot.robot!r} stands still at the positions of its joints, '
                          f'and those are not known; is {robot.joint_state_topic} published?')
    return np.array(positions, np.float64)


@dataclass(frozen=True)
class Start:
    """What the first command of a motion is limited by."""

    base: np.ndarray                  # (A,), the change counts from here
    near: np.ndarray | None = None    # (A,), and the command is at most one change from here


class Standstill:
    """Velocities and twists: standing still is zero, motion starts from the last command.

    Attributes:
        needs_positions: Whether `measure` has to be called.
        note: What people should know about the present standstill; empty if all is well.
    """

    needs_positions = False
    note = ''

    def measure(self, positions: np.ndarray, steady_s: float, source: Hashable = None) -> None:
        """Take measured positions (A,), [rad] or [m], that arrived at `steady_s`."""

    def blocked(self, last: np.ndarray | None, age_s: float, steady_s: float) -> Reason:
        """Say why motion cannot begin now, or nothing.

        Args:
            last: (A,), the last command; None: there was none.
            age_s: Since then.
            steady_s: Now.
        """
        return Reason()

    def start(self, last: np.ndarray | None, age_s: float, steady_s: float) -> Start:
        """Return what the first command of a motion is limited by; not while `blocked`."""
        return Start(last)

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
    """Joint positions: stop near the measured ones, and start from them.

    A joint that moves towards its target is stopped a little ahead on this way, never beyond the
    target; one that does not move, because something is in its way, where it is.

    Args:
        robot: Its joints.
        max_age_s: Older positions do not count [s].
    """

    needs_positions = True

    def __init__(self, robot: RobotDescription, max_age_s: float) -> None:
        self.measured = MeasuredPositions(robot, max_age_s)
        self._step = np.maximum(robot.max_rate, robot.stop_rate) * robot.control_dt_s
        self._names, self._dt_s = robot.joint_names, robot.control_dt_s
        self._rest: np.ndarray | None = None
        self._released = True     # the last command says nothing about where the robot is
        self.note = ''

    def measure(self, positions: np.ndarray, steady_s: float,  # noqa: D102
                source: Hashable = None) -> None:
        self.measured.take(positions, steady_s, source)

    def blocked(self, last: np.ndarray | None, age_s: float, steady_s: float) -> Reason:  # noqa: D102
        if not self._released:
            return Reason()
        problem = self.measured.problem(steady_s)
        if problem or last is None or age_s > REMEMBERED_S:
            return problem
        apart = np.abs(self.measured.positions - last) - 2 * self._step
        if (apart <= 0).all():
            return Reason()
        worst = int(np.argmax(apart))
        return Reason(Code.JOINT_STATE_CONFLICT, (
            f'{self._names[worst]} was told {last[worst]:.3f} {age_s:.1f} s ago and is measured '
            f'at {self.measured.positions[worst]:.3f}, more than two steps apart; if it was moved '
            f'by hand, motion can begin {REMEMBERED_S:.0f} s after the last command'))

    def start(self, last: np.ndarray | None, age_s: float, steady_s: float) -> Start:  # noqa: D102
        if not self._released:
            begin = Start(last)
        elif last is None or age_s > REMEMBERED_S:
            begin = Start(self.measured.positions)
        else:
            begin = Start(last, self.measured.positions)
        self._rest, self._released, self.note = None, False, ''
        return begin

    def rest(self, last: np.ndarray, steady_s: float) -> np.ndarray:  # noqa: D102
        # Measured once: a sagging arm must not be told to follow itself down.
        if self._rest is None:
            problem = self.measured.problem(steady_s)
            self._rest = last.copy() if problem else self._near(last)
            self.note = f'{problem}: holding the last command instead' if problem else ''
        return self._rest

    def _near(self, last: np.ndarray) -> np.ndarray:
        """Return where the joints can come to rest without turning back, (A,)."""
        at, speed = self.measured.positions, self.measured.speed
        ahead = at + speed * _COASTING * self._dt_s
        return np.clip(ahead, np.minimum(at, last), np.maximum(at, last))

    def reached(self, last: np.ndarray) -> bool:  # noqa: D102
        return self._rest is not None and bool((last == self._rest).all())

    def release(self) -> None:  # noqa: D102
        self._released = True

    def last_word(self, last: np.ndarray, steady_s: float):  # noqa: D102
        # It already holds, or was never ours to command.
        return None if self._released else (self.rest(last, steady_s), True)


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
    return HeldPosition(robot, max_age_s)
