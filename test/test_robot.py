import os

from bag_factory import robot
from lewm_model.base.rates import same_rate
from lewm_model.errors import ConfigError
from lewm_model.robots.robot import RobotDescription
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
    ({'interface': 'twist', 'command_topic': '', 'command_type': '', 'commands': [
        {'topic': 'a', 'type': 'geometry_msgs/msg/Twist', 'joints': ['shoulder']},
        {'topic': 'b', 'type': 'std_msgs/msg/Float64MultiArray', 'joints': ['wrist']}]},
     'joint_names must be among linear.x, .*other speeds, such as that of a gripper, on a topic'),
    ({'interface': 'twist', 'command_type': 'geometry_msgs/msg/TwistStamped',
      'joint_names': ['linear.x', 'angular.z']}, 'state_joint_names must be the joints to read '
     'from joint_states, because the actions of a twist are no joints'),
    ({'position_min': [0]}, 'position_min must be 2 finite numbers or nulls, one for each of'),
    ({'position_max': [1, 'far']}, 'position_max must be 2 finite numbers or nulls'),
    ({'position_max': [1, float('nan')]}, 'position_max must be 2 finite numbers or nulls'),
    ({'position_max': [float('-inf'), 1]}, 'position_max must be 2 finite numbers or nulls'),
    ({'position_min': [1, None], 'position_max': [1, None]},
     r'position_min must be below position_max=\[1.0, inf\]'),
    ({'position_min': [0, 0], 'state_type': 'nav_msgs/msg/Odometry'},
     'a speed is limited by the measured position'),
    ({'position_min': [0, 0], 'interface': 'twist', 'joint_names': ['linear.x', 'angular.z'],
      'command_type': 'geometry_msgs/msg/Twist', 'state_type': 'nav_msgs/msg/Odometry'},
     'a twist has no joint positions'),
    ({'deadband': [0.1, -0.1]}, 'deadband must be not negative'),
    ({'deadband': [None, 0]}, 'deadband must be 2 finite numbers, one for each'),
    ({'deadband': [0.1, 0], 'interface': 'joint_position'}, 'a position of zero is a place like'),
    ({'state_kinds': ['angle']}, r'state_kinds must be a kind for each state \(shoulder, wrist\)'),
    ({'state_kinds': ['angle', 'quaternion']}, 'one of position, angle, velocity, number with a'),
    ({'state_kinds': {'gripper': 'position'}}, 'state_kinds names gripper; the states are should'),
    ({'state_kinds': {'wrist': 3}}, 'or a kind by name for those that are no angle, got .*3'),
    ({'state_kinds': ['angle'] * 3, 'state_type': 'nav_msgs/msg/Odometry'},
     'state_kinds must be left out, because the pose of a base is x, y, yaw'),
    ({'keep_direction': 'yes'}, "keep_direction must be true or false, got 'yes'"),
])
def test_nonsense_is_refused(changes, message):
    """A wrong description fails when it is read, not when the robot moves."""
    with pytest.raises(ConfigError, match=message):
        robot(**changes)


def test_states_are_angles_unless_the_file_says_otherwise():
    """A prismatic joint is a position; odometry is two positions and an angle."""
    def kinds(found):
        return [(one.name, one.kind, one.unit) for one in found.state_quantities]
    assert kinds(robot()) == [('shoulder', 'angle', 'rad'), ('wrist', 'angle', 'rad')]
    told = [('shoulder', 'angle', 'rad'), ('wrist', 'position', 'm')]
    assert kinds(robot(state_kinds=['angle', 'position'])) == told
    assert kinds(robot(state_kinds={'wrist': 'position'})) == told
    assert kinds(robot(state_kinds={'wrist': 'position mm'}))[1] == ('wrist', 'position', 'mm')
    assert kinds(RobotDescription.from_yaml('diff_drive')) == [
        ('x', 'position', 'm'), ('y', 'position', 'm'), ('yaw', 'angle', 'rad')]


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
    assert arm.action_topics == (topic,)


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


ARM_AND_GRIPPER = {
    'command_topic': '', 'command_type': '', 'interface': 'joint_position',
    'joint_names': ['shoulder', 'wrist'],
    'commands': [{'topic': 'grip', 'type': 'trajectory_msgs/msg/JointTrajectory',
                  'joints': ['wrist']},
                 {'topic': '/arm', 'type': 'std_msgs/msg/Float64MultiArray',
                  'joints': ['shoulder']}]}


