"""The command side as one pure object: chunks and heartbeats in, robot commands out.

It owns the chunk player, the watchdog and the robot's motion, and has no clock of its own: the
caller gives the node clock (sim time in simulation) and the steady clock to every call.
`command_node` wraps it in topics and services.

While the plan is followed there is one command per control step, at the step's start on the
chunk's grid, and its stamp is that start. A stop goes by the steady clock and is stamped when it
is sent, so the robot stops even when the node clock stands still. What a stop is depends on the
robot's interface, see `limits.standstill`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from lewm_model.errors import LewmError
from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.command.chunk_player import ChunkPlayer, ChunkRefused, Sample
from lewm_ros.command.explanation import explain
from lewm_ros.command.motion import Command, Motion
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.command.planner_link import PlannerLink
from lewm_ros.command.timing import timing_of
from lewm_ros.command.watchdog import Alarm, Signals, Watchdog, WatchdogLimits
from lewm_ros.limits.urdf import JointLimits
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, ControllerReport, ExecutedStep, PlanReport
import numpy as np

_FOLLOWING = (CommandState.TRACKING, CommandState.HOLD)


class ControlLoop:
    """Decides what the robot is told, and when.

    Raises:
        ConfigError: If a robot of this kind cannot be stopped, see `standstill_of`, or a
            time-out cannot work with it, see `timing_of`.
    """

    def __init__(self, robot: RobotDescription, settings: CommandParameters, *,
                 e_stop: bool = False) -> None:
        self._robot = robot
        self._settings = settings
        self._timing = timing_of(settings, robot.control_dt_s)
        self._player = ChunkPlayer(action_dim=robot.action_dim, dt_s=robot.control_dt_s)
        self._link = PlannerLink()
        self._motion = Motion(robot, self._timing.state_max_age_s)
        self._watchdog = Watchdog(enabled=not settings.require_enable, e_stop=e_stop)
        self._alarm: Alarm | None = None
        self._now_ns: int | None = None
        self._ticked_s: float | None = None
        self._sample: Sample | None = None          # newest row that was followed
        self._scale = 1.0                           # as people and safety nodes say
        self._withdrawn = Reason()                  # why no plan counts until the next one comes
        self._no_start = self._lost = Reason()      # what the command topic's audience says
        self._stop_reason = Reason()
        self._refusal = ''

    @property
    def state(self) -> CommandState:
        """State of the watchdog."""
        return self._watchdog.state

    @property
    def following(self) -> bool:
        """Whether a plan is being followed, or a gap in it bridged."""
        return self.state in _FOLLOWING

    @property
    def needs_positions(self) -> bool:
        """Whether the robot can only be driven while `measure` is called."""
        return self._motion.needs_positions

    @property
    def settings(self) -> CommandParameters:
        """Settings of the node; new ones count from the next tick."""
        return self._settings

    @settings.setter
    def settings(self, settings: CommandParameters) -> None:
        self._timing = timing_of(settings, self._robot.control_dt_s)
        self._settings = settings
        self._motion.set_state_max_age(self._timing.state_max_age_s)

    # What comes in ---------------------------------------------------------------------------

    def measure(self, positions: np.ndarray, steady_s: float, source: Hashable = None) -> None:
        """Take the measured joint positions (A,), [rad] or [m]; not finite ones are ignored.

        Args:
            positions: In the robot's order.
            steady_s: Their arrival.
            source: Who measured them; two sources that disagree stop the robot.
        """
        self._motion.measure(positions, steady_s, source)

    def limit_joints(self, limits: Mapping[str, JointLimits]) -> None:
        """Take the limits of `robot_description`; raises ConfigError, see `Motion`."""
        self._motion.limit_joints(limits)

    def set_speed_scale(self, scale: float) -> str:
        """Slow the robot down to a share in [0, 1]; return why that cannot be, or nothing."""
        if not 0 <= scale <= 1:   # also for NaN
            return f'speed_scale must be in [0, 1], got {scale}; {self._scale:g} stays in force'
        self._scale = float(scale)
        return ''

    def set_audience(self, no_start: Reason, lost: Reason) -> None:
        """Take what the command topic's audience says: why not to begin, and why to stop."""
        self._no_start, self._lost = no_start, lost

    def receive_chunk(self, chunk: ActionChunk, now_ns: int, steady_s: float) -> str:
        """Take over a plan; return why it was refused, or an empty string.

        A malformed chunk latches a fault; one that is only too old or too early is dropped, and
        so is one of a session that is not followed.
        """
        self._watch_clock(now_ns)
        if not self._follow(chunk.session, steady_s):
            self._refusal = (f'chunk {chunk.sequence} is of session {chunk.session:x}, followed '
                             f'is {self._link.session:x}')
            return self._refusal
        try:
            self._player.offer(chunk, now_ns, max_future_s=self._timing.max_future_s)
            self._refusal, self._withdrawn = '', Reason()
        except ChunkRefused as error:
            self._refusal = str(error)
        except LewmError as error:
            self._refusal = str(error)
            self.fault(Reason(Code.CHUNK_MALFORMED, str(error)), now_ns)
        return self._refusal

    def heartbeat(self, report: PlanReport, steady_s: float) -> None:
        """Take a sign of life; that of a session that is not followed is none."""
        if not self._follow(report.session, steady_s):
            return
        self._link.beat(report, steady_s)
        if report.epoch > self._player.epoch:
            if self.following:
                self._withdrawn = Reason(Code.PLAN_WITHDRAWN, 'the planner withdrew its plan')
            self._player.note_epoch(report.epoch)

    def refuse_heartbeat(self, why: str, steady_s: float) -> None:
        """Take that a sign of life could not be read; the state says so while there is none."""
        self._link.refuse(why, steady_s)

    def see_nothing(self, reason: Reason, steady_s: float) -> None:
        """Take that the planner lives and gets no frames; it keeps nothing moving."""
        self._link.see_nothing(reason.text, steady_s)

    def enable(self, now_ns: int) -> str:
        """Allow motion on plans made from now on; return why not, or an empty string."""
        if self._no_start:
            return self._no_start.text
        if self.state is CommandState.DISABLED:
            self._player.clear(now_ns)
            self._withdrawn = Reason()
        return self._watchdog.enable()

    def disable(self, reason: Reason, now_ns: int) -> None:
        """Stop and stay there until `enable`."""
        self._watchdog.disable(reason)
        self._player.clear(now_ns)

    def stopped_by_guard(self, now_ns: int) -> None:
        """Begin anew: the guard took this node for dead and has told the robot to stand still.

        Nothing is sent, and nothing from before is resumed. As in a new node, motion waits for
        `enable` if `require_enable`, else for the next plan.
        """
        self._player.clear(now_ns)
        self._link = PlannerLink()
        self._motion.forget()
        self._watchdog.disable(Reason(Code.GUARD_ACTED, 'the guard stopped the robot while this '
                                      'node was silent; call ~/enable'))
        if not self._settings.require_enable:
            self._watchdog.enable()

    def set_e_stop(self, pressed: bool, now_ns: int) -> None:
        """Press or release the e-stop."""
        self._watchdog.set_e_stop(pressed)
        if pressed:
            self._player.clear(now_ns)

    def fault(self, reason: Reason, now_ns: int) -> None:
        """Stop and latch."""
        self._watchdog.fault(reason)
        self._player.clear(now_ns)

    def clear_fault(self) -> str:
        """Leave FAULT for DISABLED; return why not, or an empty string."""
        return self._watchdog.clear_fault()

    # What goes out ---------------------------------------------------------------------------

    def tick(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        """Return the command to send now, if one is due; call it often, it is cheap.

        Args:
            now_ns: Node clock.
            steady_s: Steady clock [s]; must never go back.
        """
        self._watch_clock(now_ns)
        if self._watch_doubts(now_ns, steady_s):
            return None   # what came in during a pause is heard first: has the guard stopped it?
        self._stop_reason = self._reason_to_stop(steady_s)
        driven = self.following or self._motion.moving
        state = self._watchdog.update(self._signals(now_ns, steady_s), self._limits())
        alarm = self._watchdog.alarm
        if driven and alarm is not None and alarm is not self._alarm:
            self._player.clear(now_ns)   # a plan from before the alarm did not expect the stop
        self._alarm = alarm
        if state is CommandState.TRACKING:
            sample = self._player.take(now_ns)
            if sample is None:
                return None  # this step has its command
            self._sample = sample
            return self._step(self._motion.follow(sample.action, sample.stamp_ns, steady_s,
                                                  speed_scale=self._speed_scale()))
        self._player.interrupt()
        if state is CommandState.HOLD:
            return self._step(self._motion.hold(now_ns, steady_s), overridden=True)
        return self._step(self._motion.stop(
            now_ns, steady_s, publish_s=self._settings.stop_publish_s,
            release=state in (CommandState.DISABLED, CommandState.FAULT)), overridden=True)

    def halt(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        """Return the last command before going away, at once; None if there is nothing to stop."""
        self._player.clear(now_ns)
        return self._step(self._motion.halt(now_ns, steady_s), overridden=True)

    def next_step_ns(self, now_ns: int) -> int:
        """Return when a command is due next on the node clock, at most one step from now."""
        due = self._player.next_step_ns(now_ns)
        latest = now_ns + self._robot.control_dt_ns
        return latest if due is None else min(max(due, now_ns), latest)

    def report(self, now_ns: int, steady_s: float) -> ControllerReport:
        """Say how things are."""
        sample, sent = self._sample, self._motion.sent
        return ControllerReport(
            stamp_ns=now_ns, state=self.state, reason=self._reason(steady_s),
            at_rest=not self._motion.moving, e_stop=self._watchdog.e_stop,
            speed_scale=self._speed_scale(), session=self._link.session,
            epoch=max(self._player.epoch, 0), sequence=sample.sequence if sample else 0,
            steps_left=self._player.steps_left(now_ns),
            chunk_age_s=self._age_s(sample, now_ns) if sample else 0.0,
            rate_hz=sent.rate_hz(steady_s), deadline_misses=self._player.deadline_misses,
            commands_clipped=sent.clipped, commands_slewed=sent.slewed)

    def doubts(self, steady_s: float) -> list[Reason]:
        """Return what is wrong though it may not stop the robot now, for diagnostics."""
        return [reason for reason in (self._link.second(steady_s), self._motion.conflict(steady_s),
                                      self._motion.at_end(steady_s)) if reason]

    def clipped_share(self) -> float:
        """Return which share of the last commands of plans hit a value limit, in [0, 1]."""
        return self._motion.sent.clipped_share()

    # What is known ---------------------------------------------------------------------------

    def _step(self, command: Command | None, *, overridden: bool = False) -> ExecutedStep | None:
        if command is None:
            return None
        sample, stamp_ns, limited = self._sample, self._motion.sent.stamp_ns, command.limited
        return ExecutedStep(
            stamp_ns=stamp_ns, requested=command.requested, executed=limited.values,
            session=sample.session if sample else 0, epoch=sample.epoch if sample else 0,
            sequence=sample.sequence if sample else 0, step=sample.step if sample else 0,
            clipped=limited.clipped, slewed=limited.slewed, overridden=overridden,
            state=self.state, speed_scale=self._speed_scale(),
            chunk_age_s=self._age_s(sample, stamp_ns) if sample else 0.0)

    def _reason(self, steady_s: float) -> Reason:
        if self.state is CommandState.TRACKING:
            return self._link.second(steady_s)
        link = self._link
        return explain(self._watchdog.reason, blind=link.blind(steady_s),
                       unreadable=link.unreadable(steady_s), refusal=self._refusal,
                       others=(self._motion.note, self._stop_reason.text,
                               link.second(steady_s).text))

    def _follow(self, session: int, steady_s: float) -> bool:
        before = self._link.session
        counts = self._link.admit(session, steady_s, self._timing.planner_timeout_s)
        if self._link.session != before:
            self._player.forget_epoch()
        return counts

    def _watch_clock(self, now_ns: int) -> None:
        """A clock that jumped back (bag loop, simulator restart) ends the present plan."""
        if self._now_ns is not None and self._now_ns - now_ns > self._robot.control_dt_ns // 2:
            self._player.clear(now_ns)
            self._motion.sent.stamp_ns = now_ns
        self._now_ns = now_ns

    def _watch_doubts(self, now_ns: int, steady_s: float) -> bool:
        """Stop for good where nobody can say what happened, or is happening; tell of a pause."""
        gap_s = 0.0 if self._ticked_s is None else steady_s - self._ticked_s
        self._ticked_s = steady_s
        if not self.following:
            return False
        doubt = self._lost or self._motion.conflict(steady_s)
        paused = gap_s > self._timing.pause_s
        if paused:
            doubt = Reason(Code.PROCESS_PAUSED, f'this process stood still for {gap_s:.2f} s '
                           f'while the robot moved, allowed are {self._timing.pause_s:.2f} s; '
                           f'see what paused it')
        if doubt and self._settings.require_enable:
            self.disable(Reason(doubt.code, f'{doubt.text}, then call ~/enable'), now_ns)
        elif doubt:   # nobody is there to enable it: stop, and wait for a plan made after that
            self._player.clear(now_ns)
            self._withdrawn = doubt
        return paused

    def _reason_to_stop(self, steady_s: float) -> Reason:
        return (self._withdrawn or self._link.without_plan()
                or (Reason() if self.following else self._no_start)
                or self._motion.blocked(steady_s))

    def _signals(self, now_ns: int, steady_s: float) -> Signals:
        sample = self._player.sample(now_ns)
        row_due = sample is not None and (
            self._age_s(sample, now_ns) <= self._timing.chunk_timeout_s)
        return Signals(steady_s=steady_s, row_due=row_due, stop=self._stop_reason,
                       heartbeat_age_s=self._link.heartbeat_age_s(steady_s),
                       observation_age_s=self._link.observation_age_s(now_ns),
                       moving=self._motion.moving)

    def _limits(self) -> WatchdogLimits:
        timing = self._timing
        return WatchdogLimits(
            planner_timeout_s=timing.planner_timeout_s,
            obs_max_age_s=timing.obs_max_age_s + self._link.patience_s(),
            max_future_s=timing.max_future_s, hold_s=timing.hold_s)

    def _speed_scale(self) -> float:
        return min(self._scale, self._link.speed_scale())

    @staticmethod
    def _age_s(sample: Sample, now_ns: int) -> float:
        return (now_ns - sample.observation_stamp_ns) / 1e9
