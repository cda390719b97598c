"""What `lewm inspect` says of a bag, and the robot file it suggests."""

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.errors import BagError
from lewm_model.recordings.describe_bag import describe_bag
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.suggest_robot import suggest_robot
from lewm_model.recordings.synchronize import synchronize
from lewm_model.robots.robot import RobotDescription
from lewm_sim.cli import main
import numpy as np
import pytest
from stream_factory import ARM, diff_drive, StreamFactory, trajectory_arm

CONFIG = DataConfig(min_rows=2)


def at(step: float) -> int:
    return START_NS + round(step * DT_NS)


def suggested(path, folder, name='mine') -> RobotDescription:
    with Bag(path) as bag:
        text = suggest_robot(bag, name)
    file = folder / f'{name}.yaml'
    file.write_text(text)
    return RobotDescription.from_yaml(file)


def check_same_rows(path, one: RobotDescription, other: RobotDescription) -> None:
    """Both descriptions read the same episodes from the bag, at least one."""
    with Bag(path) as bag:
        results = [synchronize(read_streams(bag, arm), CONFIG) for arm in (one, other)]
    assert results[0].rows > 0
    assert results[0].dropped == results[1].dropped
    for left, right in zip(*(result.episodes for result in results), strict=True):
        for name in ('frame_index', 'stamps_ns', 'positions', 'velocities', 'actions'):
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


@pytest.mark.sim
def test_the_suggestion_for_a_simulated_recording_reads_the_same_rows(tmp_path):
    """As config/robots/sim_reacher.yaml does, limits being those that were seen."""
    pytest.importorskip('mujoco')
    from lewm_sim.collect import collect, CollectConfig
    collect(CollectConfig(steps=30, image_size=32, seed=3), 1, tmp_path / 'bags')
    [path] = (tmp_path / 'bags').glob('episode_*')
    arm = suggested(path, tmp_path)
    shipped = RobotDescription.from_yaml('sim_reacher')

    check_same_rows(path, arm, shipped)
    for name in ('joint_names', 'interface', 'control_dt_s', 'image_topic', 'camera_info_topic',
                 'joint_state_topic', 'executed_topic', 'clocks'):
        assert getattr(arm, name) == getattr(shipped, name)
    assert (arm.max_command <= shipped.max_command + 1e-4).all()


@pytest.mark.parametrize(('factory', 'arm'), [
    (lambda: BagFactory().steps(30), robot()),
    (lambda: StreamFactory().drive(30), diff_drive()),
    (lambda: StreamFactory().reach(30), trajectory_arm())], ids=['executed', 'twist', 'jtc'])
def test_the_suggestion_reads_the_same_rows_as_a_careful_description(tmp_path, factory, arm):
    """Topics, joints, interface and clocks are found in the messages."""
    path = factory().write(tmp_path / 'bag')
    found = suggested(path, tmp_path)

    check_same_rows(path, found, arm)
    assert (found.interface, found.joint_names) == (arm.interface, arm.joint_names)
    assert (found.clocks, found.state_type) == (arm.clocks, arm.state_type)


def test_limits_are_those_that_were_sent(tmp_path):
    """Smallest, largest and fastest change; what never changed is said."""
    factory = StreamFactory().steps(5)
    for index, value in enumerate((0.5, -0.25, 0.5)):
        factory.array(at(2 * index), (value, 3), topic='/arm_velocity_controller/commands')
    factory.messages = [one for one in factory.messages if one[0] != '/executed_command']
    path = factory.write(tmp_path / 'bag')
    with Bag(path) as bag:
        text = suggest_robot(bag, 'mine')
    arm = suggested(path, tmp_path)

    assert arm.interface == 'joint_velocity'
    assert arm.min_command.tolist() == [-0.25, 0] and arm.max_command.tolist() == [0.5, 3]
    assert arm.max_rate.tolist() == [7.5, 1]
    assert '# wrist never changed: its limits are made up' in text
    assert 'A GUESS: the messages name no joints' in text


def test_alternatives_are_listed_and_depth_is_no_camera(tmp_path):
    """Where a choice was made, the file says which others there were."""
    factory = BagFactory().steps(10)
    for index in range(12):
        factory.image(at(index / 2), 0, topic='/depth/image', encoding='16UC1')
    for index in range(4):
        factory.image(at(index), 0, topic='/wrist/image')
    with Bag(factory.write(tmp_path / 'bag')) as bag:
        text = suggest_robot(bag, 'mine')

    assert 'image_topic: image ' in text
    assert '#   or wrist/image (sensor_msgs/msg/Image, 4 messages)' in text
    assert '# cameras: [{topic: image}, {topic: wrist/image}]' in text
    assert 'depth' not in text


