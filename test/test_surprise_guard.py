"""When surprise is acted on, how it ends, and what is learnt on the robot."""

import math

from lewm_model.errors import ConfigError
from lewm_ros.planner.surprise.robot_calibration import CalibrationWatch, RobotCalibration
from lewm_ros.planner.surprise.surprise_guard import SurpriseGuard, SurpriseSettings
from lewm_ros.wire.reasons import Code
import numpy as np
import pytest

STEP = 50_000_000
NAN = math.nan


def guard(action='stop', **values):
    return SurpriseGuard(SurpriseSettings(action=action, **{'limit': 10.0, 'frames': 3, **values}))


def feed(one, values, first=0):
    return [one.update((first + k) * STEP, value) for k, value in enumerate(values)]


def test_so_many_frames_in_a_row_raise_the_alarm_and_no_fewer():
    """Two above the limit, one below, two above: nothing. Three in a row: stop, with its code."""
    one = guard()
    assert not any(v.stops for v in feed(one, [11, 11, 9, 11, 11, 10]))
    last = feed(one, [11, 11, 11], first=6)
    assert [v.stops for v in last] == [False, False, True]
    assert last[-1].reason.code is Code.SURPRISED
    assert 'surprise 11, allowed is 10' in last[-1].reason.text


def test_what_does_not_move_raises_the_alarm_whatever_the_surprise():
    """One frame is enough: seconds were looked at already. It ends when it moves again."""
    one = guard('slow', calm_s=0.5)
    found = one.update(STEP, 1.0, 'shoulder does not move')
    assert found.reason.text.startswith('shoulder does not move. It moves slowly')
    assert found.speed_scale < 1 and one.raised
    assert all(one.update(k * STEP, 1.0, 'still').reason for k in range(2, 40))
    assert [bool(v.reason) for v in feed(one, [1.0] * 12, first=40)] == [True] * 10 + [False] * 2


def test_after_a_change_of_colours_nothing_stops():
    """What would have stopped is slow, says why, and ends by itself; with `warn` it is said."""
    for action, scale in (('stop', 0.3), ('slow', 0.3), ('warn', 1.0)):
        one = guard(action)
        found = [one.update(k * STEP, 11.0, recoloured=True) for k in range(3)][-1]
        assert (found.stops, found.speed_scale) == (False, scale)
        assert 'after a change of colours' in found.reason.text
        assert not feed(one, [1.0] * 25, first=3)[-1].reason


def test_a_stop_is_no_milder_for_colours_that_change_later():
    """It stopped; then somebody switches on the light."""
    one = guard()
    feed(one, [11] * 3)
    assert all(one.update(k * STEP, 11.0, recoloured=True).stops for k in range(3, 30))
    assert all(one.update(k * STEP, 1.0, recoloured=True).stops for k in range(30, 90))


def test_what_is_not_known_neither_raises_nor_hides():
    """NaN never makes an alarm, does not break a row, and does not end an alarm."""
    one = guard()
    assert not any(v.stops for v in feed(one, [NAN] * 50))
    assert feed(one, [11, NAN, 11, NAN, 11], first=50)[-1].stops
    assert all(v.stops for v in feed(one, [NAN] * 50, first=55))
    slow = guard('slow')
    feed(slow, [11] * 3)
    assert all(v.speed_scale < 1 for v in feed(slow, [NAN] * 100, first=3))


def test_a_row_does_not_go_on_after_a_long_gap():
    """Two surprises, a minute of nothing known, one more: that is no row."""
    one = guard()
    feed(one, [11, 11])
    assert not one.update(60 * 10 ** 9, 11).stops


def test_infinite_surprise_is_a_surprise():
    """It is above any limit."""
    assert feed(guard(), [math.inf] * 3)[-1].stops


