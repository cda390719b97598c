"""What was measured is called by its own name and is what its robot says, never just an angle."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import (
    Measured,
    measured,
    measured_states,
    measured_truth,
    probe_targets,
    STATES,
    TRUTH,
)
from lewm_model.data.robot_facts import with_robot
from lewm_model.errors import DatasetError
from lewm_model.quantities import Quantity, to_json
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

TWIST = ['linear.x', 'linear.y', 'linear.z', 'angular.z']


def data_set(attributes=None, rows=5, **columns):
    return SimpleNamespace(path=Path('set.h5'), columns=columns, attributes=attributes or {},
                           action=np.zeros((rows, 4), np.float32))


def kinds(quantities):
    return [(one.name, one.kind) for one in quantities]


@pytest.mark.parametrize('attributes, count, found', [
    ({'joint_names': TWIST, 'state_names': ['x', 'y', 'yaw']}, 3,
     [('x', 'position'), ('y', 'position'), ('yaw', 'angle')]),
    ({'joint_names': TWIST}, 3, [(f'state {place}', 'number') for place in range(3)]),
    ({'joint_names': ['a', 'b']}, 2, [('a', 'angle'), ('b', 'angle')]),
    ({}, 1, [('state 0', 'number')])])
def test_files_without_the_attribute_have_what_ingest_recorded_then(attributes, count, found):
    """Four axes of a twist do not name odometry; what nobody named is no angle."""
    data = data_set(attributes, proprio=np.zeros((5, count)))
    quantities, column = measured_states(data)
    assert kinds(quantities) == found and column.shape == (5, count)


def test_a_set_without_states_has_none():
    """Nothing is probed where nothing was measured."""
    data = data_set({'joint_names': TWIST})
    assert measured_states(data)[0] == measured_truth(data)[0] == measured(data) == ()
    assert measured_states(data)[1].shape == (5, 0)


def test_the_attribute_says_what_the_columns_are():
    """It finds the column that it fits, and one that fits none is refused by name and numbers."""
    said = (Quantity('block', 'position', 'px'), Quantity('turn', 'quaternion'))
    data = data_set({STATES: to_json(said)}, qpos=np.zeros((5, 2)), proprio=np.ones((5, 5)))
    assert measured_states(data)[0] == said and measured_states(data)[1].sum() == 25
    data = data_set({STATES: to_json(said)}, qpos=np.zeros((5, 2)))
    with pytest.raises(DatasetError, match=r'set.h5: attribute state_quantities describes 5 '
                                           r'numbers in each row \(block, turn\), the columns '
                                           r'have 2'):
        measured_states(data)
    with pytest.raises(DatasetError, match='set.h5: attribute truth_quantities: .*JSON list'):
        measured_truth(data_set({TRUTH: 'x'}, truth=np.zeros((5, 1))))


def test_truth_and_velocities_come_along_once():
    """The true shoulder stands for the sensed one; a velocity has its unit; gaps leave it out."""
    qvel = np.ones((5, 2))
    truth = (Quantity('shoulder', 'angle'), Quantity('block x', 'position'))
    data = data_set({'joint_names': ['shoulder', 'slide'], TRUTH: to_json(truth)},
                    qpos=np.zeros((5, 2)), qvel=qvel, truth=np.tile([7.0, 8.0], (5, 1)))
    found = {one.quantity.name: one for one in measured(data)}
    assert list(found) == ['slide', 'shoulder velocity', 'slide velocity', 'shoulder', 'block x']
    assert found['shoulder'].values[0] == 7 and found['shoulder velocity'].quantity.unit == 'rad/s'
    qvel[0, 0] = np.nan
    assert 'shoulder velocity' not in {one.quantity.name for one in measured(data)}
    data.attributes[TRUTH] = to_json((Quantity('shoulder', 'position'), truth[1]))
    assert {'shoulder', 'shoulder (truth)'} < {one.quantity.name for one in measured(data)}


def test_targets_follow_the_kind_and_leave_out_what_never_moves():
    """An angle becomes sine and cosine, metres stay metres, a stuck joint gives no target."""
    rows = np.arange(40.0)
    found = [Measured(Quantity('yaw', 'angle'), rows[:, None]),
             Measured(Quantity('x', 'position'), 100 * rows[:, None]),
             Measured(Quantity('stuck', 'angle'), np.full((40, 1), 0.3) + 1e-7 * rows[:, None]),
             Measured(Quantity('late', 'number'), np.where(rows < 20, 0, rows)[:, None]),
             Measured(Quantity('lost', 'number'), np.full((40, 1), np.nan)),
             Measured(Quantity('flat turn', 'quaternion'),   # about z: most of the matrix is fixed
                      np.stack([np.cos(rows), 0 * rows, 0 * rows, np.sin(rows)], axis=1))]
    (first, second), left_out = probe_targets(found, np.arange(20), np.arange(20, 40))
    assert list(first) == ['yaw', 'x', 'flat turn'] == list(second)
    np.testing.assert_allclose(second['yaw'], np.stack([np.sin(rows), np.cos(rows)], 1)[20:])
    np.testing.assert_array_equal(first['x'][:, 0], 100 * rows[:20])
    assert first['flat turn'].shape == (20, 4)
    assert left_out == {'stuck': 'never moves', 'late': 'never moves',
                        'lost': 'not recorded everywhere'}


def robot(**changes):
    base = RobotDescription.from_yaml('sim_reacher')
    values = {name: getattr(base, name) for name in (
        'robot', 'control_dt_s', 'image_topic', 'joint_state_topic', 'executed_topic', 'interface',
        'joint_names', 'min_command', 'max_command', 'max_rate', 'stop_rate', 'command_topic',
        'command_type')}
    return RobotDescription(**{**values, **changes})


@pytest.mark.parametrize('said, expected', [
    ({}, [('agent x', 'position'), ('agent y', 'position')]),            # by their number
    ({'state_names': ['agent x', 'agent y']},
     [('agent x', 'position'), ('agent y', 'position')]),                # by name
    ({'state_names': ['other', 'names']}, [('other', 'angle'), ('names', 'angle')]),
    ({STATES: to_json([Quantity('a', 'number'), Quantity('b', 'number')])},
     [('a', 'number'), ('b', 'number')])])
def test_a_robot_says_what_a_public_set_does_not(said, expected):
    """States in pixels of the robot file are positions; what the set says itself is kept."""
    push = robot(state_joint_names=['agent x', 'agent y'], state_kinds=['position px'] * 2)
    data = EpisodeFile(path=Path('set.h5'), pixels=np.zeros((5, 8, 8, 3), np.uint8),
                       action=np.zeros((5, 2), np.float32), ep_len=np.array([5]),
                       ep_offset=np.array([0]), ep_id=('0',), attributes=said,
                       columns={'proprio': np.zeros((5, 2))})
    assert kinds(measured_states(with_robot(data, push))[0]) == expected
