"""Doubts and limits of the whole command side: speed scale, ends of joints, pauses, planners."""

from dataclasses import replace

from bag_factory import robot
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.limits.urdf import JointLimits
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, PlanState
from loop_bench import Bench, DT_MS, MS, ROBOT, SETTINGS, values
import numpy as np
import pytest

ARM = robot(interface='joint_position', min_command=[-3, -3], max_command=[3, 3],
            max_rate=[1, 1], stop_rate=[2, 2])      # 0.05 rad per step
AT = np.array([0.7, -0.4])
PEOPLE = CommandParameters()                        # somebody enables it


def enabled(bench: Bench) -> Bench:
    assert bench.loop.enable(bench.now_ms * MS) == ''
    bench.now_ms += 10
    return bench.moving(1.0)


def code(bench: Bench) -> Code:
    return bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3).reason.code


# Speed scale ------------------------------------------------------------------------------------

def test_the_slower_of_people_and_planner_counts_and_is_reported():
    """Half by topic, a quarter by the planner: a quarter, in state and executed command."""
    bench = Bench().moving(1.0)
    assert bench.loop.set_speed_scale(0.5) == ''
    assert values(bench.run(100)) == [0.5, 0.5]
    bench.beat(speed_scale=0.25)
    step = bench.run(10, beats=False)
    bench.run(40, beats=False)
    step = step + bench.run(10, beats=False)
    assert (step[-1].executed[0], step[-1].speed_scale) == (0.25, 0.25)
    assert bench.loop.report(0, 0.0).speed_scale == 0.25
    assert not step[-1].clipped


def test_a_robot_whose_dead_band_is_wider_than_a_step_gets_going():
    """0.5 rad/s a step with a band of 0.6: the step after the first is one of 1.0, not of 0.5."""
    bench = Bench(robot=replace(ROBOT, max_rate=[10, 10], deadband=[0.6, 0.6]))
    bench.beat()
    bench.plan(2.0)
    assert values(bench.run(200)) == pytest.approx([0.0, 1.0, 1.5, 2.0])
    bench.run(600, beats=False)
    assert values(bench.run(100)) == [0.0, 0.0]


@pytest.mark.parametrize('scale', [-0.1, 1.1, float('nan'), float('inf')])
def test_a_scale_that_cannot_be_is_refused_and_the_last_one_stays(scale):
    """The reason names value and range."""
    bench = Bench().moving(1.0)
    bench.loop.set_speed_scale(0.5)
    assert f'in [0, 1], got {scale}; 0.5 stays in force' in bench.loop.set_speed_scale(scale)
    assert values(bench.run(100)) == [0.5, 0.5]


def test_a_scale_of_zero_stands_still_without_ending_the_plan():
    """Speeds are zero; positions stay where they were told to be, and go on with 1."""
    bench = Bench().moving(1.0)
    bench.loop.set_speed_scale(0.0)
    assert not any(values(bench.run(200)))
    assert bench.loop.state is CommandState.TRACKING
    bench.loop.set_speed_scale(1.0)
    assert values(bench.run(50)) == [1.0]

    arm = Bench(robot=ARM)
    arm.joints = lambda: AT
    arm.moving(3.0)
    arm.loop.set_speed_scale(0.0)
    [stays] = set(values(arm.run(200)))
    assert stays == pytest.approx(AT[0] + 10 * 0.05)
    arm.loop.set_speed_scale(0.5)
    assert values(arm.run(50)) == [pytest.approx(stays + 0.025)]


# Ends of joints ---------------------------------------------------------------------------------

class LimitedArm(Bench):
    """A velocity arm that obeys one step late, with a shoulder that may go to 1 rad."""

    def __init__(self, **changes) -> None:
        super().__init__(robot=replace(ROBOT, max_rate=[10, 10], stop_rate=[10, 10], **changes))
        self.place = np.zeros(2)
        self.joints = self.moved

    def moved(self) -> np.ndarray:
        if self.sent:
            # what is sent now acts from now on: the joint looks at the command of 10 ms ago
            self.place = self.place + 0.01 * self.sent[-1][1].executed
        return self.place


