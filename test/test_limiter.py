"""The limiter: every command within the value and rate limits of the robot."""
from dataclasses import replace

from lewm_model.errors import PlanningError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.limits.limiter import CommandLimiter
import numpy as np
import pytest

DT = 0.05


@pytest.fixture
def robot() -> RobotDescription:
    return RobotDescription(
        robot='test', control_dt_s=DT, image_topic='i', camera_info_topic='c',
        joint_state_topic='j', command_topic='k',
        command_type='std_msgs/msg/Float64MultiArray', executed_topic='e',
        interface='joint_velocity', joint_names=('a', 'b'), min_command=[-2, -1],
        max_command=[2, 1], max_rate=[10, 10], stop_rate=[20, 40])


def limit(robot, requested, last=(0, 0), elapsed=DT, **options):
    return CommandLimiter(robot).limit(np.array(requested, float), np.array(last, float), elapsed,
                                       **options)


def test_a_command_within_all_limits_passes_unchanged(robot):
    """0.5 = 10 rad/s^2 * 0.05 s is just allowed."""
    limited = limit(robot, (0.5, -0.5))
    assert limited.values.tolist() == [0.5, -0.5]
    assert (limited.clipped, limited.slewed) == (False, False)


def test_speeds_beyond_a_bound_shrink_by_one_factor(robot):
    """(3, -3) with bounds 2 and 1 becomes (1, -1): the way stays the one that was asked for."""
    limited = limit(robot, (3, -3), last=(1, -1))
    assert limited.values.tolist() == [1, -1]
    assert (limited.clipped, limited.slewed) == (True, False)
    np.testing.assert_allclose(limit(robot, (4, 0.5), last=(2, 0.25)).values, [2, 0.25])


def test_an_axis_that_may_not_move_does_not_stop_the_others(robot):
    """No factor but zero would bring it within its bounds, so it alone is clipped."""
    forward = replace(robot, min_command=[0, -1])
    assert limit(forward, (-1, 0.4)).values.tolist() == [0, 0.4]


def test_positions_are_clipped_joint_by_joint(robot):
    """There is no direction in a place: each joint goes to its own bound."""
    arm = replace(robot, interface='joint_position')
    assert limit(arm, (3, -0.5), last=(1.9, -0.5)).values.tolist() == [2, -0.5]


def test_change_is_limited_to_the_tracking_rate(robot):
    """From (1, 0) towards (-1, 1), one step of 50 ms moves each joint by 0.5."""
    limited = limit(robot, (-1, 1), last=(1, 0))
    np.testing.assert_allclose(limited.values, [0.5, 0.5])
    assert (limited.clipped, limited.slewed) == (False, True)


def test_stopping_uses_the_stop_rate(robot):
    """20 and 40 rad/s^2 take 1.0 and up to 2.0 off in 50 ms."""
    limited = limit(robot, (0, 0), last=(2, -1), stopping=True)
    np.testing.assert_allclose(limited.values, [1, 0])


@pytest.mark.parametrize(('elapsed', 'change'), [
    (-1.0, 0.1), (0.0, 0.1), (0.01, 0.1), (0.03, 0.3), (0.1, 1.0), (10.0, 1.0)])
def test_measured_time_counts_within_a_fifth_and_two_steps(robot, elapsed, change):
    """Neither a burst of commands nor a stall turns into a jump."""
    assert limit(robot, (2, 0), elapsed=elapsed).values[0] == pytest.approx(change)


def test_a_change_that_is_too_fast_keeps_its_direction_where_the_robot_says_so(robot):
    """From rest towards (2, 1), 0.5 per step: (0.5, 0.5) by joint, (0.5, 0.25) as a whole."""
    assert limit(robot, (2, 1)).values.tolist() == [0.5, 0.5]
    together = limit(replace(robot, keep_direction=True), (2, 1))
    np.testing.assert_allclose(together.values, [0.5, 0.25])
    assert together.slewed
    stop = limit(replace(robot, keep_direction=True), (0, 0), last=(2, 1), stopping=True)
    assert stop.values.tolist() == [1, 0]   # in a stop each axis is as fast as it may be


def test_small_commands_vanish_in_the_dead_band(robot):
    """Below the band of an axis is zero, at the band is not."""
    robot = replace(robot, deadband=[0.05, 0.1])
    assert limit(robot, (0.049, -0.1)).values.tolist() == [0, -0.1]
    assert limit(robot, (-0.05, 0.099)).values.tolist() == [-0.05, 0]


