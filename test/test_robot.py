import os

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.robot import RobotDescription
import numpy as np
import pytest
from worker_jobs import elsewhere, facts_of


def test_shipped_robot_is_found_by_name():
    """The simulated arm has two velocity joints at 20 Hz, limited to 2 rad/s."""
    arm = RobotDescription.from_yaml('sim_reacher')

    assert (arm.joint_names, arm.interface) == (('shoulder', 'wrist'), 'joint_velocity')
    assert arm.control_dt_ns == 50_000_000
    np.testing.assert_array_equal(arm.max_command, [2, 2])
    with pytest.raises(ValueError, match='read-only'):
        arm.max_command[0] = 3


@pytest.mark.parametrize(('changes', 'message'), [
    ({'joint_names': ['a', 'a']}, 'joint_names must be a list of different names'),
    ({'max_command': [2]}, 'max_command must be 2 finite numbers, one for each of shoulder, wr'),
    ({'max_command': [2, float('nan')]}, 'max_command must be 2 finite numbers'),
    ({'min_command': [-2, 2]}, r'min_command must be below max_command=\[2.0, 2.0\]'),
    ({'stop_rate': [0, 1]}, 'stop_rate must be positive'),
    ({'interface': 'joint_torque'}, "one of joint_position, .*, got 'joint_torque'"),
    ({'control_dt_s': 0}, r'control_dt_s must be a number of seconds in \(0, 10\), got 0'),
    ({'image_topic': ''}, 'image_topic must be a text that is not empty'),
    ({'command_type': 'geometry_msgs/msg/Twist'},
     'command_type must be one of std_msgs/msg/Float64MultiArray, .* interface joint_velocity'),
    ({'interface': 'joint_effort', 'command_type': 'trajectory_msgs/msg/JointTrajectory'},
     'command_type must be one of .* for interface joint_effort'),
    ({'state_type': 'nav_msgs/msg/Path'}, 'state_type must be one of sensor_msgs/msg/JointState'),
    ({'image_type': 'sensor_msgs/msg/JointState'}, "image_type must be '' or one of sensor_msgs"),
    ({'clocks': {'camera': 'header'}}, 'clocks must be a choice for image, state, command only'),
    ({'clocks': {'image': 'arrival'}}, "clocks must be 'header' or 'receive' for each of image"),
    ({'clocks': 'receive'}, "clocks must be 'header' or 'receive'"),
    ({'command_hold_s': 0}, r'command_hold_s must be a number of seconds in \(0, 3600\), got 0'),
    ({'control_dt_s': True}, 'control_dt_s must be a number of seconds'),
    ({'state_joint_names': ['a', 'a']}, 'state_joint_names must be a list of different names'),
    ({'shared_topics': ['camera']}, 'shared_topics must be among image, state, command'),
    ({'interface': 'twist', 'command_type': 'geometry_msgs/msg/TwistStamped'},
     'joint_names must be among linear.x, linear.y, .* for interface twist, got .*shoulder'),
    ({'interface': 'twist', 'command_type': 'geometry_msgs/msg/TwistStamped',
      'joint_names': ['linear.x', 'angular.z']}, 'state_joint_names must be the joints to read '
     'from joint_states, because the actions of a twist are no joints'),
])
def test_nonsense_is_refused(changes, message):
    """A wrong description fails when it is read, not when the robot moves."""
    with pytest.raises(ConfigError, match=message):
        robot(**changes)


def test_unknown_and_missing_keys_are_named(tmp_path):
    """A typing error in a robot file names the key and the file."""
    path = tmp_path / 'arm.yaml'
    path.write_text('robot: arm\nmax_speed: 3\n')

    with pytest.raises(ConfigError, match=r'arm.yaml: unknown keys: max_speed; missing keys: '
                                          r'control_dt_s, '):
        RobotDescription.from_yaml(path)


@pytest.mark.parametrize(('name', 'state', 'topic'), [
    ('diff_drive', ('x', 'y', 'yaw'), 'cmd_vel'),
    ('joint_trajectory_arm', None, 'joint_trajectory_controller/joint_trajectory'),
    ('sim_reacher', ('shoulder', 'wrist'), 'executed_command')])
def test_shipped_robots_say_what_is_measured_and_where_actions_are_read(name, state, topic):
    """P state names may differ from the A action names; without executed commands sent ones."""
    arm = RobotDescription.from_yaml(name)
    assert arm.robot == name
    assert arm.state_names == (state or arm.joint_names)
    assert arm.action_topic == topic


@pytest.mark.parametrize('kind', ['geometry_msgs/msg/Twist', 'std_msgs/msg/Float64MultiArray'])
def test_a_topic_without_a_header_needs_the_receive_clock(kind):
    """Asked of the description, for the whole topic; not if executed commands are read."""
    changes = {'command_type': kind, 'executed_topic': ''}
    if kind.endswith('Twist'):
        changes |= {'interface': 'twist', 'joint_names': ['linear.x', 'angular.z'],
                    'state_type': 'nav_msgs/msg/Odometry'}
    with pytest.raises(ConfigError, match=r'clocks must be \{command: receive\}, because .* has '
                                          'no header and executed_topic is empty'):
        robot(**changes)
    assert robot(**changes, clocks={'command': 'receive'}).clocks.command == 'receive'
    assert robot(**{**changes, 'executed_topic': 'executed'}).clocks.command == 'header'


def test_a_description_crosses_to_another_process():
    """Ingest sends it to its workers, where it says the same."""
    arm = robot(clocks={'image': 'receive'})
    process, *facts = elsewhere(facts_of, arm)
    assert process != os.getpid()
    assert facts == [arm.clocks, arm.joint_names, arm.max_rate.tolist()]