def test_a_speed_towards_the_end_of_a_joint_comes_down_in_time():
    """2 rad/s for three seconds: the joint comes to 1 rad, and never beyond."""
    bench = LimitedArm(position_max=[1.0, None])
    bench.beat()
    for _ in range(6):
        bench.plan(2.0)
        bench.run(500)
    assert 0.97 < bench.place[0] <= 1.0 + 1e-9
    assert bench.place[1] > 5.0                       # the wrist is not limited
    assert bench.loop.state is CommandState.TRACKING  # the plan goes on, the joint does not
    [doubt] = bench.loop.doubts(bench.steady_ms / 1e3)
    assert doubt == Reason(Code.POSITION_LIMIT, 'at the end of its range: shoulder')
    bench.plan(-2.0)
    bench.run(500)
    assert bench.place[0] < 0.5                       # the way back is free


def test_the_description_of_the_robot_limits_it_too():
    """A range of 0.5 rad and 0.8 rad/s from robot_description, in motion."""
    bench = LimitedArm()
    assert not bench.loop.needs_positions
    bench.loop.limit_joints({'shoulder': JointLimits(-0.5, 0.5, 0.8)})
    assert bench.loop.needs_positions
    bench.beat()
    bench.plan(2.0)
    assert max(values(bench.run(400))) == pytest.approx(0.8)
    bench.plan(2.0)
    bench.run(1500)
    assert bench.place[0] <= 0.5 + 1e-9


def test_a_limited_arm_that_nobody_measures_does_not_move_and_says_why():
    """Nor does it go on when the joint states stop: it ramps at once, without a hold."""
    bench = LimitedArm(position_max=[1.0, None])
    bench.joints = None
    bench.beat()
    bench.plan(0.2)
    assert bench.run(200) == []
    assert code(bench) is Code.NO_JOINT_STATE
    bench.joints = bench.moved
    bench.run(10)
    bench.plan(0.2)
    bench.run(200)
    assert bench.loop.state is CommandState.TRACKING
    bench.joints = None
    states = {step.state for step in bench.run(400)}
    assert CommandState.HOLD not in states
    assert bench.loop.state is CommandState.STOPPED
    assert 'positions of shoulder, wrist on joint_states came' in bench.reason()


def test_positions_beyond_the_range_are_clipped():
    """The plan asks for 2 rad, the range ends at 1."""
    bench = Bench(robot=replace(ARM, position_max=[1.0, None]))
    bench.joints = lambda: AT
    bench.beat()
    bench.plan(2.0)
    steps = bench.run(1000)
    assert max(values(steps)) == 1.0
    assert steps[-1].clipped and max(step.executed[1] for step in steps) > 0.5


# Two publishers of joint states -----------------------------------------------------------------

@pytest.mark.parametrize('settings', [SETTINGS, PEOPLE])
def test_joint_states_that_disagree_stop_the_arm_where_it_was_told_to_be(settings):
    """Zeros beside the driver: it stops within a step, does not turn towards zero, says why."""
    bench = Bench(settings, ARM)
    bench.joints = lambda: AT
    bench.run(10)
    if settings is PEOPLE:
        bench.loop.enable(bench.now_ms * MS)
        bench.now_ms += 10
    bench.moving(0.8)
    last = bench.sent[-1][1].executed
    turn = [0]

    def both():
        turn[0] += 1
        return AT if turn[0] % 2 else np.zeros(2)

    bench.joints = both
    bench.run(20)
    assert not bench.loop.following
    assert code(bench) is Code.JOINT_STATE_CONFLICT
    for _ in range(20):
        bench.plan(0.8)
        for step in bench.run(50):
            np.testing.assert_allclose(step.executed, last, atol=0.05 + 1e-9)
    assert not bench.loop.following
    assert (bench.loop.state is CommandState.DISABLED) == (settings is PEOPLE)


def test_an_arm_that_was_moved_by_hand_starts_when_the_last_command_is_old():
    """Not one step apart but 0.4 rad: it waits until 2 s after its last command, and says so."""
    bench = Bench(replace(SETTINGS, stop_publish_s=0.1), ARM)
    place = [AT]
    bench.joints = lambda: place[0]
    bench.moving(0.7)
    bench.run(600, beats=False)
    for _ in range(90):              # 0.4 rad in 0.9 s, as a hand does
        place[0] = place[0] - 0.4 / 90
        bench.run(10)
    bench.plan(0.7)
    assert bench.run(50) == []
    assert 'more than two steps apart' in bench.reason()
    bench.run(1000)
    bench.plan(0.7)
    [step] = bench.run(50)
    np.testing.assert_allclose(step.executed, place[0] + [0.05, 0.05], atol=1e-6)


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
