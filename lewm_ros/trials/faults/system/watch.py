"""What a trial measures, from outside: when the joints rest, and what the robot was told. Pure.

Times are of the steady clock at which messages arrived here.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from lewm_model.robots.robot import RobotDescription
import numpy as np

REST_SPEED = 0.05       # slower than this is at rest [rad/s]
REST_S = 0.4            # and so long, or it was a turning point
_PAUSE_S = 0.5          # after so long without a command the next one starts from the joints
_CAP = 2                # control steps whose change one command may bring, see `limits.limiter`
_ROUNDING = 1e-6
_SAME = 1e-3            # commands that differ by less say the same [robot units]


@dataclass(frozen=True)
class Jump:
    """How far the robot's commands were beyond what they may be [robot units]; 0: nowhere."""

    over_limit: float
    over_slew: float


class Watch:
    """Keeps what arrives, and answers.

    Args:
        robot: Whose limits count.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self._robot = robot
        self.joint_times_s: list[float] = []
        self.positions: list[np.ndarray] = []
        self.speeds: list[float] = []             # the largest of any joint
        self.command_times_s: list[float] = []
        self.commands: list[np.ndarray] = []

    def add_joints(self, now_s: float, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Take the true state, (P,) each."""
        self.joint_times_s.append(now_s)
        self.positions.append(positions)
        self.speeds.append(float(np.abs(velocities).max()))

    def add_command(self, now_s: float, command: np.ndarray) -> None:
        """Take what the robot was told, (A,)."""
        self.command_times_s.append(now_s)
        self.commands.append(command)

    def forget(self, before_s: float) -> None:
        """Let go of what is older."""
        first = bisect_left(self.joint_times_s, before_s)
        for values in (self.joint_times_s, self.positions, self.speeds):
            del values[:first]
        first = bisect_left(self.command_times_s, before_s)
        for values in (self.command_times_s, self.commands):
            del values[:first]

    def rest_after(self, since_s: float) -> float | None:
        """Return how long after `since_s` the joints came to rest and stayed so; None: not yet."""
        begin: float | None = None
        for at_s, speed in zip(self.joint_times_s, self.speeds, strict=True):
            if at_s < since_s:
                continue
            if not speed < REST_SPEED:
                begin = None
            elif begin is None:
                begin = at_s
            if begin is not None and at_s - begin >= REST_S:
                return begin - since_s
        return None

    def told_after(self, since_s: float, until_s: float) -> float | None:
        """Return how long after `since_s` the robot was first told what it was told in the end.

        That is when the commands stopped it; what is left until it rests is the robot's own. None
        if there was no command; negative if nothing new was said.
        """
        last = bisect_left(self.command_times_s, until_s) - 1
        if last < 0:
            return None
        first = last
        while first > 0 and np.allclose(self.commands[first - 1], self.commands[last],
                                        rtol=0, atol=_SAME):
            first -= 1
        return self.command_times_s[first] - since_s

    def jump(self, since_s: float) -> Jump:
        """Return the worst command since then: past a value limit, and past a slew step.

        One command may change by what the limits allow in two control steps, and any two by what
        they allow in the time between them and two steps. A position that is commanded after a
        pause may differ by that much from where the joints are.
        """
        robot = self._robot
        rate = np.maximum(robot.max_rate, robot.stop_rate)
        step = _CAP * robot.control_dt_s
        low, high = robot.min_command, robot.max_command
        over_limit = over_slew = 0.0
        first = bisect_left(self.command_times_s, since_s)
        for k in range(max(first, 1), len(self.commands)):
            command, at_s = self.commands[k], self.command_times_s[k]
            over_limit = max(over_limit, float(np.max([low - command, command - high])))
            pause = at_s - self.command_times_s[k - 1] > _PAUSE_S
            last = (self._place(at_s) if pause and robot.interface == 'joint_position'
                    else self.commands[k - 1])
            if last is not None:
                over_slew = max(over_slew, float((abs(command - last) - rate * step).max()))
            for j in range(k - 2, first - 1, -1):
                elapsed_s = at_s - self.command_times_s[j]
                if pause or elapsed_s > _PAUSE_S:
                    break
                over_slew = max(over_slew, float(
                    (abs(command - self.commands[j]) - rate * (elapsed_s + step)).max()))
        return Jump(*(value if value > _ROUNDING else 0.0 for value in (over_limit, over_slew)))

    def _place(self, at_s: float) -> np.ndarray | None:
        """Return where the joints were at that time."""
        index = bisect_left(self.joint_times_s, at_s) - 1
        return self.positions[index] if index >= 0 else None
