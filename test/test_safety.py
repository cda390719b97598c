"""Limits and watchdog: every doubt leads towards stop."""

from dataclasses import replace
import itertools

from lewm_model.errors import PlanningError
from lewm_model.robot import RobotDescription
from lewm_ros.command.safety import Alarm, CommandLimiter, Signals, Watchdog, WatchdogLimits
from lewm_ros.wire.reports import State
import numpy as np
import pytest

DT = 0.05
LIMITS = WatchdogLimits(planner_timeout_s=0.2, obs_max_age_s=0.3, max_future_s=0.1, hold_s=0.1)
GOOD = Signals(steady_s=0.0, row_due=True, heartbeat_age_s=0.05, observation_age_s=0.05,
               moving=True)


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


def test_standing_still_is_allowed_even_where_zero_is_out_of_bounds(robot):
    """A joint whose bounds exclude zero still ramps to zero in a stop."""
    robot = replace(robot, min_command=[0.5, 0.5])
    limited = limit(robot, (0, 0), last=(0.6, 0.6), stopping=True)
    assert limited.values.tolist() == [0, 0]


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


# Watchdog -------------------------------------------------------------------------------------

def tracking() -> Watchdog:
    watchdog = Watchdog(enabled=True)
    assert watchdog.update(GOOD, LIMITS) is State.TRACKING
    return watchdog


def test_nothing_moves_before_enable():
    """DISABLED with a perfect plan; IDLE after enable; TRACKING with the plan."""
    watchdog = Watchdog()
    assert watchdog.update(GOOD, LIMITS) is State.DISABLED
    assert watchdog.enable() == ''
    assert watchdog.state is State.IDLE
    assert watchdog.update(GOOD, LIMITS) is State.TRACKING
    assert watchdog.reason == ''


@pytest.mark.parametrize(('change', 'alarm', 'reason'), [
    ({'heartbeat_age_s': 0.21}, Alarm.PLANNER_SILENT, r'no plan_status for 0\.21 s'),
    ({'heartbeat_age_s': float('inf')}, Alarm.PLANNER_SILENT, 'no plan_status yet'),
    ({'heartbeat_age_s': float('nan')}, Alarm.PLANNER_SILENT, 'no plan_status for nan'),
    ({'observation_age_s': 0.31}, Alarm.OBSERVATION_STALE, r'newest frame is 0\.31 s old'),
    ({'observation_age_s': float('nan')}, Alarm.OBSERVATION_STALE, 'newest frame is nan'),
    ({'observation_age_s': -0.11}, Alarm.OBSERVATION_STALE, r'0\.11 s in the future'),
])
def test_alarm_ramps_down_at_once_and_stops_at_standstill(change, alarm, reason):
    """There is no HOLD for a dead planner or camera, even with a valid plan in hand."""
    import re

    watchdog = tracking()
    assert watchdog.update(replace(GOOD, **change), LIMITS) is State.RAMP_DOWN
    assert watchdog.alarm is alarm
    assert re.search(reason, watchdog.reason)
    assert watchdog.update(replace(GOOD, moving=False, **change), LIMITS) is State.STOPPED
    assert watchdog.update(GOOD, LIMITS) is State.TRACKING  # the node asks for a fresh plan first
    assert watchdog.alarm is None


@pytest.mark.parametrize('change', [
    {'heartbeat_age_s': 0.2}, {'observation_age_s': 0.3}, {'observation_age_s': -0.1}])
def test_limits_themselves_are_allowed(change):
    """The alarm is above the limit, not at it."""
    assert tracking().update(replace(GOOD, **change), LIMITS) is State.TRACKING


def test_a_gap_in_the_plan_holds_then_ramps_then_stops():
    """HOLD lasts hold_s = 0.1 s on the steady clock; a new row resumes from any of these."""
    watchdog = tracking()
    gap = replace(GOOD, row_due=False)
    states = [watchdog.update(replace(gap, steady_s=s, moving=s < 0.2), LIMITS)
              for s in (0.0, 0.05, 0.099, 0.1, 0.15, 0.2, 0.3)]

    assert states == [State.HOLD] * 3 + [State.RAMP_DOWN] * 2 + [State.STOPPED] * 2
    for s in (0.05, 0.15, 0.3):
        watchdog = tracking()
        for at in np.arange(0, s, 0.01):
            watchdog.update(replace(gap, steady_s=at), LIMITS)
        assert watchdog.update(GOOD, LIMITS) is State.TRACKING


def test_without_hold_time_a_gap_ramps_at_once():
    """hold_s = 0 means never repeat a command."""
    gap = replace(GOOD, row_due=False)
    assert tracking().update(gap, replace(LIMITS, hold_s=0.0)) is State.RAMP_DOWN


def test_e_stop_needs_release_and_enable():
    """Releasing it starts nothing; enabling while it is pressed is refused."""
    watchdog = tracking()
    watchdog.set_e_stop(True)
    assert watchdog.update(GOOD, LIMITS) is State.DISABLED
    assert 'e-stop' in watchdog.enable()
    watchdog.set_e_stop(False)
    assert watchdog.update(GOOD, LIMITS) is State.DISABLED
    assert watchdog.enable() == ''
    assert watchdog.update(GOOD, LIMITS) is State.TRACKING


def test_pressed_e_stop_keeps_a_new_watchdog_disabled():
    """A node that is activated while the e-stop is pressed does not enable itself."""
    assert Watchdog(enabled=True, e_stop=True).state is State.DISABLED


def test_fault_is_latched_with_its_first_reason():
    """Neither a good plan, nor enable, disable or the e-stop leave FAULT; clear_fault does."""
    watchdog = tracking()
    watchdog.fault('chunk 3 has non-finite actions')
    watchdog.fault('another reason')
    watchdog.disable('stop')
    watchdog.set_e_stop(True)
    watchdog.set_e_stop(False)

    assert watchdog.update(GOOD, LIMITS) is State.FAULT
    assert watchdog.reason == 'chunk 3 has non-finite actions'
    assert '~/clear_fault' in watchdog.enable()
    assert watchdog.clear_fault() == ''
    assert watchdog.update(GOOD, LIMITS) is State.DISABLED
    assert watchdog.clear_fault() == 'no fault is latched'
    assert watchdog.enable() == ''


def test_no_alarm_ever_coexists_with_tracking():
    """Property: over all pairs of signals, a machine with an alarm never tracks or holds."""
    ages = (0.05, 0.5, -0.5, float('inf'), float('nan'))
    options = [replace(GOOD, row_due=r, heartbeat_age_s=h, observation_age_s=o, moving=m)
               for r, h, o, m in itertools.product((True, False), ages, ages, (True, False))]
    for before, after in itertools.product(options, options):
        watchdog = Watchdog(enabled=True)
        watchdog.update(before, LIMITS)
        state = watchdog.update(after, LIMITS)
        if watchdog.alarm is not None:
            assert state in (State.IDLE, State.RAMP_DOWN, State.STOPPED)
            assert watchdog.reason
        if state is State.TRACKING:
            assert after.row_due and after.heartbeat_age_s <= 0.2
            assert -0.1 <= after.observation_age_s <= 0.3
