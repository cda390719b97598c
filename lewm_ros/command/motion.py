"""One robot and what it was told: every command goes through here, and gets its limits.

It knows the limits, where the joints were measured, the last command, and what standing still is;
whether to follow a plan or to stop is decided by `control_loop`. Pure, with injected time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from lewm_model.robots.robot import RobotDescription
from lewm_ros.command.sent import Sent
from lewm_ros.limits.limiter import CommandLimiter, Limited
from lewm_ros.limits.measured import MeasuredPositions
from lewm_ros.limits.position_limits import Bounds, PositionLimits
from lewm_ros.limits.standstill import standstill_of, still_command
from lewm_ros.limits.urdf import JointLimits, tightened
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

_STEP = 0.98   # of a control step; the timer may be early


@dataclass(frozen=True)
class Command:
    """What goes out, and what was asked for."""

    requested: np.ndarray   # (A,)
    limited: Limited


class Motion:
    """Makes the commands of one robot.

    Args:
        robot: From its file.
        state_max_age_s: Older joint positions do not count [s].

    Attributes:
        sent: What went out.

    Raises:
        ConfigError: If a robot of this kind cannot be stopped, see `standstill_of`.
    """

    def __init__(self, robot: RobotDescription, state_max_age_s: float) -> None:
        self._of_file, self._max_age_s = robot, state_max_age_s
        self._standstill = standstill_of(robot, state_max_age_s)
        self._measured: MeasuredPositions | None = getattr(self._standstill, 'measured', None)
        self._active_s = 0.0      # when it last moved or followed a plan, steady
        self._set_robot(robot)
        self.sent = self._nothing_sent()

    @property
    def needs_positions(self) -> bool:
        """Whether the robot can only be driven while `measure` is called."""
        return self._measured is not None

    @property
    def moving(self) -> bool:
        """Whether the robot was told anything but to stand still, by this node."""
        return self.sent.in_charge and not self._standstill.reached(self.sent.base)

    @property
    def note(self) -> str:
        """What people should know about the present standstill."""
        return self._standstill.note

    # What is known ---------------------------------------------------------------------------

    def measure(self, positions: np.ndarray, steady_s: float, source: Hashable = None) -> None:
        """Take the measured joint positions (A,), [rad] or [m]; not finite ones are ignored."""
        if self._measured is not None:
            self._measured.take(positions, steady_s, source)

    def set_state_max_age(self, seconds: float) -> None:
        """Change how old joint positions may be."""
        self._max_age_s = seconds
        if self._measured is not None:
            self._measured.max_age_s = seconds

    def limit_joints(self, limits: Mapping[str, JointLimits]) -> None:
        """Take the limits of the robot's own description; the tighter ones count.

        Raises:
            ConfigError: If they do not go together with the robot file; nothing is changed.
        """
        self._set_robot(tightened(self._of_file, limits))

    def blocked(self, steady_s: float) -> Reason:
        """Say why the robot cannot be driven now, because of where it is; or nothing."""
        problem = (self._measured.problem(steady_s) if self._ends.needs_positions
                   else self.conflict(steady_s))
        return problem or self._standstill.blocked(self.sent.base, self.sent.age_s(steady_s),
                                                   steady_s)

    def conflict(self, steady_s: float) -> Reason:
        """Say that the measured positions contradict each other, or nothing."""
        return Reason() if self._measured is None else self._measured.conflict(steady_s)

    def at_end(self, steady_s: float) -> Reason:
        """Say which joints are at an end of their range, or nothing."""
        if not self._ends.needs_positions or self._measured.problem(steady_s):
            return Reason()
        names = ', '.join(self._ends.at_end(self._measured.positions))
        return (Reason(Code.POSITION_LIMIT, f'at the end of its range: {names}') if names
                else Reason())

    # What goes out ---------------------------------------------------------------------------

    def follow(self, action: np.ndarray, stamp_ns: int, steady_s: float, *,
               speed_scale: float) -> Command:
        """Return the command for an action (A,) of a plan that is due at `stamp_ns`."""
        sent = self.sent
        base, near = sent.base, None
        # from standstill the measured time means nothing: allow the change of one step
        elapsed_s = (self._robot.control_dt_s if sent.stopping
                     else (stamp_ns - sent.stamp_ns) / 1e9)
        if sent.stopping:
            start = self._standstill.start(base, sent.age_s(steady_s), steady_s)
            base, near = start.base, start.near
        limited = self._limiter.limit(action, base, elapsed_s, near=near, speed_scale=speed_scale,
                                      bounds=self._bounds(steady_s))
        return self._send(action, limited, stamp_ns, steady_s)

    def hold(self, now_ns: int, steady_s: float) -> Command | None:
        """Return the last command again if one is due on its grid."""
        dt_ns, last = self._robot.control_dt_ns, self.sent.base
        steps = (now_ns - self.sent.stamp_ns) // dt_ns
        if steps < 1:
            return None
        limited = self._limiter.limit(last, last, self._robot.control_dt_s,
                                      bounds=self._bounds(steady_s))
        return self._send(last, limited, self.sent.stamp_ns + steps * dt_ns, steady_s)

    def stop(self, now_ns: int, steady_s: float, *, publish_s: float, release: bool
             ) -> Command | None:
        """Return the next command of a stop if one is due.

        Args:
            now_ns: Node clock.
            steady_s: Steady clock [s].
            publish_s: Standing still is repeated so long; then this node is silent [s].
            release: People may move the robot from now on.
        """
        sent = self.sent
        if not sent.in_charge:
            return None  # it never moved, or is done: another controller may be in charge
        if release:
            self._standstill.release()
        since_s = sent.age_s(steady_s)
        if sent.stopping and since_s < _STEP * self._robot.control_dt_s:
            return None  # the first stop command goes at once, the others once per step
        rest = self._standstill.rest(sent.base, steady_s)
        if not self.moving and steady_s - self._active_s > publish_s:
            self._standstill.release()
            sent.in_charge = False
            return None
        limited = self._limiter.limit(rest, sent.base, since_s, stopping=True)
        return self._send(rest, limited, now_ns, steady_s, stopping=True)

    def halt(self, now_ns: int, steady_s: float) -> Command | None:
        """Return the last command before going away; None if there is nothing to stop.

        Speeds become zero without a ramp. Positions take one step of the emergency ramp towards
        where they come to rest, and stay there.
        """
        sent = self.sent
        word = self._standstill.last_word(sent.base, steady_s) if sent.in_charge else None
        if word is None:
            return None
        rest, ramp = word
        limited = (self._limiter.limit(rest, sent.base, self._robot.control_dt_s, stopping=True)
                   if ramp else Limited(rest, rest, False, False))
        command = self._send(rest, limited, now_ns, steady_s, stopping=True)
        sent.in_charge = False
        self._standstill.release()
        return command

    def forget(self) -> None:
        """Somebody else has brought the robot to rest: begin anew."""
        self.sent = self._nothing_sent()
        self._standstill.release()

    def _send(self, requested: np.ndarray, limited: Limited, stamp_ns: int, steady_s: float, *,
              stopping: bool = False) -> Command:
        self.sent.note(limited, stamp_ns, steady_s, stopping=stopping)
        if not stopping or self.moving:
            self._active_s = steady_s
        return Command(requested, limited)

    def _set_robot(self, robot: RobotDescription) -> None:
        self._robot = robot
        self._limiter, self._ends = CommandLimiter(robot), PositionLimits(robot)
        if self._ends.needs_positions and self._measured is None:
            self._measured = MeasuredPositions(robot, self._max_age_s, self._ends.limited)

    def _nothing_sent(self) -> Sent:
        positions = self._robot.interface == 'joint_position'
        return Sent(None if positions else still_command(self._robot, None))

    def _bounds(self, steady_s: float) -> Bounds | None:
        if not self._ends.needs_positions:
            return self._ends.bounds(None, 0.0)
        return self._ends.bounds(self._measured.positions, self._measured.age_s(steady_s))