def test_a_dead_band_wider_than_a_step_does_not_freeze_the_robot(robot):
    """The next change starts from before the band: 0, 0, 0, 0.2, 0.25 with a band of 0.18."""
    robot = replace(robot, deadband=[0.18, 0.18], max_rate=[1, 1])
    base, sent = np.zeros(2), []
    for _ in range(5):
        limited = limit(robot, (1, 0), last=base)
        base = limited.base
        sent.append(limited.values[0])
    np.testing.assert_allclose(sent, [0, 0, 0, 0.2, 0.25])


def test_a_scale_slows_speeds_down_and_positions_change_slower(robot):
    """Half of (1, 0.5) rad/s; of a position the change of a step is half, not the target."""
    half = limit(robot, (1, 0.5), last=(0.5, 0.25), speed_scale=0.5)
    assert half.values.tolist() == [0.5, 0.25] and not half.clipped
    assert limit(robot, (1, 0.5), last=(0.1, 0.1), speed_scale=0.0).values.tolist() == [0, 0]
    arm = replace(robot, interface='joint_position')
    assert limit(arm, (2, 1), last=(0, 0), speed_scale=0.5).values.tolist() == [0.25, 0.25]
    assert limit(arm, (2, 1), last=(0.3, 0), speed_scale=0.0).values.tolist() == [0.3, 0]


def test_bounds_brake_with_the_stop_rate(robot):
    """From 2 rad/s above a bound of 0.2: 20 rad/s^2 take 1.0 off, not the 0.5 of tracking."""
    bounds = (np.array([-9.0, -9.0]), np.array([0.2, 9.0]))
    limited = limit(robot, (2, 0.3), last=(2, 0), bounds=bounds)
    assert limited.values.tolist() == [1.0, 0.3]
    assert limited.clipped
    assert limit(robot, (2, 0), last=(-0.5, 0), bounds=bounds).values[0] == 0.0   # speeds up


def test_the_first_command_is_within_a_step_of_both_last_and_measured(robot):
    """Last 0.0, measured 0.3, asked 2: 0.5. Last 0.0, measured -0.3: 0.2."""
    arm = replace(robot, interface='joint_position')
    for measured, allowed in ((0.3, 0.5), (-0.3, 0.2), (-0.9, -0.4)):
        limited = limit(arm, (2, 0), near=np.array([measured, 0.0]))
        assert limited.values[0] == pytest.approx(allowed)


def test_standing_still_is_allowed_even_out_of_bounds(robot):
    """An arm that was found beyond its bounds is held there in a stop."""
    arm = replace(robot, interface='joint_position', min_command=[0.5, 0.5])
    limited = limit(arm, (0, 0), last=(0.6, 0.6), stopping=True)
    assert limited.values.tolist() == [0, 0]


@pytest.mark.parametrize('requested', [(np.nan, 0), (0, np.inf), (0, 0, 0), (0,)])
def test_commands_that_are_not_finite_numbers_are_rejected(robot, requested):
    """No NaN is ever turned into a number."""
    with pytest.raises(PlanningError, match='is not 2 finite numbers'):
        limit(robot, requested)


@pytest.mark.parametrize('direction', [False, True])
@pytest.mark.parametrize('interface', ['joint_velocity', 'joint_position'])
def test_no_sequence_of_requests_breaks_a_limit(robot, interface, direction):
    """Property: random requests at random intervals stay within value and rate limits."""
    robot = replace(robot, interface=interface, keep_direction=direction)
    rng = np.random.default_rng(0)
    last = np.zeros(2)
    for _ in range(2000):
        elapsed, stopping = rng.uniform(-0.1, 0.5), rng.random() < 0.3
        values = limit(robot, rng.normal(0, 5, 2), last, elapsed, stopping=stopping).values
        rate = robot.stop_rate if stopping else robot.max_rate
        assert (np.abs(values - last) <= rate * np.clip(elapsed, 0.01, 0.1) + 1e-12).all()
        if not stopping:
            # after an unclipped stop the value may be outside, and then it must come back
            inside = (values >= robot.min_command) & (values <= robot.max_command)
            assert (inside | (np.abs(values) <= np.abs(last))).all()
        last = values
