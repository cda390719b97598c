"""When the guard speaks, and what it says. Pure, with injected time.

Most controllers repeat their last command for ever, so a command node that dies in motion leaves
a robot in motion. The guard follows what the command node says; when nothing has come from it
for `silence_s` though its last command was not to stand still, the guard ramps to standstill with
the robot's `stop_rate`, repeats standstill for `hold_s`, and falls silent.

Silence is counted in the guard's own ticks, each for one period at most. So a machine that stood
still as a whole, guard included, was not silent: messages that waited are handled first. Only
the steady clock counts; the node clock may jump or stand still.

Somebody else's commands, during the silence or during the stop, end the guard's part: two who
command one robot are worse than one. A command node that comes back is answered in the same way
as soon as it commands; while it only reports (a new one waits for its plan) the guard still ends
a ramp that it began, because nobody else would.
"""

from __future__ import annotations

from collections import deque

from lewm_model.robots.robot import RobotDescription
from lewm_ros.limits.limiter import CommandLimiter
from lewm_ros.limits.standstill import standstill_of
from lewm_ros.wire.reports import GuardPhase
import numpy as np

TICK_S = 0.02
_LATE = 2.5             # ticks; a longer gap between two ticks counts as so long a silence
_STEP = 0.98            # of a control step; the timer may be early
_REMEMBERED = 50        # measured positions
_OWN = 4                # own commands that may still be on their way back to us


class LastWord:
    """Decides about one robot.

    Args:
        robot: How it is stopped.
        silence_s: Of the command node, after which it counts as dead [s].
        hold_s: Standstill is repeated this long [s].
        state_max_age_s: Older measured positions are no place to stop at [s].

    Attributes:
        phase: What it is doing.
        stops: How often it took over.
        needs_positions: Whether `measure` has to be called.

    Raises:
        ConfigError: If a robot of this kind cannot be stopped, see `standstill_of`.
    """

    def __init__(self, robot: RobotDescription, *, silence_s: float, hold_s: float,
                 state_max_age_s: float) -> None:
        self.phase = GuardPhase.WAITING
        self.stops = 0
        self._standstill = standstill_of(robot, state_max_age_s)   # a new one for each stop
        self.needs_positions = self._standstill.needs_positions
        self._robot = robot
        self._speeds = robot.interface != 'joint_position'   # standing still is zero
        self._limiter = CommandLimiter(robot)
        self._silence_limit_s, self._hold_s = silence_s, hold_s
        self._state_max_age_s = state_max_age_s
        self._last: np.ndarray | None = None      # newest command of the command node, or ours
        self._last_s, self._stamp_ns = 0.0, 0
        self._moving = False                      # that command was not to stand still
        self._silence_s = 0.0
        self._tick_s: float | None = None
        self._measured: deque[tuple[np.ndarray, float]] = deque(maxlen=_REMEMBERED)
        self._said: deque[np.ndarray] = deque(maxlen=_OWN)
        self._rest_since_s: float | None = None

    @property
    def reason(self) -> str:
        """What happened, for people; empty while the command node is well."""
        if self.phase in (GuardPhase.WAITING, GuardPhase.WATCHING):
            return ''
        if self.phase is GuardPhase.TAKEN_OVER:
            return 'the command node is silent, and somebody else commands the robot'
        return '; '.join(filter(None, (
            'the command node fell silent in motion: the guard stops the robot',
            self._standstill.note)))

    def hear_command_of_node(self, action: np.ndarray, stamp_ns: int, steady_s: float, *,
                             stopping: bool, at_rest: bool) -> None:
        """Take what the command node told the robot (A,).

        Args:
            action: Robot units.
            stamp_ns: Node clock; only compared with that of reports.
            steady_s: Now.
            stopping: It is part of a stop, and was sent at its stamp; others may be sent up to
                a control step after theirs.
            at_rest: It was told to stand still.
        """
        self._last, self._last_s = action, steady_s
        self._stamp_ns = stamp_ns + (0 if stopping else self._robot.control_dt_ns)
        self._moving = not (at_rest or self._speeds and not action.any())
        self._alive()

    def hear_report_of_node(self, at_rest: bool, stamp_ns: int) -> None:
        """Take a report of the command node, which may say that it has stopped the robot."""
        if self.phase is GuardPhase.SPEAKING and self._rest_since_s is None:
            return      # it commands nothing yet: end the ramp for it
        if at_rest and stamp_ns >= self._stamp_ns:   # else the command is newer than the report
            self._moving = False
        self._alive()

    def hear_command(self, places: list[int], values: np.ndarray) -> None:
        """Take a command from one of the robot's topics: `values` for these `places` of (A,).

        The command node's own come while it is no longer silent than it ever is; what comes
        later, and is not what this guard said, is somebody else's. A node that dies between a
        speed and its `executed_command` was not at rest, whatever it said before.
        """
        if any(np.array_equal(values, own[places]) for own in self._said):
            return
        if self.phase is not GuardPhase.WAITING and (
                self._silence_s > 0.5 * self._silence_limit_s):
            self.phase, self._moving = GuardPhase.TAKEN_OVER, False
        elif self._speeds and self._last is not None:
            self._last = self._last.copy()
            self._last[places] = values
            self._moving = bool(self._last.any())

    def measure(self, positions: np.ndarray, steady_s: float) -> None:
        """Take measured joint positions (A,), [rad] or [m]."""
        if np.isfinite(positions).all():
            self._measured.append((np.array(positions, np.float64), steady_s))

    def tick(self, steady_s: float) -> np.ndarray | None:
        """Return the command to send now (A,), if one is due; call it every `TICK_S`."""
        gap_s = 0.0 if self._tick_s is None else steady_s - self._tick_s
        self._tick_s = steady_s
        self._silence_s += min(max(gap_s, 0.0), _LATE * TICK_S)
        if self.phase is GuardPhase.WATCHING and self._silence_s >= self._silence_limit_s:
            if self._moving:
                self._take_over()
            else:
                self.phase = GuardPhase.WAITING
        if self.phase is not GuardPhase.SPEAKING:
            return None
        since_s = steady_s - self._last_s
        if self._said and since_s < _STEP * self._robot.control_dt_s:
            return None
        if self._rest_since_s is not None and steady_s - self._rest_since_s > self._hold_s:
            self.phase, self._moving = GuardPhase.SPOKEN, False
            return None
        return self._speak(since_s, steady_s)

    def _take_over(self) -> None:
        self.phase = GuardPhase.SPEAKING
        self.stops += 1
        self._said.clear()
        self._rest_since_s = None
        self._standstill = standstill_of(self._robot, self._state_max_age_s)
        for measured in self._measured:   # more than one: it asks how fast the robot was
            self._standstill.measure(*measured)

    def _speak(self, since_s: float, steady_s: float) -> np.ndarray:
        rest = self._standstill.rest(self._last, steady_s)
        command = self._limiter.limit(rest, self._last, since_s, stopping=True).values
        self._last, self._last_s = command, steady_s
        self._said.append(command)
        if self._rest_since_s is None and self._standstill.reached(command):
            self._rest_since_s = steady_s
        return command

    def _alive(self) -> None:
        self._silence_s = 0.0
        if self.phase is not GuardPhase.WATCHING:
            self.phase = GuardPhase.WATCHING
            self._said.clear()
