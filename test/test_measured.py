"""Measured positions that cannot be true are not believed."""

from bag_factory import robot
from lewm_ros.limits.measured import CALM_S, MeasuredPositions
from lewm_ros.wire.reasons import Code
import numpy as np
import pytest

# 1 rad/s while tracking, 2 rad/s in a stop: 2 * 2 rad/s * (0.02 + 0.1) s = 0.48 rad are possible
ARM = robot(interface='joint_position', max_rate=[1, 1], stop_rate=[2, 2])


def taken(*positions, every_s=0.02, sources=('driver',)) -> MeasuredPositions:
    measured = MeasuredPositions(ARM, 0.2)
    for index, one in enumerate(positions):
        measured.take(np.array(one, float), index * every_s, sources[index % len(sources)])
    return measured


def test_the_newest_positions_count_until_they_are_too_old():
    """Nothing at first, then the newest, and after 0.2 s nothing again; each says why."""
    assert MeasuredPositions(ARM, 0.2).problem(0.0).code is Code.NO_JOINT_STATE
    measured = taken((0.1, 0.2), (0.11, 0.2))
    assert measured.positions.tolist() == [0.11, 0.2]
    assert not measured.problem(0.22)
    assert 'came 0.23 s ago, allowed are 0.2 s' in measured.problem(0.25).text


def test_two_sources_that_disagree_are_seen_at_the_first_message_and_counted():
    """0.8 and 0.0 in turn: 0.8 rad in 20 ms cannot be; the joint, the numbers, both sources."""
    problem = taken((0.8, 0.9), (0, 0), sources=('driver', 'publisher')).problem(0.02)
    assert problem.code is Code.JOINT_STATE_CONFLICT
    assert 'wrist moved 0.900 in 0.020 s, possible are 0.480; 2 sources of these joints ' \
        '(driver, publisher); let only the driver' in problem.text


def test_a_jump_is_forgotten_after_a_calm_second():
    """A robot that was set elsewhere by a simulator is believed again."""
    measured = taken((0.8, 0.9), (0, 0))
    at_s = 0.02
    while at_s < 0.02 + CALM_S:
        assert measured.problem(at_s)
        at_s += 0.02
        measured.take(np.zeros(2), at_s)
    measured.take(np.zeros(2), 1.1)
    assert not measured.problem(1.1)


@pytest.mark.parametrize('gap_s', [0.001, 0.02, 0.3, 2.0])
def test_a_joint_that_moves_as_fast_as_it_can_is_believed(gap_s):
    """Also when messages come late and in bursts: 0.1 s of jitter is allowed."""
    measured, at_s = MeasuredPositions(ARM, 0.2), 0.0
    for index in range(50):
        measured.take(np.full(2, 2.0 * at_s), at_s + 0.09 * (index % 2), 'driver')
        assert measured.sources(at_s) == ['driver']
        at_s += gap_s
    assert not measured.conflict(at_s)


def test_numbers_that_are_not_finite_are_no_measurement():
    """They neither count as positions nor as a jump."""
    measured = taken((0.1, 0.2), (np.nan, 0.2), (0.12, np.inf))
    assert measured.positions.tolist() == [0.1, 0.2]
    assert not measured.conflict(0.04)


def test_joints_that_are_not_watched_may_jump():
    """A wheel is reported modulo a turn."""
    measured = MeasuredPositions(ARM, 0.2, np.array([True, False]))
    measured.take(np.array([0.0, 3.1]), 0.0)
    measured.take(np.array([0.0, -3.1]), 0.02)
    assert not measured.conflict(0.02)
    measured.take(np.array([1.0, -3.1]), 0.04)
    assert 'shoulder moved' in measured.conflict(0.04).text
