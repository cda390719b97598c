"""Whom the command side follows: planners, its own process, and who listens."""

from dataclasses import replace

from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, PlanState
from loop_bench import Bench, code, DT_MS, enabled, MS, PEOPLE, SETTINGS, values
import pytest

# Planners ---------------------------------------------------------------------------------------

def test_a_second_planner_neither_keeps_the_robot_moving_nor_locks_it_out():
    """A dies while B answers frames: rest in 0.25 s, then B is followed, whose epoch is less."""
    bench = Bench()
    bench.epoch = 100
    bench.moving(2.0)
    died = bench.steady_ms
    for _ in range(12):
        bench.beat(session=78, epoch=50)
        bench.run(50, beats=False)
    assert bench.last_motion_ms() - died <= 200 + 50
    bench.session, bench.epoch = 78, 50
    assert bench.plan(1.0) == ''
    assert values(bench.run(50)) == [1.0]


def test_two_planners_at_once_are_an_error_while_the_first_is_followed():
    """Its plan is followed on; the state says that there is another one."""
    bench = Bench().moving(1.0)
    bench.beat(session=78)
    assert 'session 4e' in bench.plan(2.0, session=78)
    assert values(bench.run(100)) == [1.0, 1.0]
    assert code(bench) is Code.SECOND_PLANNER
    assert [doubt.code for doubt in bench.loop.doubts(bench.steady_ms / 1e3)] == [
        Code.SECOND_PLANNER]


@pytest.mark.parametrize('state', [PlanState.NO_GOAL, PlanState.FAULT, PlanState.NO_OBS])
def test_a_planner_that_says_it_has_no_plan_is_believed_at_once(state):
    """The rows that are left are not followed, and nothing is held."""
    bench = Bench().moving(2.0)
    bench.beat(state=state, reason=Reason(Code.NO_GOAL, 'somebody cleared the goal'))
    steps = bench.run(40, beats=False) + bench.run(10, beats=False)
    assert not any(values(steps))
    assert code(bench) is Code.PLAN_WITHDRAWN
    assert 'somebody cleared the goal' in bench.reason()


def test_a_planner_that_hangs_in_a_plan_is_blind():
    """Frames arrive and are answered, none is looked at: it stops 0.3 s after the last one."""
    bench = Bench().moving(2.0)
    looked_at = bench.now_ms - DT_MS
    since = bench.steady_ms
    for _ in range(12):
        bench.beat(frame_stamp_ns=looked_at * MS)
        bench.run(50, beats=False)
    assert bench.last_motion_ms() - since <= 300
    assert code(bench) is Code.OBSERVATION_STALE


# The process, and who listens -------------------------------------------------------------------

def test_a_process_that_was_paused_in_motion_does_not_go_on_with_the_plan():
    """0.5 s without a tick: it ramps to zero and is disabled, though plan and planner are well."""
    bench = enabled(Bench(PEOPLE))
    bench.now_ms += 500
    bench.steady_ms += 500
    bench.beat()
    assert not any(values(bench.run(300)))
    assert bench.loop.state is CommandState.DISABLED
    assert code(bench) is Code.PROCESS_PAUSED
    assert 'stood still for 0.51 s' in bench.reason()


def test_after_a_pause_the_guard_is_heard_before_anything_is_sent():
    """It has brought the robot to rest: no ramp from a speed that the robot no longer has."""
    bench = enabled(Bench(PEOPLE))
    bench.now_ms += 500
    bench.steady_ms += 500
    assert bench.run(10) == []
    bench.loop.stopped_by_guard(bench.now_ms * MS)
    assert bench.run(500) == []
    assert code(bench) is Code.GUARD_ACTED


def test_where_nobody_enables_motion_a_pause_ends_the_plan_only():
    """The next plan, made after the stop, is followed."""
    bench = Bench().moving(1.0)
    bench.now_ms += 500
    bench.steady_ms += 500
    bench.beat()
    assert not any(values(bench.run(300)))
    assert bench.plan(1.0) == ''
    assert values(bench.run(50)) == [1.0]


