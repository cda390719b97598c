"""The watchdog of the command node: a state machine in which every doubt leads towards stop.

Pure, with injected time. This is not a certified safety function: it keeps a planner that
is late, dead or wrong from driving the robot, and does not replace an emergency-stop circuit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import auto, Enum

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState

_ROUNDING = 1e-6  # of times [s]; a step early or late must not come from it


@dataclass(frozen=True)
class Signals:
    """All the watchdog looks at in one step."""

    steady_s: float              # steady clock; never the node clock, that may stand still
    row_due: bool                # a valid plan has an action for now
    heartbeat_age_s: float       # steady clock, since the planner's last sign of life; inf: none
    observation_age_s: float     # node clock, of the newest frame the planner saw; inf: none
    moving: bool                 # the last command was not to stand still
    stop: Reason = Reason()      # why the plan must not be followed, whatever it says


@dataclass(frozen=True)
class WatchdogLimits:
    """When the watchdog acts [s]."""

    planner_timeout_s: float
    obs_max_age_s: float
    max_future_s: float
    hold_s: float


class Alarm(Enum):
    """Why the robot must not follow its plan any longer."""

    PLANNER_SILENT = auto()
    OBSERVATION_STALE = auto()


class Watchdog:
    """The state machine: DISABLED, IDLE, TRACKING, HOLD, RAMP_DOWN, STOPPED, FAULT (latched).

    Every doubt leads towards stop. Leaving DISABLED needs `enable`; leaving FAULT needs
    `clear_fault` and then `enable`; an e-stop disables, and enabling is refused while it lasts.

    Attributes:
        state: Where the machine is.
        reason: Why the robot is not tracking; false while it is.
        alarm: What is wrong with planner or camera, in any state; None while all is well.
        e_stop: Whether the e-stop is pressed.
    """

    def __init__(self, *, enabled: bool = False, e_stop: bool = False) -> None:
        self.state = CommandState.DISABLED
        self.reason = Reason(Code.NOT_ENABLED, 'not enabled; call ~/enable')
        self.alarm: Alarm | None = None
        self.e_stop = e_stop
        self._hold_since_s = 0.0
        if enabled:
            self.enable()

    def enable(self) -> str:
        """Allow motion; return why not, or an empty string."""
        if self.e_stop:
            return 'the e-stop is pressed; release it first'
        if self.state is CommandState.FAULT:
            return f'a fault is latched: {self.reason.text}; call ~/clear_fault first'
        if self.state is CommandState.DISABLED:
            self._go(CommandState.IDLE, Reason(Code.WAITING_FOR_PLAN, 'waiting for a plan'))
        return ''

    def disable(self, reason: Reason) -> None:
        """Stop until `enable`; a latched fault stays."""
        if self.state is not CommandState.FAULT:
            self._go(CommandState.DISABLED, reason)

    def set_e_stop(self, pressed: bool) -> None:
        """Press or release the e-stop; releasing it does not start anything."""
        self.e_stop = pressed
        if pressed:
            self.disable(Reason(Code.E_STOP, 'e-stop pressed; release it, then call ~/enable'))

    def fault(self, reason: Reason) -> None:
        """Stop and latch; the first reason is kept."""
        if self.state is not CommandState.FAULT:
            self._go(CommandState.FAULT, reason)

    def clear_fault(self) -> str:
        """Leave FAULT for DISABLED; return why not, or an empty string."""
        if self.state is not CommandState.FAULT:
            return 'no fault is latched'
        self._go(CommandState.DISABLED, Reason(Code.NOT_ENABLED, 'fault cleared; call ~/enable'))
        return ''

    def update(self, signals: Signals, limits: WatchdogLimits) -> CommandState:
        """Look at the world and return the state to act in."""
        self.alarm, why = _alarm(signals, limits)
        if self.state in (CommandState.DISABLED, CommandState.FAULT):
            return self.state
        resting = CommandState.RAMP_DOWN if signals.moving else CommandState.STOPPED
        why = why or signals.stop   # at once: HOLD is for gaps, not for plans that count no longer
        if why:
            at_rest = self.state in (CommandState.IDLE, CommandState.STOPPED)
            self._go(self.state if at_rest else resting, why)
        elif signals.row_due:
            self._go(CommandState.TRACKING, Reason())
        elif self.state is CommandState.TRACKING and limits.hold_s > 0:
            self._hold_since_s = signals.steady_s
            self._go(CommandState.HOLD, Reason(Code.PLAN_GAP, 'the plan has no action for now'))
        elif self.state is CommandState.HOLD and (
                signals.steady_s - self._hold_since_s < limits.hold_s - _ROUNDING):
            pass
        elif self.state in (CommandState.TRACKING, CommandState.HOLD, CommandState.RAMP_DOWN):
            self._go(resting, Reason(Code.PLAN_ENDED, 'the plan ran out'))
        return self.state

    def _go(self, state: CommandState, reason: Reason) -> None:
        self.state, self.reason = state, reason


def _alarm(signals: Signals, limits: WatchdogLimits) -> tuple[Alarm | None, Reason]:
    if signals.heartbeat_age_s == float('inf'):
        return Alarm.PLANNER_SILENT, Reason(
            Code.PLANNER_SILENT, 'no plan_status yet; is the planner running?')
    # comparisons are written so that a NaN age raises the alarm
    if not signals.heartbeat_age_s <= limits.planner_timeout_s:
        return Alarm.PLANNER_SILENT, Reason(
            Code.PLANNER_SILENT, f'no plan_status for {signals.heartbeat_age_s:.2f} s, allowed '
            f'are {limits.planner_timeout_s:.2f} s; planner or camera is gone')
    if signals.observation_age_s == float('inf'):
        return Alarm.OBSERVATION_STALE, Reason(
            Code.OBSERVATION_STALE, 'the planner lives, but has not looked at a frame yet')
    if not signals.observation_age_s <= limits.obs_max_age_s:
        return Alarm.OBSERVATION_STALE, Reason(
            Code.OBSERVATION_STALE, f'the newest frame is {signals.observation_age_s:.2f} s old, '
            f'allowed are {limits.obs_max_age_s:.2f} s')
    if signals.observation_age_s < -limits.max_future_s:
        return Alarm.OBSERVATION_STALE, Reason(
            Code.OBSERVATION_FUTURE, f'the newest frame is stamped '
            f'{-signals.observation_age_s:.2f} s in the future, allowed are '
            f'{limits.max_future_s} s; do the clocks agree?')
    return None, Reason()
