"""Time-outs follow from the control step: slow robots drive steadily, and stop in time."""

from dataclasses import replace

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.types import ActionChunk
from lewm_ros.command.control_loop import ControlLoop
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.command.timing import check_change, Timing, timing_of
from lewm_ros.wire.reports import CommandState, PlanReport, PlanState
import numpy as np
import pytest

SETTINGS = CommandParameters(require_enable=False)
NS = 1_000_000_000
TICK_S = 0.02            # of the node's watchdog timer
ROWS = 25


def test_at_20_hz_the_times_are_the_ones_that_were_measured():
    """Fewer steps would stop the robot at a lost frame, more would stop it later."""
    assert timing_of(SETTINGS, 0.05) == Timing(
        planner_timeout_s=0.2, obs_max_age_s=0.3, chunk_timeout_s=2.0, hold_s=0.1,
        max_future_s=0.1, state_max_age_s=0.2, pause_s=0.3)


def test_at_5_hz_they_are_longer_and_what_was_set_stays():
    """Three steps and 50 ms are 0.65 s; a plan is followed for 40 steps."""
    timing = timing_of(replace(SETTINGS, hold_s=0.05), 0.2)
    assert timing.planner_timeout_s == pytest.approx(0.65)
    assert timing.obs_max_age_s == pytest.approx(0.75)
    assert timing.chunk_timeout_s == pytest.approx(8.0)
    assert (timing.hold_s, timing.max_future_s, timing.state_max_age_s) == (0.05, 0.2, 0.4)


@pytest.mark.parametrize(('name', 'value', 'fix'), [
    ('planner_timeout_s', 0.2, 'set at least 0.3, or 0.0 for 0.65'),
    ('obs_max_age_s', 0.25, 'set at least 0.3, or 0.0 for 0.75'),
    ('chunk_timeout_s', 0.3, 'set at least 0.4, or 0.0 for 8')])
def test_a_time_that_cannot_work_is_refused_with_the_fix(name, value, fix):
    """0.2 s of silence are one late frame of a 5 Hz robot."""
    with pytest.raises(ConfigError, match=fix):
        ControlLoop(robot(control_dt_s=0.2), replace(SETTINGS, **{name: value}))


def test_a_time_is_not_raised_while_a_plan_is_followed():
    """Lowering is allowed, and so is raising at rest."""
    longer = replace(SETTINGS, planner_timeout_s=3.0)
    with pytest.raises(ConfigError, match='planner_timeout_s cannot be raised while a plan'):
        check_change(SETTINGS, longer, 0.05, following=True)
    check_change(SETTINGS, longer, 0.05, following=False)
    check_change(longer, SETTINGS, 0.05, following=True)


class Drive:
    """A planner with a camera of `dt` that loses frames, and a loop ticked like the node."""

    def __init__(self, dt_s: float, rng: np.random.Generator) -> None:
        arm = robot(control_dt_s=dt_s, max_rate=[5 / dt_s] * 2, stop_rate=[2 / dt_s] * 2)
        self.loop = ControlLoop(arm, SETTINGS)
        self.dt_s, self.rng = dt_s, rng
        self.now_s = 100.0
        self.frame = 0
        self.arrivals: list[tuple[float, int]] = []   # (when, frame) of heartbeats to come
        self.chunks: list[tuple[float, int]] = []
        self.states: set[CommandState] = set()
        self.moved_s = 0.0                            # when the last motion was commanded

    def run(self, seconds: float, *, planner=True) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            while planner and 100.0 + self.frame * self.dt_s <= self.now_s:
                self.frame += 1
                if self.rng.random() < 0.01:
                    continue   # lost
                at_s = 100.0 + (self.frame - 1) * self.dt_s + 0.03 + self.rng.uniform(0, 0.02)
                self.arrivals.append((at_s, self.frame - 1))
                if self.frame % 5 == 1 or not self.chunks:
                    self.chunks.append((at_s + 0.06, self.frame - 1))
            self._deliver()
            step = self.loop.tick(round(self.now_s * NS), self.now_s)
            if step is not None and step.executed.any():
                self.moved_s = self.now_s
            self.states.add(self.loop.state)
            self.now_s += TICK_S

    def _deliver(self) -> None:
        for waiting, take in ((self.arrivals, self._beat), (self.chunks, self._plan)):
            while waiting and waiting[0][0] <= self.now_s:
                take(waiting.pop(0)[1])

    def _stamp(self, frame: int) -> int:
        return round((100.0 + frame * self.dt_s) * NS)

    def _beat(self, frame: int) -> None:
        self.loop.heartbeat(PlanReport(
            stamp_ns=self._stamp(frame), frame_stamp_ns=self._stamp(frame), session=1, epoch=0,
            state=PlanState.PLANNING, total_ms=60), self.now_s)

    def _plan(self, frame: int) -> None:
        stamp_ns = self._stamp(frame)
        self.loop.receive_chunk(ActionChunk(
            stamp_ns=stamp_ns, dt_s=self.dt_s, actions=np.full((ROWS, 2), 1.0), epoch=0,
            sequence=frame, observation_stamp_ns=stamp_ns, session=1), round(self.now_s * NS),
            self.now_s)


@pytest.mark.parametrize('rate_hz', [5, 10, 20])
def test_ten_minutes_with_lost_and_late_frames_are_driven_without_a_stop(rate_hz):
    """1 % of the frames lost, 20 ms of jitter: TRACKING all the time, at every rate."""
    drive = Drive(1 / rate_hz, np.random.default_rng(rate_hz))
    drive.run(2.0)
    drive.states.clear()
    drive.run(600.0)
    assert drive.states == {CommandState.TRACKING}


@pytest.mark.parametrize('rate_hz', [5, 10, 20])
@pytest.mark.parametrize('seed', range(5))
def test_a_planner_that_dies_means_rest_within_the_budget(rate_hz, seed):
    """0.5 s at 20 Hz, else three control steps and 0.3 s, from the planner's last act."""
    drive = Drive(1 / rate_hz, np.random.default_rng(seed))
    drive.run(3.0 + drive.rng.uniform(0, 1))
    assert drive.loop.state is CommandState.TRACKING
    drive.arrivals.clear()
    drive.chunks.clear()
    died_s = drive.now_s
    drive.run(2.0, planner=False)
    assert drive.loop.state is CommandState.STOPPED
    assert drive.moved_s - died_s <= (0.5 if rate_hz == 20 else 3 / rate_hz + 0.3)