def test_a_pause_at_rest_means_nothing():
    """Nobody was told anything; a plan is followed as ever."""
    bench = Bench(PEOPLE)
    bench.run(10)
    bench.now_ms += 5000
    bench.steady_ms += 5000
    bench.beat()
    enabled(bench)


def test_motion_is_not_enabled_and_ends_where_nobody_listens():
    """Refused with the reason; in motion it stops and waits for people."""
    nobody = Reason(Code.NO_LISTENER, 'nobody listens on commands')
    bench = Bench(PEOPLE)
    bench.loop.set_audience(nobody, Reason())
    assert bench.loop.enable(bench.now_ms * MS) == 'nobody listens on commands'
    bench.loop.set_audience(Reason(), Reason())
    enabled(bench)
    bench.loop.set_audience(nobody, Reason(Code.NO_LISTENER, 'the controller is gone'))
    assert not any(values(bench.run(200)))
    assert bench.loop.state is CommandState.DISABLED
    assert 'the controller is gone, then call ~/enable' in bench.reason()


def test_a_node_that_enables_itself_waits_for_its_listener():
    """IDLE with the reason, then TRACKING."""
    bench = Bench()
    bench.loop.set_audience(Reason(Code.NO_LISTENER, 'nobody listens on commands'), Reason())
    bench.beat()
    bench.plan(1.0)
    assert bench.run(100) == []
    assert bench.reason() == 'nobody listens on commands'
    bench.loop.set_audience(Reason(), Reason())
    assert values(bench.run(50)) == [1.0]


def test_a_node_that_moved_nothing_says_nothing_when_it_ends():
    """Nor when it has been silent for long: another controller may be in charge."""
    bench = Bench()
    bench.run(100)
    assert bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3) is None
    bench = Bench(replace(SETTINGS, stop_publish_s=0.1)).moving(1.0)
    bench.run(1000, beats=False)
    assert bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3) is None


def test_a_first_plan_that_takes_long_is_followed_although_it_looked_blind_meanwhile():
    """1 s without a frame looked at, at rest: nothing was stopped, so its plan counts."""
    bench = Bench()
    bench.beat()
    looked_at = bench.now_ms
    for _ in range(20):
        bench.beat(frame_stamp_ns=looked_at * MS)
        bench.run(50, beats=False)
    assert code(bench) is Code.OBSERVATION_STALE
    assert bench.plan(1.0, age_ms=bench.now_ms - looked_at, rows=40) == ''
    assert values(bench.run(50)) == [1.0]


def test_a_plan_that_was_refused_is_the_reason_for_waiting():
    """It comes a second after it has ended: CHUNK_REFUSED with the text; the next one is taken."""
    bench = Bench()
    bench.run(50)
    assert code(bench) is Code.WAITING_FOR_PLAN
    refusal = bench.plan(1.0, rows=10, age_ms=1500)
    bench.run(50)
    assert code(bench) is Code.CHUNK_REFUSED
    assert refusal in bench.reason()
    bench.plan(1.0)
    bench.run(50)
    assert bench.loop.state is CommandState.TRACKING


def test_a_heartbeat_that_cannot_be_read_is_named_and_is_no_sign_of_life():
    """The robot stops as if the planner were silent; the code says that somebody does speak."""
    bench = Bench().moving(1.0)
    since = bench.steady_ms
    for _ in range(10):
        bench.loop.refuse_heartbeat('state must be in 0..6, got 99', bench.steady_ms / 1e3)
        bench.run(50, beats=False)
    assert bench.last_motion_ms() - since <= 250
    assert code(bench) is Code.MESSAGE_REFUSED
    assert 'state must be in 0..6, got 99' in bench.reason()
    bench.run(1500, beats=False)
    assert code(bench) is Code.PLANNER_SILENT
