"""The watchdog: every doubt leads towards stop."""

from dataclasses import replace
import itertools
import re

from lewm_ros.command.watchdog import Alarm, Signals, Watchdog, WatchdogLimits
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState
import numpy as np
import pytest

LIMITS = WatchdogLimits(planner_timeout_s=0.2, obs_max_age_s=0.3, max_future_s=0.1, hold_s=0.1)
GOOD = Signals(steady_s=0.0, row_due=True, heartbeat_age_s=0.05, observation_age_s=0.05,
               moving=True)


def tracking() -> Watchdog:
    watchdog = Watchdog(enabled=True)
    assert watchdog.update(GOOD, LIMITS) is CommandState.TRACKING
    return watchdog


def test_nothing_moves_before_enable():
    """DISABLED with a perfect plan; IDLE after enable; TRACKING with the plan."""
    watchdog = Watchdog()
    assert watchdog.update(GOOD, LIMITS) is CommandState.DISABLED
    assert watchdog.enable() == ''
    assert watchdog.state is CommandState.IDLE
    assert watchdog.update(GOOD, LIMITS) is CommandState.TRACKING
    assert not watchdog.reason


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
    watchdog = tracking()
    assert watchdog.update(replace(GOOD, **change), LIMITS) is CommandState.RAMP_DOWN
    assert watchdog.alarm is alarm
    assert re.search(reason, watchdog.reason.text)
    assert watchdog.update(replace(GOOD, moving=False, **change), LIMITS) is CommandState.STOPPED
    assert watchdog.update(GOOD, LIMITS) is CommandState.TRACKING
    assert watchdog.alarm is None


@pytest.mark.parametrize('change', [
    {'heartbeat_age_s': 0.2}, {'observation_age_s': 0.3}, {'observation_age_s': -0.1}])
def test_limits_themselves_are_allowed(change):
    """The alarm is above the limit, not at it."""
    assert tracking().update(replace(GOOD, **change), LIMITS) is CommandState.TRACKING


def test_a_gap_in_the_plan_holds_then_ramps_then_stops():
    """HOLD lasts hold_s = 0.1 s on the steady clock; a new row resumes from any of these."""
    watchdog = tracking()
    gap = replace(GOOD, row_due=False)
    states = [watchdog.update(replace(gap, steady_s=s, moving=s < 0.2), LIMITS)
              for s in (0.0, 0.05, 0.099, 0.1, 0.15, 0.2, 0.3)]

    assert states == ([CommandState.HOLD] * 3 + [CommandState.RAMP_DOWN] * 2
                      + [CommandState.STOPPED] * 2)
    for s in (0.05, 0.15, 0.3):
        watchdog = tracking()
        for at in np.arange(0, s, 0.01):
            watchdog.update(replace(gap, steady_s=at), LIMITS)
        assert watchdog.update(GOOD, LIMITS) is CommandState.TRACKING


def test_without_hold_time_a_gap_ramps_at_once():
    """hold_s = 0 means never repeat a command."""
    gap = replace(GOOD, row_due=False)
    assert tracking().update(gap, replace(LIMITS, hold_s=0.0)) is CommandState.RAMP_DOWN


def test_e_stop_needs_release_and_enable():
    """Releasing it starts nothing; enabling while it is pressed is refused."""
    watchdog = tracking()
    watchdog.set_e_stop(True)
    assert watchdog.update(GOOD, LIMITS) is CommandState.DISABLED
    assert 'e-stop' in watchdog.enable()
    watchdog.set_e_stop(False)
    assert watchdog.update(GOOD, LIMITS) is CommandState.DISABLED
    assert watchdog.enable() == ''
    assert watchdog.update(GOOD, LIMITS) is CommandState.TRACKING


def test_pressed_e_stop_keeps_a_new_watchdog_disabled():
    """A node that is activated while the e-stop is pressed does not enable itself."""
    assert Watchdog(enabled=True, e_stop=True).state is CommandState.DISABLED


def test_fault_is_latched_with_its_first_reason():
    """Neither a good plan, nor enable, disable or the e-stop leave FAULT; clear_fault does."""
    watchdog = tracking()
    watchdog.fault(Reason(Code.CHUNK_MALFORMED, 'chunk 3 has non-finite actions'))
    watchdog.fault(Reason(Code.INTERNAL, 'another reason'))
    watchdog.disable(Reason(Code.STOPPED_BY_CALL, 'stop'))
    watchdog.set_e_stop(True)
    watchdog.set_e_stop(False)

    assert watchdog.update(GOOD, LIMITS) is CommandState.FAULT
    assert watchdog.reason.text == 'chunk 3 has non-finite actions'
    assert '~/clear_fault' in watchdog.enable()
    assert watchdog.clear_fault() == ''
    assert watchdog.update(GOOD, LIMITS) is CommandState.DISABLED
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
            assert state in (CommandState.IDLE, CommandState.RAMP_DOWN, CommandState.STOPPED)
            assert watchdog.reason
        if state is CommandState.TRACKING:
            assert after.row_due and after.heartbeat_age_s <= 0.2
            assert -0.1 <= after.observation_age_s <= 0.3