def test_arm_and_gripper_have_topics_of_their_own():
    """List and short form read alike; actions come from all topics, or the executed one."""
    two = robot(**ARM_AND_GRIPPER)
    assert [one.topic for one in two.command_topics] == ['grip', '/arm']
    assert [one.places(two.joint_names) for one in two.command_topics] == [[1], [0]]
    assert two.action_topics == ('executed_command',)
    sent = robot(**ARM_AND_GRIPPER, executed_topic='', clocks={'command': 'receive'})
    assert sent.action_topics == ('grip', '/arm')

    [one] = robot().command_topics
    assert (one.topic, one.joints) == ('commands', ('shoulder', 'wrist'))


def entry(**changes):
    return {'topic': 'arm', 'type': 'std_msgs/msg/Float64MultiArray',
            'joints': ['shoulder', 'wrist'], **changes}


@pytest.mark.parametrize(('commands', 'message'), [
    ('arm', 'commands must be a list of {topic, type, joints}'),
    ([{'topic': 'arm'}], r'commands\[0\] must have the keys topic, type, joints'),
    ([entry(joints=[])], r'commands\[0\].joints must be a list of names, at least one'),
    ([entry(topic='')], r'commands\[0\].topic must be a text that is not empty'),
    ([entry(joints=['shoulder'])], r'every joint .* once; without a topic: wrist, not in .* none'),
    ([entry(joints=['shoulder', 'wrist', 'x'])], 'without a topic: none, not in joint_names: x'),
    ([entry(), entry(topic='b')], 'the joint shoulder, wrist more than once'),
    ([entry(joints=['shoulder']), entry(topic='/arm', joints=['wrist'])], 'the topic arm more'),
    ([entry(type='geometry_msgs/msg/Twist')], 'type must be one of std_msgs/msg/Float64Multi'),
    ([], 'does not say where it takes commands; set command_topic and command_type, or comm')])
def test_commands_that_do_not_add_up_are_refused(commands, message):
    """Every joint has one topic, every topic its joints, and every error says which is wrong."""
    with pytest.raises(ConfigError, match=message):
        robot(command_topic='', command_type='', commands=commands)


def test_two_ways_to_say_one_thing_are_refused():
    """`commands` beside `command_topic` would leave open which counts."""
    with pytest.raises(ConfigError, match='has commands and command_topic and command_type'):
        robot(commands=[entry()])


def test_a_robot_may_always_stand_still():
    """Limits of speeds contain zero; those of positions need not."""
    with pytest.raises(ConfigError, match='on both sides of 0 for interface joint_velocity'):
        robot(min_command=[-2, 0.1])
    with pytest.raises(ConfigError, match='allowed to stand still'):
        robot(max_command=[-1, 2])
    assert robot(min_command=[0, -2]).min_command[0] == 0
    robot(interface='joint_position', min_command=[0.1, 1])


@pytest.mark.parametrize(('first_s', 'second_s', 'same'), [
    (0.0333, 1 / 30, True), (1 / 29.97, 1 / 30, True), (0.05, 0.05, True), (0.08, 0.1, False),
    (0.033, 1 / 30, False), (0.1, 0.0995, False)])
def test_rates_are_the_same_but_for_rounding(first_s, second_s, same):
    """Four decimals in a file, or NTSC instead of 30 Hz, are no other rate; 1 % is."""
    assert same_rate(first_s, second_s) is same


def test_limits_that_a_file_leaves_out_limit_nothing():
    """No range, no dead band; only a base keeps its direction when a change is too fast."""
    arm = robot()
    np.testing.assert_array_equal([arm.position_min, arm.position_max],
                                  [[-np.inf, -np.inf], [np.inf, np.inf]])
    np.testing.assert_array_equal(arm.deadband, [0, 0])
    assert not arm.keeps_direction and robot(keep_direction=True).keeps_direction
    base = {'interface': 'twist', 'joint_names': ['linear.x', 'angular.z'],
            'command_type': 'geometry_msgs/msg/Twist', 'state_type': 'nav_msgs/msg/Odometry'}
    assert robot(**base).keeps_direction
    assert not robot(**base, keep_direction=False).keeps_direction


def test_a_null_is_an_end_that_is_not_there():
    """`position_max: [null, 1.5]` limits the second joint, on one side."""
    arm = robot(position_max=[None, 1.5])
    np.testing.assert_array_equal(arm.position_max, [np.inf, 1.5])
    np.testing.assert_array_equal(arm.position_min, [-np.inf, -np.inf])
