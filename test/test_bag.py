import json
from pathlib import Path

from bag_factory import BagFactory, DISCARDED, DT_NS, robot, START_NS
from lewm_model.bags.bag import Bag, find_bags
from lewm_model.errors import BagError, ImageError
from lewm_model.recordings.pictures import read_frames
from lewm_model.recordings.streams import read_streams
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin


def read(path, arm=None):
    with Bag(path) as bag:
        return read_streams(bag, arm or robot())


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_streams_hold_what_was_recorded(tmp_path, storage):
    """Stamps are exact to the nanosecond, joints and executed actions as written."""
    path = BagFactory().steps(4).write(tmp_path / 'bag', storage=storage)
    streams = read(path)

    np.testing.assert_array_equal(streams.frame_stamps_ns, START_NS + DT_NS * np.arange(4))
    np.testing.assert_array_equal(streams.positions, [[0, 0], [1, -1], [2, -2], [3, -3]])
    np.testing.assert_array_equal(streams.velocities, [[1, -1]] * 4)
    np.testing.assert_array_equal(streams.actions, [[0, 0], [1, .5], [2, 1]])
    with Bag(path) as bag:
        frames = dict(read_frames(bag, streams, [2, 0]))
    assert {index: frame.mean() for index, frame in frames.items()} == {0: 0, 2: 2}


def test_joints_are_mapped_by_name(tmp_path):
    """Order may change from message to message, others may share the topic."""
    factory = BagFactory().steps(2)
    factory.joints(START_NS + 10, (5, 6, 7), (0, 0, 0), names=('wrist', 'elbow', 'shoulder'))
    factory.joints(START_NS + 20, (9,), (0,), names=('gripper',))
    factory.joints(START_NS + 30, (3, 4), ())
    factory.command(START_NS + 5, (.1, .2), names=('wrist', 'shoulder'))
    streams = read(factory.write(tmp_path / 'bag'))

    np.testing.assert_array_equal(streams.positions, [[0, 0], [7, 5], [3, 4], [1, -1]])
    assert np.isnan(streams.velocities[2]).all()  # the robot reported none
    np.testing.assert_array_equal(streams.actions, [[0, 0], [.2, .1]])


def test_messages_out_of_order_are_sorted_by_stamp(tmp_path):
    """The network may deliver late; the capture time counts, and frames keep their pixels."""
    factory = BagFactory().steps(3)
    image = [index for index, message in enumerate(factory.messages) if message[0] == '/image']
    early, late = image[1], image[2]
    messages = factory.messages
    messages[early], messages[late] = messages[late], messages[early]
    messages[early] = (*messages[early][:2], messages[late][2], messages[early][3])
    path = factory.write(tmp_path / 'bag')
    streams = read(path)

    assert (np.diff(streams.frame_stamps_ns) == DT_NS).all()
    with Bag(path) as bag:
        frames = dict(read_frames(bag, streams, streams.frame_index))
    assert [int(frames[index].mean()) for index in streams.frame_index] == [0, 1, 2]


def test_discarded_episodes_are_known_from_their_start(tmp_path):
    """The operator's verdict comes at the end, but counts for the whole episode."""
    factory = BagFactory().steps(3)
    factory.episode(START_NS, 'bad')
    factory.episode(START_NS + DT_NS, 'bad', DISCARDED)
    factory.episode(START_NS + 2 * DT_NS, 'good')
    streams = read(factory.write(tmp_path / 'bag'))

    assert streams.mark_active.tolist() == [False, False, False, True]
    assert streams.tasks == ('reach',)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'image_topic': 'camera/image'},
     r"no messages on topic 'camera/image' \(image_topic\); set image_topic in the description of "
     r"robot 'arm' .* the bag has: /executed_command \(lewm_ros/msg/ExecutedCommand, 2 messages\)"
     r', /image \(sensor_msgs/msg/Image, 3 messages\)'),
    ({'joint_state_topic': 'image'},
     r"topic 'image' \(joint_state_topic\) has type sensor_msgs/msg/Image, expected "
     r'sensor_msgs/msg/JointState'),
    ({'joint_names': ['shoulder', 'elbow']},
     'no message on /joint_states has a position for elbow; the first one names '
     'shoulder, wrist'),
    ({'interface': 'joint_position'}, 'are joint_velocity, .* takes joint_position'),
])
def test_another_robot_is_refused_with_the_fix(tmp_path, changes, message):
    """Each message says what the bag has and which setting to change."""
    path = BagFactory().steps(3).write(tmp_path / 'bag')
    with pytest.raises(BagError, match=message):
        read(path, robot(**changes))


def test_unstamped_messages_are_refused(tmp_path):
    """Frames without a capture time would be paired with the wrong actions."""
    unstamped = BagFactory()
    for _ in range(3):
        unstamped.image(0, 1)
        unstamped.joints(0, (0, 0))
        unstamped.command(0, (0, 0))
    with pytest.raises(BagError, match='stamps on /image are all zero'):
        read(unstamped.write(tmp_path / 'unstamped'))


