"""The shipped examples of other robots, driven over real DDS: a base by twist, an arm by position.

A fake planner plans, the command node commands, a fake robot moves; all are processes.
"""

import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from command_rig import Robot  # noqa: E402
from geometry_msgs.msg import Twist  # noqa: E402
from lewm_model.bags.bag import Bag  # noqa: E402
from lewm_model.config import DataConfig  # noqa: E402
from lewm_model.recordings.streams import read_streams  # noqa: E402
from lewm_model.recordings.synchronize import synchronize  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import ActionChunk, PlanStatus  # noqa: E402
from lewm_ros.srv import StartEpisode, StopEpisode  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from lewm_ros.wire.stamps import stamp_to_ns  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import CompressedImage, JointState  # noqa: E402
from timed import in_time, timed, undisturbed  # noqa: E402
import yaml  # noqa: E402

BASE = RobotDescription.from_yaml('diff_drive')
ARM = RobotDescription.from_yaml('joint_trajectory_arm')
STOP_S = 1.0    # 0.2 s timeout, 0.15 s ramp in steps of 0.1 s; the rest is this machine's


def file_of(name: str, folder, **changes) -> str:
    """Copy a shipped robot with changes, as people do; return the file."""
    from lewm_model.base import resources
    values = yaml.safe_load(resources.find_named('config/robots', name, '.yaml').read_text())
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump({**values, **changes}))
    return str(path)


def start(graph, tmp_path, robot: str, action: str, state_type, **parameters):
    """Start a robot and what commands and plans for it; return (rig, states, planner)."""
    described = RobotDescription.from_yaml(robot)
    graph.spawn('fake_robot', robot)
    states = graph.collect(state_type, described.joint_state_topic, qos.SENSOR)
    graph.wait_for(lambda: states, 'the state of the robot')
    rig = Robot(graph, tmp_path, robot=robot, require_enable=False, **parameters)
    planner = graph.spawn('fake_planner', action, robot)
    return rig, states, planner


def record(graph, tmp_path, robot: str, seconds: float, rig: Robot | None = None) -> str:
    """Record an episode with the recorder of this package; return the bag's folder.

    Late if not every plan was followed in time, as on a machine that has too much to do.
    """
    graph.spawn('lewm_ros.recording.recorder_node', output=tmp_path / 'recorder.log',
                parameters={'robot': robot, 'root': str(tmp_path / 'recordings')})

    def begun() -> bool:   # refused until all topics are found, and once it records
        answer = graph.call(StartEpisode, '/recorder_node/start_episode', StartEpisode.Request())
        return code_name(answer) in ('OK', 'BUSY')

    graph.client(StopEpisode, '/recorder_node/stop_episode')    # which takes a while
    graph.wait_for(begun, 'the start of an episode')
    executed = len(rig.executed) if rig else 0
    graph.spin(seconds)
    answer = graph.call(StopEpisode, '/recorder_node/stop_episode',
                        StopEpisode.Request(outcome=StopEpisode.Request.SUCCESS))
    assert answer.success, answer.message
    undisturbed(answer.messages_lost == 0, f'{answer.messages_lost} messages were lost')
    undisturbed(rig is None or rig.state is CommandState.TRACKING and not any(
        message.overridden for _, message in rig.executed[executed:]), 'plans came late')
    return answer.bag_uri


def rows_of(bag: str, robot: RobotDescription):
    """Return the one episode that ingest makes of a bag."""
    config = DataConfig(control_dt_s=robot.control_dt_s, min_rows=5)
    with Bag(bag) as opened:
        result = synchronize(read_streams(opened, robot), config)
    return max(result.episodes, key=lambda episode: len(episode.actions))


