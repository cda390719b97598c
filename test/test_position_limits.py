"""How fast a joint may go near the end of its range."""

from bag_factory import robot
from lewm_ros.limits.position_limits import PositionLimits
import numpy as np
import pytest

# 4 rad/s^2 in a stop; the shoulder may go from -1 to 1, the wrist anywhere
ARM = robot(position_min=[-1, None], position_max=[1, None], stop_rate=[4, 4], max_rate=[2, 2])


def test_far_from_the_end_the_robot_could_still_stop():
    """The speed v with v t + v^2 / (2 a) = d, t two steps: 1 rad before the end 2.457 rad/s."""
    low, high = PositionLimits(ARM).bounds(np.zeros(2), 0.0)
    assert high[0] == pytest.approx(-low[0]) == pytest.approx(2.457, abs=1e-3)
    assert high[0] * 0.1 + high[0] ** 2 / (2 * 4) == pytest.approx(1.0)
    assert np.isinf([low[1], high[1]]).all()


def test_an_old_measurement_slows_down():
    """100 ms old: so much more of the way is passed without looking."""
    _, fresh = PositionLimits(ARM).bounds(np.zeros(2), 0.0)
    _, old = PositionLimits(ARM).bounds(np.zeros(2), 0.1)
    assert old[0] * 0.2 + old[0] ** 2 / (2 * 4) == pytest.approx(1.0)
    assert old[0] < fresh[0]


@pytest.mark.parametrize('place', [1.0, 1.2])
def test_at_the_end_and_beyond_only_the_way_back_is_left(place):
    """Zero outwards; inwards as from anywhere."""
    low, high = PositionLimits(ARM).bounds(np.array([place, 0.0]), 0.0)
    assert high[0] == 0
    assert low[0] < -2.4
    assert PositionLimits(ARM).at_end(np.array([place, 0.0])) == ['shoulder']


def test_positions_have_the_range_itself_as_bounds():
    """Where nothing is limited there are no bounds, and nothing has to be measured."""
    arm = robot(interface='joint_position', position_max=[1, None])
    limits = PositionLimits(arm)
    np.testing.assert_array_equal(limits.bounds(None, 0.0)[1], [1, np.inf])
    assert not limits.needs_positions
    assert PositionLimits(robot()).bounds(None, 0.0) is None
    assert PositionLimits(ARM).needs_positions and not PositionLimits(robot()).needs_positions
