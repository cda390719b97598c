"""The whole command side on a fake clock: what the robot is told, and when."""

from dataclasses import replace

from lewm_model.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.control_loop import CommandParameters, ControlLoop
from lewm_ros.reports import State
import numpy as np
import pytest

MS = 1_000_000
DT_MS = 50
ROBOT = RobotDescription.from_yaml('sim_reacher')  # +-2 rad/s, 40 rad/s^2: 2 rad/s per step
SETTINGS = CommandParameters(require_enable=False)


class Bench:
    """A loop, two clocks that can be torn apart, and a record of all commands."""

    def __init__(self, settings: CommandParameters = SETTINGS, robot=ROBOT) -> None:
        self.loop = ControlLoop(robot, settings)
        self.now_ms = 10_000        # node clock
        self.steady_ms = 777_000    # steady clock
        self.sent = []              # (steady ms, step)
        self.sequence = 0
        self.epoch = 1

    def plan(self, value=1.0, *, rows=25, age_ms=0, **changes) -> str:
        self.sequence += 1
        stamp = (self.now_ms - age_ms) * MS
        values = {'stamp_ns': stamp, 'dt_s': 0.05, 'actions': np.full((rows, 2), value),
                  'epoch': self.epoch, 'sequence': self.sequence, 'observation_stamp_ns': stamp}
        return self.loop.receive_chunk(ActionChunk(**{**values, **changes}), self.now_ms * MS)

    def beat(self, *, age_ms=0) -> None:
        self.loop.heartbeat((self.now_ms - age_ms) * MS, self.epoch, self.steady_ms / 1e3)

    def run(self, ms, *, beats=True, camera=True, node_clock=True) -> list:
        """Tick every 10 ms; heartbeats every 50 ms, with a live or a frozen camera."""
        begin = len(self.sent)
        frame_ms = self.now_ms
        for at in range(0, ms, 10):
            if beats and at % DT_MS == 0:
                self.beat(age_ms=0 if camera else self.now_ms - frame_ms)
            step = self.loop.tick(self.now_ms * MS, self.steady_ms / 1e3)
            if step is not None:
                self.sent.append((self.steady_ms, step))
            self.steady_ms += 10
            self.now_ms += 10 * node_clock
        return [step for _, step in self.sent[begin:]]

    def moving(self, value=1.0, **options) -> 'Bench':
        """Run half a second of a plan."""
        self.beat()
        self.plan(value, **options)
        self.run(500)
        assert self.loop.state is State.TRACKING
        return self

    def last_motion_ms(self) -> int:
        return max(at for at, step in self.sent if step.executed.any())


def values(steps) -> list:
    return [step.executed[0] for step in steps]


def test_one_command_per_step_stamped_with_its_grid_point():
    """500 ms of a plan are ten commands whose stamps are the chunk's grid."""
    bench = Bench()
    start = bench.now_ms
    bench.moving(1.5)

    steps = [step for _, step in bench.sent]
    assert [step.stamp_ns for step in steps] == [(start + k * DT_MS) * MS for k in range(10)]
    assert [step.step for step in steps] == list(range(10))
    assert values(steps) == [1.5] * 10
    assert not any(step.overridden or step.clipped or step.slewed for step in steps)
    assert bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3).deadline_misses == 0


def test_late_plan_continues_in_the_middle():
    """A plan that took 170 ms starts with row 3, on its own grid."""
    bench = Bench()
    bench.beat()
    bench.plan(age_ms=170)
    first = bench.run(10)[0]

    assert first.step == 3
    assert first.stamp_ns == (bench.now_ms - 10 - 170 + 150) * MS
    assert first.chunk_age_s == pytest.approx(0.15)


def test_clipping_and_slewing_are_reported():
    """A request of 9 rad/s becomes 2, a reversal takes two steps of 2 rad/s each."""
    bench = Bench()
    bench.beat()
    bench.plan(9.0)
    assert [(s.executed[0], s.clipped, s.slewed) for s in bench.run(100)] == [
        (2.0, True, False), (2.0, True, False)]
    bench.plan(-2.0)
    assert [(s.executed[0], s.clipped, s.slewed) for s in bench.run(100)] == [
        (0.0, False, True), (-2.0, False, False)]
    report = bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3)
    assert (report.commands_clipped, report.commands_slewed) == (2, 1)


