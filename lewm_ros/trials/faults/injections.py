"""One function per fault: it does the harm and returns how the cause goes away.

What must follow is said in `FAULTS`. STOPS: the arm must come to rest by itself. DRIVES: the
fault is no reason to stop, or the choice is the system's; then the e-stop is pressed in the
middle of it, and that must bring the arm to rest as fast as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import json
import os
from pathlib import Path
import resource
import signal
import sys
import time

from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.startup.processes import Child, stop
from lewm_ros.trials.faults.system.foreigner import Foreigner
from lewm_ros.trials.faults.system.nice import Nice
from lewm_ros.trials.faults.system.rig import RECORDER, Rig
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.refusals import code_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

Undo = Callable[[], None]
_START_S = 30.0          # of a recorder that is just being started
_FULL_BYTES = 65536      # a file may not grow beyond this: what a full disk is to a program


# Processes ---------------------------------------------------------------------------------------

def planner_killed(rig: Rig) -> Undo:
    """SIGKILL; a new planner process comes up."""
    os.kill(rig.pid('planner_node'), signal.SIGKILL)
    return lambda: rig.replace('planner_node')


def planner_paused(rig: Rig) -> Undo:
    """SIGSTOP; SIGCONT."""
    return _pause(rig, 'planner_node')


def planner_hangs(rig: Rig) -> Undo:
    """The engine does not return; its thread waits for ever, callbacks go on."""
    return _order(rig, 'engine', 'hang')


def command_node_killed(rig: Rig) -> Undo:
    """SIGKILL; a new command node comes up."""
    os.kill(rig.pid('command_node'), signal.SIGKILL)
    return lambda: rig.replace('command_node')


def command_node_paused(rig: Rig) -> Undo:
    """SIGSTOP; SIGCONT."""
    return _pause(rig, 'command_node')


def planner_deactivated_while_stuck(rig: Rig) -> Undo:
    """The engine hangs, and somebody deactivates the planner."""
    undo = _order(rig, 'engine', 'hang')
    rig.spin(0.1)
    rig.ask(ChangeState, f'{rig.names["planner_node"]}/change_state', ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_DEACTIVATE)))
    return undo


def _pause(rig: Rig, executable: str) -> Undo:
    os.kill(rig.pid(executable), signal.SIGSTOP)
    return lambda: os.kill(rig.pid(executable), signal.SIGCONT)


# The engine --------------------------------------------------------------------------------------

def engine_raises(rig: Rig) -> Undo:
    """Every call raises RuntimeError, in the middle of a plan too."""
    return _order(rig, 'engine', 'raise')


def engine_returns_nan(rig: Rig) -> Undo:
    """Latents are NaN."""
    return _order(rig, 'engine', 'nan')


def _order(rig: Rig, who: str, order: str) -> Undo:
    rig.orders.give(who, order)
    return lambda: rig.orders.give(who)


# Camera and clock --------------------------------------------------------------------------------

def camera_drops_out(rig: Rig) -> Undo:
    """No pictures."""
    return _order(rig, 'camera', 'drop')


def camera_freezes(rig: Rig) -> Undo:
    """The same picture again and again, with new stamps."""
    return _order(rig, 'camera', 'freeze')


def camera_changes_size(rig: Rig) -> Undo:
    """Pictures of another size and shape."""
    return _order(rig, 'camera', 'size')


def camera_corrupted(rig: Rig) -> Undo:
    """Pictures whose data is cut off."""
    return _order(rig, 'camera', 'corrupt')


def camera_stamps_negative(rig: Rig) -> Undo:
    """Stamps of -5 s."""
    return _order(rig, 'camera', 'negative')


def camera_stamps_in_the_future(rig: Rig) -> Undo:
    """Stamps 10 s ahead."""
    return _order(rig, 'camera', 'future')


def clock_reset(rig: Rig) -> Undo:
    """The clock begins again at 1 s."""
    rig.orders.give('clock', 'reset')
    return lambda: None


def clock_jumps(rig: Rig) -> Undo:
    """The clock is a minute ahead from now on."""
    rig.orders.give('clock', '60')
    return lambda: None


# Others who speak --------------------------------------------------------------------------------

def second_planner(rig: Rig) -> Undo:
    """Another planner: heartbeats and plans at 20 Hz, from end to end of the command range."""
    other = Foreigner(rig)
    return other.every(0.05, other.beat, other.plan)


def second_heartbeat(rig: Rig) -> Undo:
    """Another planner's heartbeats go on while ours is paused: they must not keep us going."""
    other = Foreigner(rig)
    silence = other.every(0.05, other.beat)
    rig.spin(0.3)
    resume = _pause(rig, 'planner_node')

    def undo() -> None:
        silence()
        resume()
    return undo


