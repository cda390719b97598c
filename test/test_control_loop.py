"""The whole command side on a fake clock: what the robot is told, and when."""

from dataclasses import replace

from lewm_ros.wire.reports import CommandState
from loop_bench import Bench, DT_MS, MS, ROBOT, SETTINGS, values
import numpy as np
import pytest


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


def test_a_gap_is_bridged_by_holding_then_ramps():
    """After the last row: two repeated commands (hold_s = 0.1 s), then zero."""
    bench = Bench()
    bench.beat()
    bench.plan(1.5, rows=4, age_ms=3)  # the grid lies between the ticks
    steps = bench.run(500)

    assert values(steps)[:6] == [1.5] * 6
    assert values(steps)[6:] == [0.0] * len(steps[6:])
    assert [s.state for s in steps[4:6]] == [CommandState.HOLD] * 2
    assert np.diff([s.stamp_ns for s in steps[:6]]).tolist() == [DT_MS * MS] * 5
    assert bench.loop.state is CommandState.STOPPED


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


def test_plans_that_are_only_early_late_or_superseded_do_not_disturb_the_present_one():
    """They are refused with a reason; the robot keeps following what it has."""
    bench = Bench().moving(1.0)
    for changes in ({'age_ms': -200}, {'age_ms': 3000}, {'epoch': 0}, {'sequence': 0}):
        assert bench.plan(2.0, **changes) != ''
    assert values(bench.run(100)) == [1.0, 1.0]


def test_new_epoch_in_a_heartbeat_ends_the_old_plan():
    """A new goal: ramp at once, until the new goal's plan is there; it says why."""
    bench = Bench().moving(2.0)
    bench.epoch = 2
    steps = bench.run(300)
    assert not any(values(steps))   # 40 rad/s^2 take 2 rad/s off in one step
    assert all(step.overridden for step in steps)
    assert bench.loop.state is CommandState.STOPPED
    assert 'withdrew its plan' in bench.reason()
    assert 'older than epoch 2' in bench.plan(1.0, epoch=1)
    bench.plan(1.0)
    assert any(values(bench.run(100)))


def test_plan_is_not_followed_beyond_its_timeout():
    """A plan of 10 s is left 0.5 s after its frame when chunk_timeout_s says so."""
    bench = Bench(replace(SETTINGS, chunk_timeout_s=0.5))
    bench.beat()
    bench.plan(1.0, rows=200)
    begin = bench.steady_ms
    bench.run(1500)
    assert bench.loop.state is CommandState.STOPPED
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


def test_settings_change_while_running():
    """A shorter planner timeout acts from the next tick on."""
    bench = Bench().moving(2.0)
    bench.loop.settings = replace(SETTINGS, planner_timeout_s=0.1)
    since = bench.steady_ms
    bench.run(300, beats=False)
    assert bench.last_motion_ms() - since <= 100 + 50


def test_measured_rate():
    """20 commands per second are reported as such, and zero after a second of silence."""
    bench = Bench().moving(1.0)
    assert bench.loop.report(0, bench.steady_ms / 1e3).rate_hz == pytest.approx(20)
    assert bench.loop.report(0, bench.steady_ms / 1e3 + 2).rate_hz == 0