def test_planner_silence_stops_the_robot_in_time_although_its_plan_goes_on():
    """Zero at most 0.2 s (timeout) + 0.05 s (ramp) + 2 ticks after the last heartbeat."""
    bench = Bench().moving(2.0)
    silent_since = bench.steady_ms - DT_MS
    bench.run(600, beats=False)

    assert bench.loop.state is State.STOPPED
    assert bench.last_motion_ms() - silent_since <= 200 + 50 + 20
    assert 'no plan_status' in bench.loop.report(bench.now_ms * MS, 1.0).reason


def test_stopped_camera_stops_the_robot_although_the_planner_still_talks():
    """Heartbeats with an old frame do not count: 0.3 s after the frame it ramps to zero."""
    bench = Bench().moving(2.0)
    frozen_since = bench.steady_ms
    bench.run(700, camera=False)

    assert bench.loop.state is State.STOPPED
    assert bench.last_motion_ms() - frozen_since <= 300 + 50 + 20


def test_frozen_node_clock_does_not_keep_the_robot_moving():
    """Simulated time stands still, so frames stop; the steady clock alone brings it to zero."""
    bench = Bench().moving(2.0)
    since = bench.steady_ms
    steps = bench.run(600, beats=False, node_clock=False)

    assert bench.loop.state is State.STOPPED
    assert values(steps)[-1] == 0
    assert bench.last_motion_ms() - since <= 200 + 50 + 20


def test_ramp_starts_at_once_and_zeros_follow_for_a_second_then_silence():
    """After the ramp about 20 zeros, one per step, then not a word."""
    bench = Bench(replace(SETTINGS, stop_publish_s=1.0)).moving(2.0)
    bench.run(20)  # the last command is 20 ms old
    bench.loop.disable('test', bench.now_ms * MS)
    at = bench.steady_ms
    bench.run(3000)

    after = [(t, s) for t, s in bench.sent if t >= at]
    assert after[0][0] == at
    assert all(step.overridden for _, step in after)
    zeros = [t for t, step in after if not step.executed.any()]
    assert 19 <= len(zeros) <= 22
    assert set(np.diff(zeros)) == {DT_MS}
    assert zeros[-1] - at <= 1000 + 2 * DT_MS


def test_a_gap_is_bridged_by_holding_then_ramps():
    """After the last row: two repeated commands (hold_s = 0.1 s), then zero."""
    bench = Bench()
    bench.beat()
    bench.plan(1.5, rows=4, age_ms=3)  # the grid lies between the ticks
    steps = bench.run(500)

    assert values(steps)[:6] == [1.5] * 6
    assert values(steps)[6:] == [0.0] * len(steps[6:])
    assert [s.state for s in steps[4:6]] == [State.HOLD] * 2
    assert np.diff([s.stamp_ns for s in steps[:6]]).tolist() == [DT_MS * MS] * 5
    assert bench.loop.state is State.STOPPED


def test_motion_resumes_on_a_late_plan_after_a_gap():
    """The gap was the planner's, all else is well: the next plan is followed."""
    bench = Bench()
    bench.beat()
    bench.plan(1.5, rows=4)
    bench.run(500)
    bench.plan(1.0, age_ms=250)
    assert values(bench.run(100)) == [1.0, 1.0]
    assert bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3).deadline_misses == 0


def test_start_from_standstill_is_one_step_of_change_however_long_it_stood():
    """10 rad/s^2 from rest: 0.5, 1.0, 1.5, 2.0 rad/s, also after ten seconds of rest."""
    bench = Bench(robot=replace(ROBOT, max_rate=[10, 10]))
    for _ in range(2):
        bench.beat()
        bench.plan(2.0)
        assert values(bench.run(200)) == pytest.approx([0.5, 1.0, 1.5, 2.0])
        bench.run(10_000, beats=False)


def test_a_plan_from_before_an_alarm_is_never_resumed():
    """After a short silence heartbeats return: the robot waits for a plan on a newer frame."""
    bench = Bench().moving(2.0, rows=200)
    bench.run(300, beats=False)
    assert bench.loop.state in (State.RAMP_DOWN, State.STOPPED)
    before_ms = bench.now_ms
    assert not any(values(bench.run(300)))
    refusal = bench.plan(1.0, age_ms=bench.now_ms - before_ms + 200, rows=200)
    assert 'before the last stop' in refusal
    assert bench.plan(1.0) == ''
    assert values(bench.run(50)) == [1.0]