def foreign_chunks(rig: Rig) -> Undo:
    """Plans without heartbeats, whole and broken ones, 40 times a second."""
    other = Foreigner(rig)
    return other.every(0.05, other.plan, other.broken_plan)


def goal_spam(rig: Rig) -> Undo:
    """A new goal 100 times a second."""
    return _spam(rig, 'goals')


def service_abuse(rig: Rig) -> Undo:
    """Calls that make no sense now, or never, 100 times a second."""
    return _spam(rig, 'services')


def parameter_abuse(rig: Rig) -> Undo:
    """Settings of the wrong type, name, range and size, 100 times a second, to every node."""
    return _spam(rig, 'parameters')


def _spam(rig: Rig, kind: str) -> Undo:
    # in a process of its own: this one measures
    return _processes([sys.executable, '-m', 'lewm_ros.trials.faults.programs.spam', kind,
                       json.dumps(rig.names), str(rig.arm.goals)], 1, rig.nice)


# The machine -------------------------------------------------------------------------------------

def disk_full(rig: Rig) -> Undo:
    """While an episode is recorded, files of the recorder cannot grow any more."""
    rig.start_recorder()
    pid, name = rig.pid(RECORDER), rig.names[RECORDER]
    deadline_s = time.monotonic() + _START_S
    while (code_of(answer := rig.call(StartEpisode, f'{name}/start_episode',
                                      StartEpisode.Request(), _START_S)) is Code.NO_PUBLISHER
           and time.monotonic() < deadline_s):
        rig.spin(0.2)      # it has not found all topics yet
    rig.spin(0.3)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FULL_BYTES, resource.RLIM_INFINITY))

    def undo() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        rig.call(StopEpisode, f'{name}/stop_episode', StopEpisode.Request(
            outcome=StopEpisode.Request.FAILURE))
        again = rig.call(StartEpisode, f'{name}/start_episode', StartEpisode.Request())
        rig.call(StopEpisode, f'{name}/stop_episode', StopEpisode.Request(
            outcome=StopEpisode.Request.FAILURE))
        rig.stop_recorder()
        if not (code_of(answer) in (Code.OK, Code.BUSY) and again.success):
            raise RuntimeError(f'the recorder does not record: {answer.message} {again.message}')
    return undo


def message_flood(rig: Rig) -> Undo:
    """Another process publishes on every topic that our nodes read, as fast as it can."""
    return _processes([sys.executable, '-m', 'lewm_ros.trials.faults.programs.flood',
                       str(rig.arm.robot_file)], 1, rig.nice)


def cpu_load(rig: Rig) -> Undo:
    """Three busy processes for each core of the machine, at the priority of the planner."""
    count = 3 * (os.cpu_count() or 1)
    return _processes([sys.executable, '-c', 'while True: pass'], count, rig.nice)


def _processes(command: list[str], count: int, nice: Nice) -> Undo:
    # Children end with this process, whatever ends it.
    running = [Child(command[0], command, Path(os.devnull)) for _ in range(count)]
    for child in running:
        nice.give(child.pid)

    def undo() -> None:
        for child in running:
            child.signal(signal.SIGKILL)
        stop(running)
    return undo


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    inject: Callable[[Rig], Undo]
    stops: bool                  # the arm must rest by itself; else the e-stop is pressed
    recovers: bool = True        # when the cause goes away, without a restart by hand
    hold_s: float = 0.7          # how long it lasts before the e-stop is pressed

    @property
    def name(self) -> str:
        """Of the row."""
        return self.inject.__name__

    @property
    def text(self) -> str:
        """For people."""
        return self.inject.__doc__.splitlines()[0].rstrip('.')


FAULTS = {fault.name: fault for fault in (
    Fault(planner_killed, stops=True), Fault(planner_paused, stops=True),
    Fault(planner_hangs, stops=True), Fault(planner_deactivated_while_stuck, stops=True),
    Fault(command_node_killed, stops=True), Fault(command_node_paused, stops=True),
    Fault(engine_raises, stops=True), Fault(engine_returns_nan, stops=True),
    Fault(camera_drops_out, stops=True), Fault(camera_freezes, stops=True),
    Fault(camera_changes_size, stops=True), Fault(camera_corrupted, stops=True),
    Fault(camera_stamps_negative, stops=True), Fault(camera_stamps_in_the_future, stops=True),
    Fault(clock_reset, stops=False), Fault(clock_jumps, stops=False),
    Fault(second_planner, stops=False), Fault(second_heartbeat, stops=True),
    Fault(foreign_chunks, stops=False), Fault(goal_spam, stops=False, hold_s=2.5),
    Fault(service_abuse, stops=False, hold_s=2.5),
    Fault(parameter_abuse, stops=False, hold_s=2.5), Fault(disk_full, stops=False, hold_s=1.0),
    Fault(message_flood, stops=False, hold_s=2.5),
    Fault(cpu_load, stops=False, hold_s=1.5))}
