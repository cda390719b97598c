"""Action vector to robot command and back, for every interface and command type."""

from dataclasses import replace
import sys
from types import ModuleType

from bag_factory import robot
from lewm_model.bags.interfaces import default_typestore
from lewm_model.recordings.commands import ActionReader
from lewm_model.recordings.merge_commands import merge_commands
from lewm_model.robots.commands import CommandTopic
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from geometry_msgs.msg import Twist, TwistStamped, Vector3  # noqa: E402
from lewm_model.errors import ConfigError, ShapeError  # noqa: E402
from lewm_model.robots import robot as robots  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import ActionChunk  # noqa: E402
from lewm_ros.wire.motion import executed_to_msg, msg_to_executed  # noqa: E402
from lewm_ros.wire.reports import ExecutedStep  # noqa: E402
from lewm_ros.wire.robot_interface import CODES, RobotInterface  # noqa: E402
from lewm_ros.wire.stamps import header, header_stamp_ns  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

SIM = RobotDescription.from_yaml('sim_reacher')
STAMP_NS = 1_700_000_000_250_000_001
PAIRS = [(interface, kind) for interface, kinds in robots.COMMAND_TYPES.items() for kind in kinds]


class StandInJointCommand:
    """The fields of control_msgs/JointCommand, whose package is not among our wheels."""

    def __init__(self, *, header, joint_names, interface_name, values) -> None:
        self.header, self.joint_names = header, joint_names
        self.interface_name, self.values = interface_name, values


@pytest.fixture(autouse=True)
def control_msgs(monkeypatch):
    """Stand in for the package, as if it were installed."""
    module = ModuleType('control_msgs.msg')
    module.JointCommand = StandInJointCommand
    monkeypatch.setitem(sys.modules, 'control_msgs', ModuleType('control_msgs'))
    monkeypatch.setitem(sys.modules, 'control_msgs.msg', module)
    return module


def sent(interface: RobotInterface, action: np.ndarray, stamp_ns: int = 0):
    """Return the one message of a robot with one command topic."""
    [(topic, message)] = interface.to_msgs(action, stamp_ns)
    assert topic == interface.robot.command_topic
    return message


def described(interface: str, kind: str, **changes) -> RobotDescription:
    """Return a robot of this pair whose sent commands are its training actions."""
    base = {'interface': interface, 'command_type': kind, 'executed_topic': '',
            'clocks': {'command': 'receive'}}
    if interface == 'twist':
        base |= {'joint_names': ['angular.z', 'linear.x'], 'state_type': robots.ODOMETRY}
    return robot(**{**base, **changes})


def from_wire(message, kind: str):
    """Return a message as rosbags reads it.

    rclpy leaves its buffer as long as it was estimated, so the check of the length is left out;
    DDS sends what was written only.
    """
    if kind == robots.JOINT_COMMAND:   # no typesupport; its fields are what a bag's are
        return message
    store = default_typestore()
    definition = store.get_msgdef(kind)
    raw = bytes(serialize_message(message))[4:]
    return definition.deserialize_cdr_le(raw, 0, definition.cls, store)[0]


def read_offline(arm: RobotDescription, messages: list, stamps_ns: list[int]):
    """Return (stamps, ends, actions) as ingest reads these messages from a bag."""
    [command] = arm.command_topics
    reader = ActionReader(arm, command)
    for message in messages:
        assert reader.add(from_wire(message, command.type))
    reader.check('bag', command.topic, 0)
    merged = merge_commands(arm, reader.orders, np.array(stamps_ns), np.zeros(len(messages), int))
    return merged.starts_ns, merged.ends_ns, merged.actions


@pytest.mark.parametrize(('interface', 'kind'), PAIRS)
def test_recordings_of_live_commands_hold_the_same_actions(interface, kind):
    """Property: what the node sends, on the wire, ingest reads back bit for bit; so do we."""
    arm = described(interface, kind)
    live = RobotInterface(arm)
    actions = np.random.default_rng(7).normal(0, 1, (20, 2))
    stamps_ns = [STAMP_NS + k * arm.control_dt_ns for k in range(20)]
    messages = [sent(live, action, stamp)
                for action, stamp in zip(actions, stamps_ns, strict=True)]

    assert all(type(message) is live.outputs[0][1] for message in messages)
    starts, ends, read = read_offline(arm, messages, stamps_ns)
    np.testing.assert_array_equal(read, actions)
    np.testing.assert_array_equal(starts, stamps_ns)
    assert (ends >= starts + arm.control_dt_ns).all()   # in force until the next one
    np.testing.assert_array_equal([live.from_msg(message) for message in messages], actions)


