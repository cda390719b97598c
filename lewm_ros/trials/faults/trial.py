"""One trial: motion, the fault, rest, the cause goes away, motion again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
import os
import random
import time

from lewm_model.errors import LewmError
from lewm_ros.trials.faults.injections import Fault
from lewm_ros.trials.faults.system.delays import Waiting
from lewm_ros.trials.faults.system.rig import ENABLED, Rig
from lewm_ros.wire.reports import CommandState

_SILENT_S = 2.0          # a planner that says nothing for so long will not come back by itself
_KEEPS_UP_MS = 250.0     # a plan that takes longer is not what a robot of 20 Hz is driven with
_PACE_S = 5.0            # patience with a planner that takes longer, before the fault
_AGAIN_S = 1.5           # and with motion during a fault that is no reason to stop
_DRIVE_S = 30.0          # patience with motion before the fault
_RECOVERY_S = 30.0       # and after it


@dataclass(frozen=True)
class Outcome:
    """What one trial showed."""

    rest_s: float | None            # from the fault (or the e-stop) to rest; None: never
    over_limit: float               # worst command past a value limit [robot units]
    over_slew: float                # and past a slew step
    drove_on: bool | None           # through a fault that is no reason to stop
    recovery_s: float | None        # from the end of the cause to motion; None: never
    by: str                         # what it took: nothing, or a call of a person
    note: str = ''
    load: float = 0.0               # of the machine, last minute
    nice: int = 0                   # of our processes
    late_s: float = 0.0             # worst delay of a plain process, from the fault to rest
    waited: float = 0.0             # share of the time that a thread of our nodes was ready to
    #                                 run and had no processor; the worst of them
    told_s: float | None = None     # from the fault to the command that is standing still
    events: tuple[str, ...] = ()    # what command node and guard said: seconds after `since`, what
    session_nice: int = 0           # of the sessions of our processes

    def to_json(self) -> dict:
        """Return plain values."""
        return {key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict) -> Outcome:
        """Return the outcome of plain values."""
        return cls(**{**values, 'events': tuple(values.get('events', ()))})


def run_trial(rig: Rig, fault: Fault, chance: random.Random) -> Outcome:
    """Inject a fault in motion and measure.

    Raises:
        RigError: If there was no motion to begin with; the trial says nothing.
    """
    _await_pace(rig)
    rig.wait_driving(_DRIVE_S)
    rig.spin(chance.uniform(0.0, 0.6))      # any phase of motion, plan and control step
    rig.wait_driving(_DRIVE_S)
    rig.watch.forget(time.monotonic() - 2.0)
    waiting = Waiting(rig.pid(name) for name in ('command_node', 'guard_node', 'planner_node'))
    begin_s = since_s = time.monotonic()
    undo = fault.inject(rig)
    with ExitStack() as interrupted:
        interrupted.callback(undo)     # nothing that was injected outlives the trial
        drove_on = None
        if not fault.stops:
            rig.spin(fault.hold_s)
            rig.await_motion(_AGAIN_S)     # the e-stop is to stop a robot that moves, if it does
            drove_on = rig.state is CommandState.TRACKING
            since_s = time.monotonic()
            rig.press_e_stop(True)
        elif fault.inject.__name__ == 'second_heartbeat':
            since_s = time.monotonic()      # it has just paused the planner
        rest_s = rig.rest_after(since_s)
        interrupted.pop_all()
    late_s = rig.delays.worst_s(begin_s, time.monotonic() if rest_s is None else since_s + rest_s)
    waited = waiting.worst_s() / (time.monotonic() - begin_s)
    told_s = rig.watch.told_after(since_s, time.monotonic())
    events = tuple(f'{at_s - since_s:.2f} {what}' for at_s, what in rig.events if at_s >= begin_s)
    note, by, recovery_s = '', 'nothing', None
    undone_s = time.monotonic()
    try:
        undo()
        by = _recover(rig, pressed=not fault.stops)
        rig.wait_driving(_RECOVERY_S)
        recovery_s = time.monotonic() - undone_s
    except (LewmError, RuntimeError) as error:
        note = str(error)
    jump = rig.watch.jump(begin_s)
    return Outcome(rest_s, jump.over_limit, jump.over_slew, drove_on, recovery_s, by, note,
                   os.getloadavg()[0], rig.nice.process, late_s, waited,
                   told_s, events, rig.nice.session)


def _await_pace(rig: Rig) -> None:
    """Wait until the planner keeps up, or in vain."""
    deadline_s = time.monotonic() + _PACE_S
    while time.monotonic() < deadline_s and not (
            rig.report and 0 < rig.report.total_ms <= _KEEPS_UP_MS):
        rig.spin_once()


def _recover(rig: Rig, *, pressed: bool) -> str:
    """Do what a person has to do; return what that was."""
    done = []
    if pressed:
        rig.press_e_stop(False)
        rig.spin(0.2)
        if rig.enable() != ENABLED:     # after an e-stop, which was meant, that does not count
            done.append('fault cleared')
    rig.spin(0.5)
    if rig.lifecycle_state('planner_node') != 'active':
        rig.activate('planner_node')
        done.append('planner activated')
    elif not rig.planner_speaks(_SILENT_S):
        rig.reactivate('planner_node')
        done.append('planner deactivated and activated')
    if rig.state in (CommandState.FAULT, CommandState.DISABLED):
        done.append(rig.enable())
    return ', '.join(done) or 'nothing'