@timed
def test_a_base_drives_stops_when_the_planner_is_killed_and_its_bag_has_rows(graph, tmp_path):
    """Shipped `diff_drive`: 0.2 m/s and 0.5 rad/s by cmd_vel, odometry agrees, SIGKILL, zero."""
    rig, odometry, planner = start(graph, tmp_path, 'diff_drive', '0.2,0.5', Odometry)
    graph.wait_for(lambda: odometry[-1][1].pose.pose.position.x > 0.05, '5 cm on the way')
    bag = record(graph, tmp_path, 'diff_drive', 1.5, rig)
    moving = rig.action()
    np.testing.assert_allclose(moving, [0.2, 0.5], atol=1e-6)

    killed_at = time.monotonic()
    planner.kill()
    graph.wait_for(lambda: rig.state is CommandState.STOPPED and not rig.moves(), 'standstill')
    print(f'seconds from SIGKILL to zero: {rig.last_motion() - killed_at:.3f}')
    in_time(rig.last_motion() - killed_at, STOP_S, 'the stop')
    graph.wait_for(lambda: odometry[-1][1].twist.twist.linear.x == 0, 'a base at rest')
    place = odometry[-1][1].pose.pose.position
    graph.wait_for(lambda: time.monotonic() - rig.commands[-1][0] > 0.5, 'silence')
    assert odometry[-1][1].pose.pose.position == place
    assert {message.interface for _, message in rig.executed} == {0}

    episode = rows_of(bag, BASE)
    assert len(episode.actions) >= 10
    np.testing.assert_allclose(episode.actions[:-1], [[0.2, 0.5]] * (len(episode.actions) - 1),
                               atol=1e-6)
    assert episode.positions[-1, 2] > episode.positions[0, 2]   # it turned left


def test_a_base_with_stamped_twists_is_commanded_with_stamp_and_frame(graph, tmp_path):
    """`command_type` alone decides; the stamp is the start of the control step."""
    robot = file_of('diff_drive', tmp_path, command_type='geometry_msgs/msg/TwistStamped',
                    executed_topic='executed_command', command_frame='base_footprint')
    rig, odometry, _ = start(graph, tmp_path, robot, '0.2,0', Odometry)
    graph.wait_for(lambda: rig.moves() and len(rig.executed) > 5, 'motion')
    graph.wait_for(lambda: odometry[-1][1].twist.twist.linear.x > 0.1, 'a base in motion')

    def stamps(messages) -> set[int]:
        return {stamp_to_ns(message.header.stamp) for _, message in messages}

    graph.wait_for(lambda: len(stamps(rig.commands) & stamps(rig.executed)) >= 5,
                   'commands and reports with the same stamps')
    assert {m.header.frame_id for _, m in rig.commands} == {'base_footprint'}


@timed
def test_an_arm_starts_where_it_is_and_is_held_where_it_was_measured(graph, tmp_path):
    """Shipped `joint_trajectory_arm`: no jump at the start, none at the stop, then held."""
    rig, joints, planner = start(graph, tmp_path, 'joint_trajectory_arm',
                                 '2.5,-2.5,2.5,2.5,2.5,2.5', JointState)
    graph.wait_for(lambda: rig.commands, 'the first command')
    at = rig.commands[0][0]    # the first that was heard
    begin = [np.array(message.position) for when, message in joints if when < at][-1]
    step = ARM.max_rate * ARM.control_dt_s
    assert (np.abs(rig.action(0) - begin) <= step + 1e-6).all()
    graph.wait_for(lambda: len(rig.commands) > 3, 'motion')
    bag = record(graph, tmp_path, 'joint_trajectory_arm', 1.2, rig)

    planner.kill()
    graph.wait_for(lambda: rig.state is CommandState.STOPPED, 'standstill')
    graph.wait_for(lambda: time.monotonic() - rig.commands[-1][0] > 0.5, 'silence')
    held = rig.action()
    for index in (-2, -3):
        np.testing.assert_array_equal(rig.action(index), held)
    np.testing.assert_allclose(joints[-1][1].position, held, atol=1e-9)
    measured = np.array([message.position for _, message in joints])
    assert np.abs(measured - held).max(axis=1).min() < 1e-6   # it had been there
    actions = np.array([rig.action(k) for k in range(len(rig.commands))])
    assert (np.abs(np.diff(actions, axis=0)) <= 2 * ARM.stop_rate * ARM.control_dt_s + 1e-6).all()
    assert {message.interface for _, message in rig.executed} == {1}

    episode = rows_of(bag, ARM)
    assert len(episode.actions) >= 5
    assert (np.diff(episode.actions[:-1, 0]) >= -1e-9).all()
    assert (np.abs(episode.actions[:-1] - episode.positions[:-1]) < 0.5).all()