def test_slowness_ends_after_a_calm_time_and_a_stop_does_not():
    """One second below half the limit ends slowness; 6 of 10 is not calm; a stop stays."""
    slow, stop = guard('slow', slow_scale=0.25), guard('stop')
    for one in (slow, stop):
        feed(one, [11] * 3)
    assert {v.speed_scale for v in feed(slow, [6] * 100, first=3)} == {0.25}
    back = [v.speed_scale for v in feed(slow, [1] * 25, first=103)]
    assert back == [0.25] * 20 + [1.0] * 5
    assert all(v.stops for v in feed(stop, [1] * 200, first=3))
    stop.forgive()
    assert not feed(stop, [1], first=203)[0].stops


def test_one_surprise_in_the_calm_time_begins_it_anew():
    """Half a second calm, one frame at 9, then again a whole second."""
    one = guard('slow')
    feed(one, [11] * 3 + [1] * 15 + [9])
    assert [bool(v.reason) for v in feed(one, [1] * 22, first=19)] == [True] * 20 + [False] * 2


def test_warn_says_it_and_changes_nothing():
    """Full speed, no stop, a reason."""
    found = feed(guard('warn'), [11] * 3)[-1]
    assert (found.reason.code, found.speed_scale, found.stops) == (Code.SURPRISED, 1.0, False)


@pytest.mark.parametrize('settings', [{'action': 'off'}, {'limit': NAN}])
def test_off_or_not_calibrated_does_nothing(settings):
    """Any surprise passes."""
    one = SurpriseGuard(SurpriseSettings(**{'action': 'stop', 'limit': 10.0, **settings}))
    assert not any(v.stops or v.reason for v in feed(one, [1e9] * 10))


def test_an_alarm_is_acted_on_as_the_settings_say_now():
    """From warn to stop while the alarm is on: the next frame stops."""
    one = guard('warn')
    feed(one, [11] * 3)
    one.configure(SurpriseSettings(action='stop', limit=10.0))
    assert one.update(3 * STEP, 11).stops


@pytest.mark.parametrize('bad', [{'action': 'shout'}, {'limit': 0.0}, {'frames': 0},
                                 {'slow_scale': 0.0}, {'calm_s': NAN},
                                 {'least_gain': 1.0}])
def test_settings_that_cannot_be_are_refused(bad):
    """The message says what is allowed."""
    with pytest.raises(ConfigError, match='surprise'):
        SurpriseSettings(**bad)


def watched(errors, seconds=60.0, allowed=math.inf, step=STEP):
    said = []
    watch = CalibrationWatch('abc', allowed, lambda *what: said.append(what))
    watch.start(seconds)
    for k, error in enumerate(errors):
        watch.add(k * step, error)
    return said


def test_a_minute_of_driving_gives_a_limit():
    """Errors of mean 1 with one of 4 in every piece: the highest is 4 everywhere; twice that."""
    errors = np.full(1300, 0.9)
    errors[::30] = 3.9
    (found, text), = watched(errors)
    assert found.pieces == 21 and found.seconds == pytest.approx(60.0)
    assert found.mean_error == pytest.approx(1.0, abs=0.01)
    assert found.limit == pytest.approx(2 * 3.9 / found.mean_error)
    assert 'surprise limit' in text


def test_nothing_is_learnt_from_a_robot_that_is_wrong():
    """Far above what the data ever showed: refused with the factor, not taken as ordinary."""
    (found, text), = watched(np.full(1300, 5.0), allowed=1.0)
    assert found is None and '10 times as much' in text


def test_nothing_is_learnt_without_predictions():
    """NaN is time that passes; a robot that never drove has nothing to judge."""
    (found, text), = watched(np.full(1300, NAN))
    assert found is None and '0 pieces' in text


def test_a_file_is_of_one_model(tmp_path):
    """Saved and read; of another model, or damaged, it is refused with the fix."""
    (found, _), = watched(np.linspace(0.5, 1.5, 1300))
    path = found.save(tmp_path / 'new' / 'surprise.yaml')
    assert RobotCalibration.load(path, 'abc') == found
    with pytest.raises(ConfigError, match='measured with model abc, this is xyz'):
        RobotCalibration.load(path, 'xyz')
    path.write_text(path.read_text().replace('limit:', 'limit: -1 #'))
    with pytest.raises(ConfigError, match='limit must be a positive number'):
        RobotCalibration.load(path, 'abc')
