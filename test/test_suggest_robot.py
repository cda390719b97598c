"""What `lewm inspect --robot-out` writes is read as it is; what `lewm inspect ROBOT.yaml` says."""

from dataclasses import replace

import cv2
from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.errors import BagError, ConfigError, DatasetError
from lewm_model.ingest.ingest import ingest
from lewm_model.recordings.describe_bag import describe_bag
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.suggest_robot import suggest_robot
from lewm_model.recordings.synchronize import synchronize
from lewm_model.robots.robot import (
    COMPRESSED_IMAGE,
    FLOAT_ARRAY,
    IMAGE,
    JOINT_TRAJECTORY,
    RobotDescription,
    SPEEDS,
)
from lewm_sim.cli import main
import numpy as np
import pytest
from stream_factory import StreamFactory
from stream_reading import at, CONFIG
from test_stream_merging import arm, arm_and_gripper, driven


def suggested(factory, folder) -> tuple[RobotDescription, str]:
    """Return the suggestion for a recording, after it was read from a file."""
    path = factory.write(folder / 'bag')
    with Bag(path) as bag:
        text = suggest_robot(bag, 'mine')
    (folder / 'mine.yaml').write_text(text)
    return RobotDescription.from_yaml(folder / 'mine.yaml'), text


def rows_of(folder, machine):
    with Bag(folder / 'bag') as bag:
        return synchronize(read_streams(bag, machine),
                           replace(CONFIG, control_dt_s=machine.control_dt_s))


def test_arm_and_gripper_are_suggested_with_their_topics(tmp_path):
    """One topic names its joints, the other gets those that are left over."""
    def command(factory, index, received_ns):
        factory.array(received_ns, (index, 10 * index), topic='/arm')
        factory.trajectory(received_ns + 1000, [(0.05, [index % 3])], names=['grip'],
                           topic='/grip')
    machine, text = suggested(driven(20, command), tmp_path)

    assert [(one.topic, one.type, one.joints) for one in machine.command_topics] == [
        ('arm', FLOAT_ARRAY, ('shoulder', 'wrist')), ('grip', JOINT_TRAJECTORY, ('grip',))]
    assert 'A GUESS: the messages name no joints; these are left over' in text
    np.testing.assert_array_equal(
        rows_of(tmp_path, machine).episodes[0].actions,
        rows_of(tmp_path, arm_and_gripper()).episodes[0].actions)


def test_commands_in_turn_on_one_topic_are_all_suggested(tmp_path):
    """The first message names the gripper only; the robot is more than that."""
    def command(factory, index, received_ns):
        factory.trajectory(received_ns, [(0.05, [index])], names=['grip'], topic='/commands')
        factory.trajectory(received_ns + 1000, [(0.05, [-index, 2 * index])],
                           names=['wrist', 'shoulder'], topic='/commands')
    machine, _ = suggested(driven(12, command), tmp_path)

    assert machine.joint_names == ('grip', 'wrist', 'shoulder')
    [topic] = machine.command_topics
    assert topic.topic == 'commands' and rows_of(tmp_path, machine).rows == 12


def test_another_topic_for_the_same_joints_is_an_alternative(tmp_path):
    """Two ways to command one arm are a choice, not two parts of it."""
    def command(factory, index, received_ns):
        for topic in ('/arm', '/backup'):
            factory.trajectory(received_ns, [(0.05, [index] * 3)], topic=topic,
                               names=('shoulder', 'wrist', 'grip'))
    machine, text = suggested(driven(12, command), tmp_path)
    assert machine.command_topics[0].topic == 'arm' and len(machine.command_topics) == 1
    assert '#   or backup (trajectory_msgs/msg/JointTrajectory, 12 messages)' in text


def test_a_topic_that_may_be_for_other_joints_is_said_to_be_addable(tmp_path):
    """One number, and two joints are left over: a person knows that it is the gripper."""
    def command(factory, index, received_ns):
        factory.trajectory(received_ns, [(0.05, [index])], names=['shoulder'], topic='/arm')
        factory.array(received_ns + 1000, (index % 3,), topic='/grip')
    machine, text = suggested(driven(12, command), tmp_path)
    assert machine.joint_names == ('shoulder',)
    assert '#   or grip (std_msgs/msg/Float64MultiArray, 12 messages)' in text
    assert 'is added with commands: a list of {topic, type, joints}' in text


def forward_only(count=40, *, topic='/cam/image') -> StreamFactory:
    """Return a base that drove forward and to the left, seen by a compressed camera at 30 Hz."""
    factory, period = StreamFactory(), 2 / 3
    jpeg = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].ravel()
    for index in range(count):
        factory.add(topic, COMPRESSED_IMAGE, at(period * index), format='jpeg', data=jpeg)
        factory.odometry(at(period * index), 0.01 * index, 0, 0)
        factory.twist(at(period * index) + 1_000_000, 0.1 + 0.01 * index, 0.2)
    return factory