@pytest.mark.parametrize('changes', [
    {'actions': np.full((5, 2), np.nan)}, {'actions': np.zeros((5, 3))}, {'dt_s': 0.04}])
def test_malformed_plan_latches_a_fault_and_stops(changes):
    """A broken planner is a fault: ramp to zero, stay there until clear_fault and enable."""
    bench = Bench().moving(2.0)
    assert bench.plan(**changes) != ''
    steps = bench.run(300)
    assert values(steps)[-1] == 0
    assert bench.plan(1.0) == ''
    assert not any(values(bench.run(200)))
    assert bench.loop.state is State.FAULT

    assert bench.loop.clear_fault() == ''
    assert not any(values(bench.run(100)))
    assert bench.loop.enable(bench.now_ms * MS) == ''
    assert not any(values(bench.run(100)))
    bench.plan(1.0)
    assert any(values(bench.run(100)))


def test_plans_that_are_only_early_late_or_superseded_do_not_disturb_the_present_one():
    """They are refused with a reason; the robot keeps following what it has."""
    bench = Bench().moving(1.0)
    for changes in ({'age_ms': -200}, {'age_ms': 3000}, {'epoch': 0}, {'sequence': 0}):
        assert bench.plan(2.0, **changes) != ''
    assert values(bench.run(100)) == [1.0, 1.0]


def test_new_epoch_in_a_heartbeat_ends_the_old_plan():
    """A new goal: hold, then ramp, until the new goal's plan is there."""
    bench = Bench().moving(2.0)
    bench.epoch = 2
    steps = bench.run(300)
    assert values(steps)[:2] == [2.0, 2.0]
    assert all(step.overridden for step in steps)
    assert bench.loop.state is State.STOPPED
    assert 'older than epoch 2' in bench.plan(1.0, epoch=1)
    bench.plan(1.0)
    assert any(values(bench.run(100)))


@pytest.mark.parametrize('disabled', [False, True])
def test_planner_that_died_and_counts_from_zero_is_followed_again(disabled):
    """Epoch 7, death, epoch 0: after the silence, in any state, the new planner's plans count."""
    bench = Bench()
    bench.epoch = 7
    bench.moving(1.0)
    if disabled:
        bench.loop.disable('test', bench.now_ms * MS)
    bench.run(500, beats=False)
    bench.epoch, bench.sequence = 0, -1
    assert bench.loop.enable(bench.now_ms * MS) == ''
    bench.run(50)
    assert bench.plan(1.0) == ''
    assert values(bench.run(50)) == [1.0]


def test_node_clock_that_jumps_back_stops_until_everything_is_new():
    """A bag loop or simulator restart: old plan and old frames mean nothing any more."""
    bench = Bench().moving(2.0)
    bench.now_ms -= 5_000
    steps = bench.run(300, beats=False)
    assert steps[0].executed[0] == 0
    assert bench.loop.state is State.STOPPED
    bench.beat()
    assert bench.plan(1.0, sequence=100) == ''
    assert values(bench.run(50)) == [1.0]


def test_node_clock_that_jumps_ahead_stops():
    """The plan is over and the newest frame is old."""
    bench = Bench().moving(2.0)
    bench.now_ms += 5_000
    assert not any(values(bench.run(100, beats=False))[1:])
    assert bench.loop.state is State.STOPPED


def test_e_stop_ramps_at_once_and_needs_enable_and_a_fresh_plan():
    """Release alone starts nothing; neither does the plan that was in flight."""
    bench = Bench().moving(2.0)
    bench.loop.set_e_stop(True, bench.now_ms * MS)
    pressed_ms = bench.steady_ms
    bench.run(200)
    assert bench.last_motion_ms() - pressed_ms <= 50
    assert 'e-stop' in bench.loop.enable(bench.now_ms * MS)
    bench.loop.set_e_stop(False, bench.now_ms * MS)
    bench.plan(1.0)
    assert not any(values(bench.run(200)))
    assert bench.loop.enable(bench.now_ms * MS) == ''
    assert 'before the last stop' in bench.plan(1.0, age_ms=10)
    assert not any(values(bench.run(200)))
    bench.plan(1.0)
    assert values(bench.run(100)) == [1.0, 1.0]


