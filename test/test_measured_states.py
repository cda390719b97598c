"""States of a data set are called by their own names, not by those of the actions."""

from __future__ import annotations

from types import SimpleNamespace

from lewm_model.data.measured_states import measured_states
import numpy as np
import pytest

TWIST = ['linear.x', 'linear.y', 'linear.z', 'angular.z']


@pytest.mark.parametrize('attributes, count, names', [
    ({'joint_names': TWIST, 'state_names': ['x', 'y', 'yaw']}, 3, ['x', 'y', 'yaw']),
    ({'joint_names': TWIST}, 3, ['joint 0', 'joint 1', 'joint 2']),
    ({'joint_names': ['a', 'b']}, 2, ['a', 'b']),
    ({}, 1, ['joint 0'])])
def test_states_have_their_own_names(attributes, count, names):
    """Four axes of a twist do not name three values of odometry; a set without names counts."""
    data = SimpleNamespace(columns={'proprio': np.zeros((5, count))}, attributes=attributes)
    found, column = measured_states(data)
    assert found == names and column.shape == (5, count)


def test_a_set_without_states_has_no_names():
    """Nothing is probed where nothing was measured."""
    data = SimpleNamespace(columns={}, attributes={'joint_names': TWIST})
    assert measured_states(data)[0] == []