def test_a_base_that_only_drove_forward_may_stand_still(tmp_path):
    """Limits contain 0, the type of a camera that its name does not tell is said, and it reads."""
    machine, text = suggested(forward_only(), tmp_path)

    assert machine.min_command.tolist() == [0, 0] and (machine.max_command > 0).all()
    assert machine.image_type == COMPRESSED_IMAGE and machine.camera_info_topic == ''
    assert 'smallest observed, and 0, standing still' in text
    assert machine.control_dt_s == pytest.approx(1 / 30, rel=1e-4)
    assert rows_of(tmp_path, machine).rows == 40


def test_a_second_camera_is_suggested_with_what_its_name_does_not_say(tmp_path):
    """The line that takes both cameras reads the bag as it is, types included."""
    factory = forward_only()
    for index in range(40):
        factory.image(at(2 / 3 * index) + 1000, index, topic='/wrist')
    one, text = suggested(factory, tmp_path)
    assert one.control_dt_s == pytest.approx(1 / 30, rel=1e-4)
    assert 'wrist has 30.00 Hz, cmd_vel has 30.00 Hz' in text

    listed = text.split('# cameras: ')[1].split('\n')[0]
    kept = [line for line in text.splitlines() if not line.startswith(('image_', 'camera_info'))]
    (tmp_path / 'both.yaml').write_text('\n'.join([*kept, f'cameras: {listed}']))
    both = RobotDescription.from_yaml(tmp_path / 'both.yaml')
    assert [(camera.topic, camera.live_type) for camera in both.all_cameras] == [
        ('wrist', IMAGE), ('cam/image', COMPRESSED_IMAGE)]
    with Bag(tmp_path / 'bag') as bag:
        assert read_streams(bag, both).notes == ()


def test_a_camera_that_the_nodes_would_read_as_another_type_is_told_at_ingest(tmp_path):
    """A recording says the type of its pictures; a robot file that does not reads none live."""
    machine, text = suggested(forward_only(), tmp_path)
    (tmp_path / 'mine.yaml').write_text(text.replace('image_type', '# image_type'))
    with Bag(tmp_path / 'bag') as bag:
        assert read_streams(bag, machine).notes == ()
        notes = read_streams(bag, RobotDescription.from_yaml(tmp_path / 'mine.yaml')).notes
    assert notes == (
        '/cam/image was recorded as sensor_msgs/msg/CompressedImage, but by its name the nodes '
        'will read sensor_msgs/msg/Image: set image_type in the robot file',)


def test_an_arm_may_stay_wherever_it_was_measured(tmp_path):
    """Commands were from 0 to 1, the arm was between -19 and 38: to hold it there is allowed."""
    machine, text = suggested(driven(20, lambda factory, index, received_ns: factory.array(
        received_ns, (index / 20, 0.5, 1), topic='/position_commands')), tmp_path)
    assert machine.joint_names == ('shoulder', 'wrist', 'grip')
    assert machine.min_command.tolist() == [0, -19, 0]
    assert machine.max_command.tolist() == [19, 1.5, 38]
    assert 'smallest observed, commanded or measured' in text


@pytest.mark.parametrize('step_s', [0.0333, 1 / 30, 0.033333])
def test_rounded_rates_are_ingested(tmp_path, step_s):
    """Settings of 1/30 s and a robot file of 0.0333 s are one rate."""
    machine, text = suggested(forward_only(), tmp_path)
    written = text.replace(f'control_dt_s: {machine.control_dt_s}', 'control_dt_s: 0.0333')
    (tmp_path / 'mine.yaml').write_text(written)
    rounded = RobotDescription.from_yaml(tmp_path / 'mine.yaml')
    report = ingest([tmp_path / 'bag'], rounded, tmp_path / 'set.h5',
                    DataConfig(image_size=8, min_rows=2, control_dt_s=step_s))
    assert report.rows == 40


