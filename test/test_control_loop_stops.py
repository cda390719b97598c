"""Every doubt ends in standstill: silence, stopped cameras and clocks, faults, the e-stop."""

from dataclasses import replace

from lewm_ros.command.parameters import CommandParameters
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState
from loop_bench import Bench, DT_MS, MS, SETTINGS, values
import numpy as np
import pytest


def test_planner_silence_stops_the_robot_in_time_although_its_plan_goes_on():
    """Zero at most 0.2 s (timeout) + 0.05 s (ramp) + 2 ticks after the last heartbeat."""
    bench = Bench().moving(2.0)
    silent_since = bench.steady_ms - DT_MS
    bench.run(600, beats=False)

    assert bench.loop.state is CommandState.STOPPED
    assert bench.last_motion_ms() - silent_since <= 200 + 50 + 20
    assert 'no plan_status' in bench.loop.report(bench.now_ms * MS, 1.0).reason.text


def test_a_planner_without_frames_is_not_called_dead():
    """What it says about the camera is the reason, for as long as it says it; nothing moves."""
    bench, text = Bench(), 'no camera frames: nothing is published on /image; start the driver'
    bench.plan(1.0)
    bench.loop.see_nothing(Reason(Code.NO_FRAME, text), bench.steady_ms / 1e3)
    assert bench.run(400, beats=False) == []
    assert bench.reason() == f'the planner has nothing to look at: {text}'
    bench.run(3000, beats=False)
    assert 'is the planner running?' in bench.reason()

    bench.moving(2.0)
    bench.run(1500, beats=False)
    bench.loop.see_nothing(Reason(Code.NO_FRAME, text), bench.steady_ms / 1e3)
    assert bench.loop.state is CommandState.STOPPED and text in bench.reason()
    assert 'planner or camera is gone' not in bench.reason()
    bench.beat()
    bench.run(50)
    assert text not in bench.reason()


def test_stopped_camera_stops_the_robot_although_the_planner_still_talks():
    """Heartbeats with an old frame do not count: 0.3 s after the frame it ramps to zero."""
    bench = Bench().moving(2.0)
    frozen_since = bench.steady_ms
    bench.run(700, camera=False)

    assert bench.loop.state is CommandState.STOPPED
    assert bench.last_motion_ms() - frozen_since <= 300 + 50 + 20


def test_frozen_node_clock_does_not_keep_the_robot_moving():
    """Simulated time stands still, so frames stop; the steady clock alone brings it to zero."""
    bench = Bench().moving(2.0)
    since = bench.steady_ms
    steps = bench.run(600, beats=False, node_clock=False)

    assert bench.loop.state is CommandState.STOPPED
    assert values(steps)[-1] == 0
    assert bench.last_motion_ms() - since <= 200 + 50 + 20


def test_ramp_starts_at_once_and_zeros_follow_for_a_second_then_silence():
    """After the ramp about 20 zeros, one per step, then not a word."""
    bench = Bench(replace(SETTINGS, stop_publish_s=1.0)).moving(2.0)
    bench.run(20)  # the last command is 20 ms old
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    at = bench.steady_ms
    bench.run(3000)

    after = [(t, s) for t, s in bench.sent if t >= at]
    assert after[0][0] == at
    assert all(step.overridden for _, step in after)
    zeros = [t for t, step in after if not step.executed.any()]
    assert 19 <= len(zeros) <= 22
    assert set(np.diff(zeros)) == {DT_MS}
    assert zeros[-1] - at <= 1000 + 2 * DT_MS


def test_a_plan_from_before_an_alarm_is_never_resumed():
    """After a short silence heartbeats return: the robot waits for a plan on a newer frame."""
    bench = Bench().moving(2.0, rows=200)
    bench.run(300, beats=False)
    assert bench.loop.state in (CommandState.RAMP_DOWN, CommandState.STOPPED)
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
    assert bench.loop.state is CommandState.FAULT

    assert bench.loop.clear_fault() == ''
    assert not any(values(bench.run(100)))
    assert bench.loop.enable(bench.now_ms * MS) == ''
    assert not any(values(bench.run(100)))
    bench.plan(1.0)
    assert any(values(bench.run(100)))


@pytest.mark.parametrize('disabled', [False, True])
def test_planner_that_died_and_counts_from_zero_is_followed_again(disabled):
    """Another session: after the silence, in any state, the new planner's plans count."""
    bench = Bench()
    bench.epoch = 7
    bench.moving(1.0)
    if disabled:
        bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    bench.run(500, beats=False)
    bench.session, bench.epoch, bench.sequence = 78, 0, -1
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
    assert bench.loop.state is CommandState.STOPPED
    bench.beat()
    assert bench.plan(1.0, sequence=100) == ''
    assert values(bench.run(50)) == [1.0]


def test_node_clock_that_jumps_ahead_stops():
    """The plan is over and the newest frame is old."""
    bench = Bench().moving(2.0)
    bench.now_ms += 5_000
    assert not any(values(bench.run(100, beats=False))[1:])
    assert bench.loop.state is CommandState.STOPPED


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
    assert bench.loop.report(0, 0.0).reason.text == 'not enabled; call ~/enable'


def test_halt_is_an_immediate_zero():
    """The last word before the node goes away."""
    bench = Bench().moving(2.0)
    step = bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3)
    assert step.executed.tolist() == [0, 0]
    assert step.overridden


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
