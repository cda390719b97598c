"""The command side as one pure object: chunks and heartbeats in, robot commands out.

It owns the chunk player, the watchdog and the limiter, and has no clock of its own: the caller
gives the node clock (sim time in simulation) and the steady clock to every call. `command_node`
wraps it in topics and services.

While the plan is followed there is one command per control step, at the step's start on the
chunk's grid, and its stamp is that start. A stop goes by the steady clock and is stamped when it
is sent, so the robot stops even when the node clock stands still. What a stop is depends on the
robot's interface, see `standstill`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lewm_model.errors import LewmError
from lewm_model.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.command.chunk_player import ChunkPlayer, ChunkRefused, Sample
from lewm_ros.command.watchdog import Alarm, Signals, Watchdog, WatchdogLimits
from lewm_ros.limits.limiter import CommandLimiter, Limited
from lewm_ros.limits.standstill import standstill_of
from lewm_ros.node.parameters import parameter
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, ControllerReport, ExecutedStep
import numpy as np

_RATE_WINDOW = 20  # commands over which the rate is measured


@dataclass(frozen=True)
class CommandParameters:
    """Settings of the command node."""

    robot: str = parameter(
        'sim_reacher', 'robot description: a shipped name or a YAML file', read_only=True)
    require_enable: bool = parameter(
        True, 'stay still after activation until ~/enable is called', read_only=True)
    require_guard: bool = parameter(
        False, 'refuse to enable motion while no guard_node is heard', read_only=True)
    planner_timeout_s: float = parameter(
        0.2, 'silence of plan_status that stops the robot, steady clock [s]', low=0.02, high=5.0)
    obs_max_age_s: float = parameter(
        0.3, 'age of the newest frame that stops the robot, node clock [s]', low=0.01, high=5.0)
    chunk_timeout_s: float = parameter(
        2.0, 'a plan is not followed longer than this after its frame [s]', low=0.05, high=10.0)
    hold_s: float = parameter(
        0.1, 'repeat the last command this long when the plan has a gap, then stop [s]',
        low=0.0, high=2.0)
    max_future_s: float = parameter(
        0.1, 'chunks and frames stamped further ahead are refused [s]', low=0.0, high=1.0)
    stop_publish_s: float = parameter(
        1.0, 'publish zeros (or the held positions) this long after a stop, then go silent [s]',
        low=0.0, high=10.0)
    deadband: float = parameter(
        0.0, 'smaller absolute commands become zero; not used for joint positions [robot units]',
        low=0.0, high=10.0)
    state_max_age_s: float = parameter(
        0.2, 'older joint positions are no place to start from or to stop at, for robots '
        'commanded by position, steady clock [s]', low=0.01, high=5.0, read_only=True)


class ControlLoop:
    """Decides what the robot is told, and when.

    Raises:
        ConfigError: If a robot of this kind cannot be stopped, see `standstill_of`.
    """

    def __init__(self, robot: RobotDescription, settings: CommandParameters, *,
                 e_stop: bool = False) -> None:
        self.settings = settings
        self._robot = robot
        self._player = ChunkPlayer(action_dim=robot.action_dim, dt_s=robot.control_dt_s)
        self._limiter = CommandLimiter(robot)
        self._standstill = standstill_of(robot, settings.state_max_age_s)
        self._watchdog = Watchdog(enabled=not settings.require_enable, e_stop=e_stop)
        self._last = np.zeros(robot.action_dim)     # the command the robot got last
        self._last_stamp_ns = 0
        self._stopping = True                       # the last command was part of a stop
        self._active_s: float | None = None         # when it last moved or tracked, steady
        self._alarm: Alarm | None = None
        self._now_ns: int | None = None
        self._session = 0                           # of the planner that is followed; 0: none
        self._heartbeat: tuple[int, float] | None = None  # (frame stamp, steady arrival)
        self._sample: Sample | None = None          # newest row that was followed
        self._sent_s: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._clipped = self._slewed = 0
        self._refusal = self._blocked = ''

    @property
    def state(self) -> CommandState:
        """CommandState of the watchdog."""
        return self._watchdog.state

    @property
    def needs_positions(self) -> bool:
        """Whether the robot can only be driven while `measure` is called."""
        return self._standstill.needs_positions

    def measure(self, positions: np.ndarray, steady_s: float) -> None:
        """Take the measured joint positions (A,), [rad] or [m]; not finite ones are ignored."""
        self._standstill.measure(positions, steady_s)

    def receive_chunk(self, chunk: ActionChunk, now_ns: int) -> str:
        """Take over a plan; return why it was refused, or an empty string.

        A malformed chunk latches a fault; one that is only too old or too early is dropped.
        """
        self._watch_clock(now_ns)
        if chunk.session != self._session:
            self._refusal = (f'chunk {chunk.sequence} is of session {chunk.session:x}, followed '
                             f'is {self._session:x}')
            return self._refusal
        try:
            self._player.offer(chunk, now_ns, max_future_s=self.settings.max_future_s)
            self._refusal = ''
        except ChunkRefused as error:
            self._refusal = str(error)
        except LewmError as error:
            self._refusal = str(error)
            self.fault(Reason(Code.CHUNK_MALFORMED, str(error)), now_ns)
        return self._refusal

    def heartbeat(self, frame_stamp_ns: int, session: int, epoch: int, steady_s: float) -> None:
        """Note a sign of life: the planner saw the frame with this stamp, in this epoch.

        Another session takes over only when the one that is followed has gone silent.
        """
        if session != self._session:
            if self._heartbeat is not None and (
                    steady_s - self._heartbeat[1] <= self.settings.planner_timeout_s):
                return
            self._session = session
            self._player.clear(0, forget_epoch=True)
        self._heartbeat = (frame_stamp_ns, steady_s)
        self._player.note_epoch(epoch)

    def enable(self, now_ns: int) -> str:
        """Allow motion on plans made from now on; return why not, or an empty string."""
        if self.state is CommandState.DISABLED:
            self._player.clear(now_ns)
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
        self._player.clear(now_ns, forget_epoch=True)
        self._heartbeat = None
        self._last = np.zeros_like(self._last)   # of speeds; positions start from the measured
        self._stopping, self._active_s = True, None
        self._standstill.release()
        self._watchdog.disable('the guard stopped the robot while this node was silent; '
                               'call ~/enable')
        if not self.settings.require_enable:
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

    def tick(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        """Return the command to send now, if one is due; call it often, it is cheap.

        Args:
            now_ns: Node clock.
            steady_s: Steady clock [s]; must never go back.
        """
        self._watch_clock(now_ns)
        sample = self._player.sample(now_ns)
        if sample is not None and self._age_s(sample, now_ns) > self.settings.chunk_timeout_s:
            sample = None
        self._blocked = self._standstill.blocked(steady_s)
        if self._blocked:
            sample = None
        state = self._watchdog.update(self._signals(sample, now_ns, steady_s), self._limits())
        self._drop_plans_of_a_new_alarm(now_ns)
        if state is CommandState.TRACKING:
            return self._track(now_ns, steady_s)
        self._player.interrupt()
        if state is CommandState.HOLD:
            return self._hold(now_ns, steady_s)
        return self._stop(now_ns, steady_s)

    def halt(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        """Return the last command before going away, at once; None if there is nothing to stop.

        Speeds become zero without a ramp. Positions take one step of the emergency ramp towards
        the measured ones, and stay there.
        """
        self._player.clear(now_ns)
        word = self._standstill.last_word(self._last, steady_s)
        if word is None:
            return None
        rest, ramp = word
        limited = (self._limiter.limit(rest, self._last, self._robot.control_dt_s, stopping=True)
                   if ramp else Limited(rest, False, False))
        self._last = limited.values
        self._active_s = None
        self._standstill.release()
        self._note_sent(now_ns, steady_s, stopping=True)
        return self._step(rest, limited, overridden=True)

    def next_step_ns(self, now_ns: int) -> int:
        """Return when a command is due next on the node clock, at most one step from now."""
        due = self._player.next_step_ns(now_ns)
        latest = now_ns + self._robot.control_dt_ns
        return latest if due is None else min(max(due, now_ns), latest)

    def report(self, now_ns: int, steady_s: float) -> ControllerReport:
        """Say how things are."""
        reason = self._watchdog.reason
        texts = [reason.text]
        if self.state is not CommandState.TRACKING:
            if self._refusal and self._refusal != reason.text:
                texts.append(f'last chunk refused: {self._refusal}')
            texts.append(self._standstill.note or self._blocked)
        reason = Reason(reason.code, '; '.join(filter(None, texts)))
        sample = self._sample
        return ControllerReport(
            stamp_ns=now_ns, state=self.state, session=self._session,
            epoch=max(self._player.epoch, 0),
            sequence=sample.sequence if sample else 0,
            steps_left=self._player.steps_left(now_ns),
            chunk_age_s=self._age_s(sample, now_ns) if sample else 0.0,
            rate_hz=self._rate_hz(steady_s), deadline_misses=self._player.deadline_misses,
            commands_clipped=self._clipped, commands_slewed=self._slewed,
            e_stop=self._watchdog.e_stop, at_rest=not self._moving(), reason=reason)

    # What to send, by state ------------------------------------------------------------------

    def _track(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        sample = self._player.take(now_ns)
        if sample is None:
            return None  # this step has its command
        self._sample = sample
        if self._stopping:
            self._last = self._standstill.start(self._last, steady_s)
        # from standstill the measured time means nothing: allow the change of one step
        elapsed_s = (self._robot.control_dt_s if self._stopping
                     else (sample.stamp_ns - self._last_stamp_ns) / 1e9)
        return self._send(sample.action, sample.stamp_ns, steady_s, elapsed_s)

    def _hold(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        dt_ns = self._robot.control_dt_ns
        steps = (now_ns - self._last_stamp_ns) // dt_ns  # the grid of the last command goes on
        if steps < 1:
            return None
        return self._send(self._last, self._last_stamp_ns + steps * dt_ns, steady_s,
                          self._robot.control_dt_s, overridden=True)

    def _stop(self, now_ns: int, steady_s: float) -> ExecutedStep | None:
        if self._active_s is None:
            return None  # it never moved: stay silent, another controller may be in charge
        if self.state in (CommandState.DISABLED, CommandState.FAULT):
            self._standstill.release()   # people may move it now
        since_s = steady_s - self._sent_s[-1]
        if self._stopping and since_s < 0.98 * self._robot.control_dt_s:
            return None  # the first stop command goes at once, the others once per step
        rest = self._standstill.rest(self._last, steady_s)
        if not self._moving() and steady_s - self._active_s > self.settings.stop_publish_s:
            self._standstill.release()
            return None
        return self._send(rest, now_ns, steady_s, since_s, stopping=True)

    def _send(self, requested: np.ndarray, stamp_ns: int, steady_s: float, elapsed_s: float, *,
              overridden: bool = False, stopping: bool = False) -> ExecutedStep:
        limited = self._limiter.limit(requested, self._last, elapsed_s, stopping=stopping,
                                      deadband=self.settings.deadband)
        self._last = limited.values
        if not stopping:
            self._clipped += limited.clipped
            self._slewed += limited.slewed
        if not stopping or self._moving():
            self._active_s = steady_s
        self._note_sent(stamp_ns, steady_s, stopping=stopping)
        return self._step(requested, limited, overridden=overridden or stopping)

    def _step(self, requested: np.ndarray, limited: Limited, *, overridden: bool) -> ExecutedStep:
        sample, stamp_ns = self._sample, self._last_stamp_ns
        return ExecutedStep(
            stamp_ns=stamp_ns, requested=requested, executed=limited.values,
            session=sample.session if sample else 0,
            epoch=sample.epoch if sample else 0, sequence=sample.sequence if sample else 0,
            step=sample.step if sample else 0, clipped=limited.clipped, slewed=limited.slewed,
            overridden=overridden, state=self.state,
            chunk_age_s=self._age_s(sample, stamp_ns) if sample else 0.0)

    # What is known ---------------------------------------------------------------------------

    def _note_sent(self, stamp_ns: int, steady_s: float, *, stopping: bool) -> None:
        self._last_stamp_ns, self._stopping = stamp_ns, stopping
        self._sent_s.append(steady_s)

    def _watch_clock(self, now_ns: int) -> None:
        """A clock that jumped back (bag loop, simulator restart) ends the present plan."""
        if self._now_ns is not None and self._now_ns - now_ns > self._robot.control_dt_ns // 2:
            self._player.clear(now_ns)
            self._last_stamp_ns = now_ns
        self._now_ns = now_ns

    def _drop_plans_of_a_new_alarm(self, now_ns: int) -> None:
        """A plan from before the alarm did not expect the stop: it is never resumed."""
        alarm = self._watchdog.alarm
        if alarm is not None and alarm is not self._alarm:
            # a silent planner may have died, and its successor counts epochs from zero
            self._player.clear(now_ns, forget_epoch=alarm is Alarm.PLANNER_SILENT)
        self._alarm = alarm

    def _signals(self, sample: Sample | None, now_ns: int, steady_s: float) -> Signals:
        heartbeat_age_s = observation_age_s = float('inf')
        if self._heartbeat is not None:
            frame_stamp_ns, arrival_s = self._heartbeat
            heartbeat_age_s = steady_s - arrival_s
            observation_age_s = (now_ns - frame_stamp_ns) / 1e9
        return Signals(steady_s=steady_s, row_due=sample is not None,
                       heartbeat_age_s=heartbeat_age_s, observation_age_s=observation_age_s,
                       moving=self._moving())

    def _moving(self) -> bool:
        return self._active_s is not None and not self._standstill.reached(self._last)

    def _limits(self) -> WatchdogLimits:
        settings = self.settings
        return WatchdogLimits(
            planner_timeout_s=settings.planner_timeout_s, obs_max_age_s=settings.obs_max_age_s,
            max_future_s=settings.max_future_s, hold_s=settings.hold_s)

    def _rate_hz(self, steady_s: float) -> float:
        if len(self._sent_s) < 2 or steady_s - self._sent_s[-1] > 1.0:
            return 0.0
        span_s = self._sent_s[-1] - self._sent_s[0]
        return (len(self._sent_s) - 1) / span_s if span_s > 0 else 0.0

    @staticmethod
    def _age_s(sample: Sample, now_ns: int) -> float:
        return (now_ns - sample.observation_stamp_ns) / 1e9