@pytest.mark.parametrize('seed', range(8))
def test_whatever_was_driven_the_suggestion_allows_rest_and_reads_the_bag(tmp_path, seed):
    """Property: random joints, topics, types and offsets give a file that reads its own bag."""
    rng = np.random.default_rng(seed)
    names = [f'j{index}' for index in range(rng.integers(1, 6))]
    parts = np.array_split(rng.permutation(names), rng.integers(1, len(names) + 1))
    speeds, offset = rng.random() < 0.5, rng.uniform(-3, 3)
    named = [rng.random() < 0.7 or len(parts) > 1 and len(part) == 1 for part in parts]
    factory = StreamFactory()
    for index in range(30):
        factory.image(at(index), index)
        factory.joints(at(index), rng.normal(0, 0.001, len(names)) + index / 30,
                       np.zeros(len(names)), names=names)
        for place, part in enumerate(parts):
            values = offset + rng.random(len(part))
            kind = 'velocity' if speeds else 'position'
            if named[place]:
                factory.add(f'/{kind}_command_{place}', 'sensor_msgs/msg/JointState', at(index),
                            name=list(map(str, part)), effort=np.empty(0),
                            **{field: values if field == kind else np.empty(0)
                               for field in ('position', 'velocity')})
            else:
                factory.array(at(index) + 1000, values, topic=f'/{kind}_command_{place}')
    machine, _ = suggested(factory, tmp_path)

    assert (machine.interface in SPEEDS) == speeds
    if speeds:
        assert (machine.min_command <= 0).all() and (machine.max_command >= 0).all()
    assert rows_of(tmp_path, machine).rows == 30
    if all(named):
        assert set(machine.joint_names) == set(names)


def test_inspect_marks_two_publishers_and_says_which_rates_fit(tmp_path):
    """What ingest would refuse is seen before; so is which control step the camera can serve."""
    factory = forward_only(topic='/image')
    for index in range(40):
        factory.joints(at(index), (0.5, 0.7))
        factory.joints(at(index) + 9_000_000, (0, 0))
    text = describe_bag(factory.write(tmp_path / 'bag'))

    assert '! two publishers: shoulder jumps between two values and back, 6 times in 6' in text
    assert 'fits a control_dt_s of 0.03333 (every frame), or of 0.04444 and more' in text


def test_a_robot_file_is_shown_as_it_is_read(tmp_path, capsys):
    """`lewm inspect ROBOT.yaml`: topics, clocks, what a step may change, what rest is."""
    assert main(['inspect', 'config/robots/diff_drive.yaml']) == 0
    text = capsys.readouterr().out
    for part in ("robot 'diff_drive': 2 actions (twist) every 0.1 s (10 Hz)",
                 'camera/image_raw (raw, by its name); time: of the header',
                 'odom (nav_msgs/msg/Odometry): x [m], y [m], yaw [rad]; time: of the header',
                 'cmd_vel (geometry_msgs/msg/Twist): linear.x, angular.z; other axes stay 0',
                 'at most 0.5 s; time: of receipt', 'at rest  speed 0',
                 'linear.x   from -0.3 to 0.3, at most 0.1 a step, 0.2 in a stop'):
        assert part in text
    (tmp_path / 'bad.yaml').write_text('robot: bad\n')
    assert main(['inspect', str(tmp_path / 'bad.yaml')]) != 0
    assert 'missing keys: control_dt_s' in capsys.readouterr().err


@pytest.mark.parametrize('folder', [False, True])
def test_bags_of_ros_1_are_called_so(tmp_path, folder, capsys):
    """With the command that converts them; they are neither damaged nor to be ingested again."""
    file = tmp_path / 'old.bag'
    file.write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    given = tmp_path if folder else file
    with pytest.raises(BagError, match='is a bag of ROS 1; convert it with: rosbags-convert --sr'):
        ingest([given], arm(), tmp_path / 'set.h5', DataConfig())
    assert main(['inspect', str(given)]) != 0
    assert 'is a bag of ROS 1' in capsys.readouterr().err


def test_the_share_of_broken_messages_is_a_setting():
    """Between none and all; anything else is refused where it is set."""
    assert DataConfig(max_bad_share=0).max_bad_share == 0
    with pytest.raises(ConfigError, match='max_bad_share'):
        DataConfig(max_bad_share=1.5)


def test_a_report_says_how_long_commands_paused(tmp_path):
    """Rows that are missing because commands are sparse are explained, also if none is left."""
    factory = driven(40, lambda factory, index, received_ns: index % 20 == 0 and factory.array(
        received_ns, (1, 2, 3)))
    with pytest.raises(DatasetError, match=r'commands ran out; the longest pause between two was '
                                           r'1.00 s. A sent command is in force for command_hold'):
        ingest([factory.write(tmp_path / 'bag')], arm(), tmp_path / 'set.h5',
               DataConfig(image_size=8))


def test_ingest_without_a_robot_file_names_the_way_to_one(tmp_path, capsys):
    """A stranger's bag says nothing of its robot; the message is a command that works."""
    path = forward_only().write(tmp_path / 'bag')
    assert main(['ingest', str(path), '--out', str(tmp_path / 'set.h5')]) != 0
    told = capsys.readouterr().err
    assert f'lewm inspect {path} --robot-out my_robot.yaml' in told
    assert main(['inspect', str(path), '--robot-out', str(tmp_path / 'my_robot.yaml')]) == 0
    assert RobotDescription.from_yaml(tmp_path / 'my_robot.yaml').robot == 'my_robot'