@timed
def test_arm_and_gripper_with_topics_of_their_own_are_driven_and_recorded(graph, tmp_path):
    """Two command topics, states in two messages: every step goes to both, and ingest agrees.

    What the two topics carried, put together by name, is what the node says it executed.
    """
    names = list(ARM.joint_names)
    changes = {
        'commands': [{'topic': 'gripper/commands', 'type': 'std_msgs/msg/Float64MultiArray',
                      'joints': names[5:]},
                     {'topic': ARM.command_topic, 'type': ARM.command_type,
                      'joints': names[:5]}],
        'command_topic': '', 'command_type': ''}
    robot = file_of('joint_trajectory_arm', tmp_path, **changes,
                    executed_topic='executed_command', clocks={'command': 'receive'})
    rig, joints, _ = start(graph, tmp_path, robot, '2.5,-2.5,2.5,2.5,2.5,2.5', JointState)
    graph.wait_for(lambda: len(rig.sent[ARM.command_topic]) > 3, 'motion')
    graph.wait_for(lambda: len({tuple(message.name) for _, message in joints}) > 1, 'both states')
    assert {tuple(message.name) for _, message in joints} == {tuple(names[:5]), (names[5],)}
    bag = record(graph, tmp_path, robot, 1.5)
    gripper, arm = (rig.sent[topic] for topic, _ in rig.interface.outputs)
    assert gripper and all(message.joint_names == names[:5] for _, message in arm)
    assert all(len(message.data) == 1 for _, message in gripper)

    executed = rows_of(bag, RobotDescription.from_yaml(robot))
    sent = rows_of(bag, RobotDescription.from_yaml(file_of(
        'joint_trajectory_arm', tmp_path, **changes, executed_topic='',
        clocks={'command': 'receive'}, command_hold_s=0.3)))
    assert len(sent.actions) >= 5
    known = {tuple(np.round(action, 9)) for action in executed.actions[:-1]}
    assert sum(tuple(np.round(action, 9)) in known for action in sent.actions[:-1]) >= 5


def test_a_person_drives_a_robot_with_an_unstamped_camera_and_no_camera_info(graph, tmp_path):
    """Frames without stamps are of the time they came; teleoperation follows the frames."""
    robot = file_of('diff_drive', tmp_path, camera_info_topic='', clocks={
        'image': 'receive', 'command': 'receive'}, image_topic='cam',
        image_type='sensor_msgs/msg/CompressedImage')
    graph.spawn('lewm_ros.sources.teleop_node', parameters={'robot': robot, 'timeout_s': 1.0})
    frames = graph.node.create_publisher(CompressedImage, 'cam', qos.SENSOR)
    person = graph.node.create_publisher(Twist, 'teleop_command', qos.LATEST)
    reports = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
    chunks = graph.collect(ActionChunk, 'action_chunk', qos.LATEST)

    command = Twist()
    command.linear.x = 0.1
    graph.send_until(
        lambda: (person.publish(command), frames.publish(CompressedImage(format='jpeg'))),
        lambda: reports and len(chunks) > 3, 'chunks')   # the frames have no stamp

    now_ns = graph.node.get_clock().now().nanoseconds
    for message in (reports[-1][1].header, chunks[-1][1].header):
        assert abs(now_ns - stamp_to_ns(message.stamp)) < 60e9   # of today, not of 1970


def test_an_arm_nobody_measures_is_not_moved_and_is_told_why(graph, tmp_path):
    """Without joint states not one command; the state names the topic."""
    rig = Robot(graph, tmp_path, robot='joint_trajectory_arm', require_enable=False)
    graph.spawn('fake_planner', '0.5', 'joint_trajectory_arm')
    graph.wait_for(lambda: 'on joint_states yet' in rig.states[-1][1].reason.text
                   and rig.states[-1][1].epoch == 1, 'the reason')
    assert rig.commands == []


def test_efforts_are_refused_when_the_node_is_configured(graph, tmp_path):
    """The reason is in the log, the node stays unconfigured."""
    robot = file_of('sim_reacher', tmp_path, interface='joint_effort')
    log = tmp_path / 'log'
    graph.spawn('lewm_ros.command.command_node', output=log, parameters={'robot': robot})
    with pytest.raises(AssertionError, match='refused to configure'):
        graph.transition('command_node', 'configure')
    graph.wait_for(lambda: 'commanded by efforts' in log.read_text(), 'the reason')
