"""The limiter: every command within the value and rate limits of the robot."""


from lewm_model.errors import PlanningError
from lewm_model.robot import RobotDescription
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


def test_values_are_clipped_per_joint(robot):
    """Each joint has its own bound."""
    limited = limit(robot, (3, -3), last=(1.9, -0.9))
    assert limited.values.tolist() == [2, -1]
    assert (limited.clipped, limited.slewed) == (True, False)


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


def test_small_commands_vanish_in_the_dead_band(robot):
    """Below the band is zero, at the band is not."""
    assert limit(robot, (0.049, -0.05), deadband=0.05).values.tolist() == [0, -0.05]


@pytest.mark.parametrize('requested', [(np.nan, 0), (0, np.inf), (0, 0, 0), (0,)])
def test_commands_that_are_not_finite_numbers_are_rejected(robot, requested):
    """No NaN is ever turned into a number."""
    with pytest.raises(PlanningError, match='is not 2 finite numbers'):
        limit(robot, requested)


def test_no_sequence_of_requests_breaks_a_limit(robot):
    """Property: random requests at random intervals stay within value and rate limits."""
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
