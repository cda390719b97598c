"""Joint limits from a robot description that came over a topic."""

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_ros.limits.urdf import JointLimits, MOST_CHARACTERS, read_joint_limits, tightened
import numpy as np
import pytest

INF = float('inf')


def urdf(*joints: str) -> str:
    return f'<?xml version="1.0"?><robot name="arm">{"".join(joints)}</robot>'


def joint(name='shoulder', kind='revolute', limit='lower="-1" upper="2" velocity="3" effort="9"',
          more='') -> str:
    return f'<joint name="{name}" type="{kind}"><limit {limit}/>{more}</joint>'


def test_limits_are_read_by_joint():
    """Position, velocity and acceleration; joints that nobody asked for are left out."""
    text = urdf(joint(), joint('wrist', limit='lower="-1" upper="1" acceleration="4"'),
                joint('gripper'))
    assert read_joint_limits(text, ('shoulder', 'wrist')) == {
        'shoulder': JointLimits(-1, 2, 3, INF), 'wrist': JointLimits(-1, 1, INF, 4)}


@pytest.mark.parametrize(('text', 'limits'), [
    (joint(kind='continuous'), JointLimits(velocity=3)),
    (joint(kind='prismatic', limit='upper="0.2" velocity="0"'), JointLimits(0, 0.2)),
    ('<joint name="shoulder" type="revolute"/>', JointLimits()),
    (joint(more='<safety_controller soft_lower_limit="-0.5" soft_upper_limit="3"/>'),
     JointLimits(-0.5, 2, 3)),
    (joint(limit='velocity="3"', more='<safety_controller k_velocity="1"/>'),
     JointLimits(velocity=3)),
])
def test_what_is_not_given_limits_nothing(text, limits):
    """A joint that turns for ever, a zero that nobody filled in, soft limits, no limit at all."""
    assert read_joint_limits(urdf(text), ('shoulder',)) == {'shoulder': limits}


BOMB = ('<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        '<robot name="&b;"/>')


@pytest.mark.parametrize(('text', 'message'), [
    (BOMB, 'document type or entities'),
    ('<!DOCTYPE robot SYSTEM "file:///etc/passwd"><robot/>', 'document type or entities'),
    ('x' * (MOST_CHARACTERS + 1), f'allowed are {MOST_CHARACTERS}'),
    ('', 'is no XML'), ('<robot><joint</robot>', 'is no XML'), ('\x00', 'is no XML'),
    ('<sdf/>', 'must be a <robot>, got <sdf>'), ('<robot>&lol;</robot>', 'is no XML'),
    (urdf(joint(limit='lower="low" upper="1"')), "lower of joint 'shoulder' must be a finite"),
    (urdf(joint(limit='lower="nan" upper="1"')), "got 'nan'"),
    (urdf(joint(limit='lower="1" upper="1"')), 'lower must be below upper'),
    (urdf(joint(limit='lower="0" upper="1" velocity="-1"')), 'must not be negative'),
])
def test_a_text_that_cannot_be_used_is_refused(text, message):
    """Nothing is expanded, nothing is fetched, and no half of it is used."""
    with pytest.raises(ConfigError, match=message):
        read_joint_limits(text, ('shoulder',))


def test_the_tighter_of_robot_file_and_description_counts():
    """Each end by itself, also of speeds and of how fast they change."""
    arm = robot(position_min=[-0.5, None], position_max=[5, None])
    both = tightened(arm, {'shoulder': JointLimits(-1, 2, 1.5, 10)})
    np.testing.assert_array_equal(both.position_min, [-0.5, -INF])
    np.testing.assert_array_equal(both.position_max, [2, INF])
    np.testing.assert_array_equal(both.min_command, [-1.5, -2])
    np.testing.assert_array_equal(both.max_command, [1.5, 2])
    np.testing.assert_array_equal(both.max_rate, [10, 40])
    np.testing.assert_array_equal(both.stop_rate, arm.stop_rate)


def test_of_a_position_robot_the_velocity_limits_the_rate():
    """A target that moves at 0.8 rad/s at most; its own range stays."""
    arm = robot(interface='joint_position', max_rate=[1, 1], min_command=[-3, -3])
    both = tightened(arm, {'wrist': JointLimits(-1, 1, 0.8)})
    np.testing.assert_array_equal(both.max_rate, [1, 0.8])
    np.testing.assert_array_equal(both.min_command, [-3, -3])
    np.testing.assert_array_equal(both.position_max, [INF, 1])


def test_ranges_that_leave_nothing_are_refused():
    """A file that says [1, 2] and a description that says [-1, 1] cannot both be right."""
    with pytest.raises(ConfigError, match='do not go together: robot .arm.: position_min'):
        tightened(robot(position_min=[1, None], position_max=[2, None]),
                  {'shoulder': JointLimits(-1, 1)})