def test_enable_is_required_by_default():
    """Good plans and heartbeats do not move a robot that nobody enabled, nor say anything."""
    bench = Bench(CommandParameters())
    bench.beat()
    bench.plan(1.0)
    assert bench.run(300) == []
    assert bench.loop.report(0, 0.0).reason == 'not enabled; call ~/enable'


def test_plan_is_not_followed_beyond_its_timeout():
    """A plan of 10 s is left 0.5 s after its frame when chunk_timeout_s says so."""
    bench = Bench(replace(SETTINGS, chunk_timeout_s=0.5))
    bench.beat()
    bench.plan(1.0, rows=200)
    begin = bench.steady_ms
    bench.run(1500)
    assert bench.loop.state is State.STOPPED
    assert 500 <= bench.last_motion_ms() - begin <= 500 + 100 + 20


def test_stalled_loop_counts_what_it_missed():
    """A process that did not run for 200 ms reports three missed steps and does not jump."""
    bench = Bench().moving(2.0)
    bench.now_ms += 200
    bench.steady_ms += 200
    bench.beat()
    bench.plan(-2.0)
    first = bench.run(10)[0]
    assert first.executed[0] == pytest.approx(-2.0)  # two steps' worth of change, not four
    report = bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3)
    assert report.deadline_misses == 4


def test_halt_is_an_immediate_zero():
    """The last word before the node goes away."""
    bench = Bench().moving(2.0)
    step = bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3)
    assert step.executed.tolist() == [0, 0]
    assert step.overridden


def test_settings_change_while_running():
    """A shorter planner timeout acts from the next tick on."""
    bench = Bench().moving(2.0)
    bench.loop.settings = replace(SETTINGS, planner_timeout_s=0.05)
    since = bench.steady_ms
    bench.run(300, beats=False)
    assert bench.last_motion_ms() - since <= 50 + 50


def test_measured_rate():
    """20 commands per second are reported as such, and zero after a second of silence."""
    bench = Bench().moving(1.0)
    assert bench.loop.report(0, bench.steady_ms / 1e3).rate_hz == pytest.approx(20)
    assert bench.loop.report(0, bench.steady_ms / 1e3 + 2).rate_hz == 0


@pytest.mark.parametrize('seed', range(20))
def test_chaos_never_breaks_the_contract(seed):
    """Property: whatever arrives, commands stay in bounds and every alarm ends in standstill.

    0.32 s without heartbeats, or 0.07 s after the e-stop, the robot stands.
    """
    rng = np.random.default_rng(seed)
    bench = Bench()
    last, last_beat, pressed = np.zeros(2), -10_000, None
    for _ in range(1500):
        dice = rng.random()
        if dice < 0.3:
            bench.epoch = int(rng.integers(0, 4))
            bench.beat(age_ms=int(rng.integers(-50, 200)))
            last_beat = bench.steady_ms
        elif dice < 0.45:
            bench.plan(rng.normal(0, 3), rows=int(rng.integers(1, 30)),
                       age_ms=int(rng.integers(-150, 400)))
        elif dice < 0.452:
            bench.plan(np.nan)
        elif dice < 0.46:
            bench.loop.set_e_stop(pressed is None, bench.now_ms * MS)
            pressed = bench.steady_ms if pressed is None else None
        elif dice < 0.48:
            bench.loop.clear_fault()
            bench.loop.enable(bench.now_ms * MS)
        elif dice < 0.485:
            bench.now_ms += int(rng.integers(-3000, 3000))
        elif dice < 0.49:
            quiet = int(rng.integers(100, 800))
            bench.run(quiet, beats=False)
        begin = len(bench.sent)
        bench.run(10, beats=False)
        for _, step in bench.sent[begin:]:
            assert np.isfinite(step.executed).all()
            assert (np.abs(step.executed) <= 2.0).all()
        last = bench.sent[-1][1].executed if bench.sent else last
        if bench.steady_ms - last_beat > 320:
            assert not last.any()
        if pressed is not None and bench.steady_ms - pressed > 70:
            assert not last.any()
    assert any(step.executed.any() for _, step in bench.sent)  # it did move at times