def test_unfinished_and_damaged_bags_give_what_is_left(tmp_path):
    """A file cut short without metadata.yaml is read to the cut; what is no bag is refused."""
    path = BagFactory().steps(30).write(tmp_path / 'bag', compression=CompressionMode.NONE)
    data = path / 'bag.mcap'
    content = data.read_bytes()
    data.write_bytes(content[:len(content) // 2])
    (path / 'metadata.yaml').unlink()
    with Bag(path) as bag:
        assert bag.notes
    streams = read(path)
    assert 0 < len(streams.frame_stamps_ns) < 30
    np.testing.assert_array_equal(
        streams.frame_stamps_ns, START_NS + DT_NS * np.arange(len(streams.frame_stamps_ns)))
    with pytest.raises(BagError, match='holds neither metadata.yaml nor .mcap'):
        read(tmp_path)
    (tmp_path / 'notes.txt').write_text('no bag')
    with pytest.raises(BagError, match='is not a recording: give the folder of a bag or a .mcap'):
        read(tmp_path / 'notes.txt')


def test_bad_pictures_name_bag_topic_and_frame(tmp_path):
    """Mixed encodings on one topic fail at the first frame that is not supported."""
    factory = BagFactory().steps(2)
    factory.image(START_NS + 2 * DT_NS, 1, encoding='16UC1')
    path = factory.write(tmp_path / 'bag')
    with Bag(path) as bag:
        streams = read_streams(bag, robot())
        with pytest.raises(ImageError, match="bag: frame 2 of /image: image encoding '16UC1'"):
            list(read_frames(bag, streams, [0, 1, 2]))


def test_bags_are_found_sorted_and_unfinished_work_is_not(tmp_path):
    """A folder of bags is its bags by name; a hidden folder belongs to a running recording."""
    for name in ('b', 'a', '.unfinished'):
        BagFactory().steps(2).write(tmp_path / name)
    (tmp_path / 'notes').mkdir()

    assert [path.name for path in find_bags([tmp_path])] == ['a', 'b']
    assert find_bags([tmp_path / 'b']) == [tmp_path / 'b']
    with pytest.raises(BagError, match='/a is named twice'):
        find_bags([tmp_path, tmp_path / 'a'])
    with pytest.raises(BagError, match='holds no bags'):
        find_bags([tmp_path / 'notes'])


def test_bags_in_folders_below_are_found_too(tmp_path):
    """One folder per day beside single bags: none is passed over, none counts twice."""
    for name in ('a', 'day 2/b', 'day 1/morning/d', 'day 1/c', 'day 1/.unfinished/x'):
        BagFactory().steps(2).write(tmp_path / name)
    (tmp_path / 'day 3').symlink_to(tmp_path / 'day 2')      # where a loop would come from

    assert [str(path.relative_to(tmp_path)) for path in find_bags([tmp_path])] == [
        'a', 'day 1/c', 'day 1/morning/d', 'day 2/b']
    BagFactory().steps(2).write(tmp_path / 'day 2/a')
    assert len(find_bags([tmp_path])) == 5       # of one name, but not one bag


@pytest.mark.ros
def test_ros_reads_our_bytes_and_agrees_on_the_types(tmp_path):
    """Bags written without ROS hold what ROS itself would have written, type hashes included."""
    pytest.importorskip('rclpy')
    interfaces = pytest.importorskip('lewm_ros.msg')
    from ament_index_python.packages import get_package_share_directory
    from lewm_model.bags.interfaces import default_typestore
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image, JointState

    with Bag(BagFactory().steps(3).write(tmp_path / 'bag')) as bag:
        last = {topic: bytes(raw) for topic, _, raw in bag.raw_messages()}
    image = deserialize_message(last['/image'], Image)
    joints = deserialize_message(last['/joint_states'], JointState)
    command = deserialize_message(last['/executed_command'], interfaces.ExecutedCommand)
    assert (image.height, image.encoding, set(image.data)) == (8, 'rgb8', {2})
    assert (joints.name, list(joints.position)) == (['shoulder', 'wrist'], [2, -2])
    assert (list(command.executed), list(command.requested)) == ([1, .5], [101, 100.5])
    assert (command.names, command.state) == (['shoulder', 'wrist'], 2)
    stamp = command.header.stamp
    assert stamp.sec * 10 ** 9 + stamp.nanosec == START_NS + DT_NS

    share = Path(get_package_share_directory('lewm_ros')) / 'msg'
    names = sorted(path.stem for path in share.glob('*.json'))
    assert 'ExecutedCommand' in names
    for name in names:
        description = json.loads((share / f'{name}.json').read_text())
        digests = {entry['type_name']: entry['hash_string']
                   for entry in description['type_hashes']}
        message = f'lewm_ros/msg/{name}'
        assert digests[message] == default_typestore().hash_rihs01(message)
