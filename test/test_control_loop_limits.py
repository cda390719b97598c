"""Doubts and limits of the whole command side: speed scale, ends of joints, joint states."""

from dataclasses import replace

from bag_factory import robot
from lewm_ros.limits.urdf import JointLimits
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState
from loop_bench import Bench, code, MS, PEOPLE, ROBOT, SETTINGS, values
import numpy as np
import pytest

ARM = robot(interface='joint_position', min_command=[-3, -3], max_command=[3, 3],
            max_rate=[1, 1], stop_rate=[2, 2])      # 0.05 rad per step
AT = np.array([0.7, -0.4])


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