@pytest.mark.parametrize(('interface', 'kind'), PAIRS)
def test_executed_commands_tell_the_robots_interface_and_ingest_believes_them(interface, kind):
    """The constant in the message is the description's, and another robot's is refused."""
    arm = described(interface, kind, executed_topic='executed_command', clocks={})
    live = RobotInterface(arm)
    action = np.array([0.25, -1.5])
    message = executed_to_msg(
        ExecutedStep(stamp_ns=STAMP_NS, requested=action + 1, executed=action), names=live.names,
        interface=live.code)
    executed_type = 'lewm_ros/msg/ExecutedCommand'
    reader = ActionReader(arm, CommandTopic('executed_command', executed_type, arm.joint_names))
    assert reader.add(from_wire(message, executed_type))
    np.testing.assert_array_equal(reader.orders[0].actions[0][2], action)
    assert msg_to_executed(message, live.names, live.code)[1].tolist() == [0.25, -1.5]
    with pytest.raises(ShapeError, match=f'has interface {live.code}, this robot takes'):
        msg_to_executed(message, live.names, live.code + 1)


def test_interface_constants_are_those_of_the_message_definition():
    """VELOCITY_TWIST 0, JOINT_POSITION 1, JOINT_VELOCITY 2, JOINT_EFFORT 3; every one is used."""
    assert CODES == {'twist': 0, 'joint_position': 1, 'joint_velocity': 2, 'joint_effort': 3}
    assert set(CODES) == set(robots.INTERFACES)
    assert ActionChunk.JOINT_EFFORT == 3


def test_joint_velocities_as_forward_command_controller_takes_them():
    """One plain array in joint order, and back."""
    interface = RobotInterface(SIM)
    message = sent(interface, np.array([0.5, -1.25]))

    assert message == Float64MultiArray(data=[0.5, -1.25])
    assert interface.from_msg(message).tolist() == [0.5, -1.25]
    assert interface.outputs == (('joint_velocity_controller/commands', Float64MultiArray),)
    assert interface.executed_topic == 'executed_command'
    assert interface.code == ActionChunk.JOINT_VELOCITY
    assert interface.names == ['shoulder', 'wrist']


def test_a_twist_and_the_speed_of_a_gripper_have_topics_of_their_own():
    """An arm behind a Cartesian velocity controller: what is sent is what is read."""
    interface = RobotInterface(RobotDescription.from_yaml('sim_cube'))
    action = np.array([0.1, -0.2, 0.3, 0.4, -0.05])
    (_, twist), (_, opening) = interface.to_msgs(action, STAMP_NS)
    assert twist == TwistStamped(header=header(STAMP_NS, 'base_link'), twist=Twist(
        linear=Vector3(x=0.1, y=-0.2, z=0.3), angular=Vector3(z=0.4)))
    assert list(opening.data) == [-0.05]
    read = np.full(5, np.nan)
    for output, message in enumerate((twist, opening)):
        places, values = interface.read(output, message)
        read[places] = values
    np.testing.assert_array_equal(read, action)


def test_twist_axes_that_are_no_action_stay_zero():
    """The names place the values; `command_type` decides whether there is a stamp and a frame."""
    plain = RobotInterface(described('twist', robots.TWIST))
    expected = Twist(linear=Vector3(x=0.25), angular=Vector3(z=-1.0))
    assert sent(plain, np.array([-1.0, 0.25]), STAMP_NS) == expected

    stamped = RobotInterface(described('twist', robots.TWIST_STAMPED, command_frame='base'))
    message = sent(stamped, np.array([-1.0, 0.25]), STAMP_NS)
    assert message == TwistStamped(header=header(STAMP_NS, 'base'), twist=expected)