def test_a_clock_of_its_own_makes_all_topics_use_the_time_of_recording(tmp_path):
    """Commands without stamps cannot be paired with frames stamped in simulated time."""
    factory = StreamFactory()
    for index in range(30):
        factory.image(index * DT_NS, index)
        factory.messages[-1] = (*factory.messages[-1][:2], at(index), factory.messages[-1][3])
        factory.odometry(index * DT_NS, index, 0, 0, received_ns=at(index))
        factory.twist(at(index), index, 1)
    path = factory.write(tmp_path / 'bag')
    arm = suggested(path, tmp_path)

    assert (arm.clocks.image, arm.clocks.state, arm.clocks.command) == ('receive',) * 3
    with Bag(path) as bag:
        assert synchronize(read_streams(bag, arm), CONFIG).rows == 30


def test_a_bag_without_a_camera_or_commands_gets_no_suggestion(tmp_path):
    """The error lists what the bag has."""
    factory = StreamFactory()
    factory.joints(START_NS, (1, 2))
    with Bag(factory.write(tmp_path / 'blind')) as bag, pytest.raises(
            BagError, match=r'no camera images, .* it has: /joint_states \(sensor_msgs'):
        suggest_robot(bag, 'mine')
    factory.image(START_NS, 1)
    with Bag(factory.write(tmp_path / 'idle')) as bag, pytest.raises(
            BagError, match=r'no commands \(lewm_ros/msg/ExecutedCommand or std_msgs'):
        suggest_robot(bag, 'mine')


def test_names_from_a_recording_cannot_change_the_file(tmp_path):
    """A joint called like a YAML word stays a text, a line break stays in its comment."""
    factory = BagFactory()
    names = ('no', 'a\nrobot: evil')
    for index in range(30):
        factory.image(at(index), index)
        factory.joints(at(index), (index, index), names=names)
        factory.command(at(index), (index, index), names=names)
    assert suggested(factory.write(tmp_path / 'bag'), tmp_path).joint_names == names


def test_the_description_has_gaps_stamps_pictures_and_damage(tmp_path):
    """What decides over the use of a bag is on one page."""
    factory = StreamFactory().drive(30)
    factory.messages = [message for message in factory.messages
                        if not at(10) < message[2] < at(14)]
    factory.image(at(30), 1, size=16, encoding='bgr8')
    factory.odometry(0, 1, 1, 1, received_ns=at(30))
    text = describe_bag(factory.write(tmp_path / 'bag'))

    assert '/image' in text and '20.00 Hz  sensor_msgs/msg/Image' in text
    assert '8x8 rgb8 (27 times) and 16x16 bgr8 (1 times); largest gap 0.200 s, 1 above' in text
    assert 'received 0.0 ms after its stamp (0.0 to 0.0 ms)' in text
    assert '1 of 28 header stamps are zero' in text
    assert 'no header, only the time of recording' in text
    assert 'no episode marks' in text


def test_damage_and_unknown_types_are_on_the_page(tmp_path):
    """What the reader repaired is said where people look."""
    path = BagFactory().steps(3).write(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    assert '\n  note: ' in describe_bag(path)
    assert 'metadata.yaml' in describe_bag(path).rpartition('note:')[2]


def test_the_command_writes_a_robot_file_once(tmp_path, capsys):
    """`lewm inspect BAG --robot-out` never replaces a file, and names the robot after it."""
    path = StreamFactory().reach(30).write(tmp_path / 'bag')
    out = tmp_path / 'my_arm.yaml'

    assert main(['inspect', str(path), '--robot-out', str(out)]) == 0
    arm = RobotDescription.from_yaml(out)
    assert (arm.robot, arm.joint_names) == ('my_arm', ARM)
    content = out.read_text()
    assert main(['inspect', str(path), '--robot-out', str(out)]) != 0
    assert 'exists; choose another name' in capsys.readouterr().err
    assert out.read_text() == content
    assert main(['inspect', str(path)]) == 0
    assert 'command_topic: controller/joint_trajectory' in capsys.readouterr().out


def test_commands_of_a_later_version_are_not_guessed(tmp_path):
    """A number for the interface that this version does not know suggests nothing."""
    factory = BagFactory().steps(3)
    for _, kind, _, message in factory.messages:
        if kind.endswith('ExecutedCommand'):
            message.interface = 77
    with Bag(factory.write(tmp_path / 'bag')) as bag, pytest.raises(
            BagError, match='unknown interface 77'):
        suggest_robot(bag, 'mine')