def test_a_trajectory_is_one_point_a_control_step_ahead():
    """Positions alone: a velocity at the end would be refused, and zero there would brake."""
    arm = described('joint_position', robots.JOINT_TRAJECTORY, control_dt_s=1.25)
    message = sent(RobotInterface(arm), np.array([0.5, -0.5]), STAMP_NS)
    [point] = message.points
    assert message.joint_names == ['shoulder', 'wrist']
    assert (list(point.positions), list(point.velocities)) == ([0.5, -0.5], [])
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (1, 250_000_000)
    assert header_stamp_ns(message) == 0   # it begins at once

    speed = RobotInterface(described('joint_velocity', robots.JOINT_TRAJECTORY))
    [point] = sent(speed, np.array([0.5, -0.5])).points
    assert (list(point.positions), list(point.velocities)) == ([], [0.5, -0.5])


def test_a_trajectory_is_stamped_where_its_header_is_the_clock():
    """`clocks: {command: header}` means that the stamp counts, so it is written."""
    arm = described('joint_position', robots.JOINT_TRAJECTORY, clocks={'command': 'header'})
    message = sent(RobotInterface(arm), np.zeros(2), STAMP_NS)
    assert header_stamp_ns(message) == STAMP_NS


@pytest.mark.parametrize(('kind', 'message'), [
    (robots.JOINT_STATE, JointState(name=['wrist', 'hand', 'shoulder'], position=[1.0, 9.0, 2.0])),
    (robots.JOINT_TRAJECTORY, JointTrajectory(
        joint_names=['wrist', 'hand', 'shoulder'],
        points=[JointTrajectoryPoint(positions=[1.0, 9.0, 2.0])]))])
def test_joints_are_found_by_name(kind, message):
    """Another order and more joints change nothing; a missing joint is named."""
    interface = RobotInterface(described('joint_position', kind))
    assert interface.from_msg(message).tolist() == [2.0, 1.0]

    names = message.name if kind == robots.JOINT_STATE else message.joint_names
    names[0] = 'elbow'
    with pytest.raises(ShapeError, match='names shoulder, wrist .* elbow, hand, shoulder'):
        interface.from_msg(message)


@pytest.mark.parametrize('empty', [JointTrajectory(), JointTrajectory(
    joint_names=['shoulder', 'wrist'], points=[JointTrajectoryPoint(velocities=[1.0, 1.0])])])
def test_a_trajectory_without_positions_is_no_position_command(empty):
    """A cancelled trajectory, or one of another interface."""
    interface = RobotInterface(described('joint_position', robots.JOINT_TRAJECTORY))
    with pytest.raises(ShapeError, match='got 0 values'):
        interface.from_msg(empty)


@pytest.mark.parametrize(('interface', 'kind'), PAIRS)
@pytest.mark.parametrize('action', [[1.0], [1.0, 2.0, 3.0], [], [1.0, np.nan], [[1.0, 2.0]],
                                    [np.inf, 0.0]])
def test_commands_of_another_size_or_not_finite_are_refused(interface, kind, action):
    """Nothing broken leaves for any robot; the message names the values and what is allowed."""
    with pytest.raises(ShapeError, match=r'2 finite numbers \((shoulder|angular.z), '):
        sent(RobotInterface(described(interface, kind)), np.array(action))


@pytest.mark.parametrize('data', [[1.0], [1.0, 2.0, 3.0], [], [1.0, np.nan]])
def test_broken_commands_are_refused_when_they_arrive(data):
    """As a simulator or a teleop node gets them."""
    with pytest.raises(ShapeError, match='2 finite numbers'):
        RobotInterface(SIM).from_msg(Float64MultiArray(data=data))


def test_a_node_that_understands_one_interface_refuses_the_others():
    """The simulator's drive takes speeds; positions must not be taken for speeds."""
    RobotInterface(SIM).require('joint_velocity', 'the simulator')
    other = replace(SIM, interface='joint_position')
    with pytest.raises(ConfigError, match="the simulator works with joint_velocity, .*'sim_reach"):
        RobotInterface(other).require('joint_velocity', 'the simulator')


def two_topics(**changes) -> RobotDescription:
    """Return an arm of three joints whose gripper has a topic and a type of its own."""
    return robot(**{
        'interface': 'joint_position', 'joint_names': ['grip', 'shoulder', 'wrist'],
        'command_topic': '', 'command_type': '', 'clocks': {'command': 'receive'},
        'executed_topic': '', **{name: [bound] * 3 for name, bound in (
            ('min_command', -9), ('max_command', 9), ('max_rate', 1), ('stop_rate', 2))},
        'commands': [{'topic': 'arm', 'type': robots.FLOAT_ARRAY, 'joints': ['wrist', 'shoulder']},
                     {'topic': 'grip', 'type': robots.JOINT_TRAJECTORY, 'joints': ['grip']}],
        **changes})


def test_every_command_topic_gets_a_message_of_its_joints():
    """In the order of the topic's joints, with the topic's type; read back to their places."""
    interface = RobotInterface(two_topics())
    assert interface.outputs == (('arm', Float64MultiArray), ('grip', JointTrajectory))

    (arm, array), (grip, trajectory) = interface.to_msgs(np.array([0.1, 0.2, 0.3]))

    assert (arm, list(array.data)) == ('arm', [0.3, 0.2])
    assert (grip, trajectory.joint_names) == ('grip', ['grip'])
    assert list(trajectory.points[0].positions) == [0.1]
    places, values = interface.read(0, array)
    assert (places, values.tolist()) == ([2, 1], [0.3, 0.2])
    assert interface.read(1, trajectory)[0] == [0]
    with pytest.raises(ShapeError, match='2 command topics, one message is not its action'):
        interface.from_msg(array)
    with pytest.raises(ShapeError, match=r'3 finite numbers \(grip, shoulder, wrist\)'):
        interface.to_msgs(np.array([0.1, np.nan, 0.3]))


@pytest.mark.parametrize('seed', range(10))
def test_any_division_into_topics_carries_the_whole_action(seed):
    """Property: whatever joints each topic has, in whatever order, all messages are the action."""
    rng = np.random.default_rng(seed)
    names = [f'j{index}' for index in range(rng.integers(2, 8))]
    parts = np.array_split(rng.permutation(names), rng.integers(1, len(names) + 1))
    interface = RobotInterface(two_topics(
        joint_names=names, commands=[
            {'topic': f't{index}', 'type': str(rng.choice(robots.COMMAND_TYPES['joint_position'])),
             'joints': [str(name) for name in part]} for index, part in enumerate(parts)],
        **{name: [bound] * len(names) for name, bound in (
            ('min_command', -9), ('max_command', 9), ('max_rate', 1), ('stop_rate', 2))}))
    action, read = rng.normal(0, 1, len(names)), np.full(len(names), np.nan)

    for index, (topic, message) in enumerate(interface.to_msgs(action, STAMP_NS)):
        assert (topic, type(message)) == interface.outputs[index]
        places, values = interface.read(index, message)
        read[places] = values

    np.testing.assert_array_equal(read, action)


def test_joint_command_says_joints_interface_and_time():
    """control_msgs/JointCommand of `position`; another interface_name is no command for us."""
    interface = RobotInterface(described('joint_position', robots.JOINT_COMMAND))
    message = sent(interface, np.array([0.5, -0.5]), STAMP_NS)

    assert (message.joint_names, message.interface_name, message.values) == (
        ['shoulder', 'wrist'], 'position', [0.5, -0.5])
    assert header_stamp_ns(message) == STAMP_NS
    message.interface_name = 'velocity'
    with pytest.raises(ShapeError, match="has interface_name 'position', got 'velocity'"):
        interface.from_msg(message)


def test_joint_command_without_its_package_names_the_fix(control_msgs):
    """An older control_msgs has no such message; robots that do not need it do not notice."""
    del control_msgs.JointCommand
    with pytest.raises(ConfigError, match='not installed here .*install ros-.*-control-msgs 6.10'):
        RobotInterface(described('joint_position', robots.JOINT_COMMAND))
    RobotInterface(SIM)


def test_arrays_that_do_not_fit_the_names_are_no_command():
    """As the message definition has it: which value is whose would be a guess."""
    interface = RobotInterface(described('joint_position', robots.JOINT_STATE))
    short = JointState(name=['gripper', 'shoulder', 'wrist'], position=[1.0, 2.0])
    with pytest.raises(ShapeError, match='3 names and 2 values of command'):
        interface.from_msg(short)
