"""What recordings of real robots hold, kind by kind: docs/bags.md lists the behaviour."""

from bag_factory import BagFactory, robot
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError, ImageError
from lewm_model.recordings.pictures import read_frames
from lewm_model.recordings.streams import read_streams
import numpy as np
import pytest
from stream_factory import diff_drive, StreamFactory, trajectory_arm
from stream_reading import at, read, rows

# -- kinds of robots ----------------------------------------------------------------------------

def test_a_driven_base_gives_twists_and_poses(tmp_path):
    """Actions are what was sent on cmd_vel; the yaw goes on where its angle would jump."""
    result = rows(StreamFactory().drive(30), tmp_path, diff_drive())

    [episode] = result.episodes
    steps = np.arange(30)
    np.testing.assert_allclose(episode.actions[:-1], np.stack([steps, steps / 2], 1)[:-1] / 100)
    np.testing.assert_allclose(episode.positions,
                               np.stack([steps, -steps, 0.3 * steps], 1), atol=1e-9)
    np.testing.assert_allclose(episode.velocities, [[1, 0, 0.5]] * 30)
    assert (result.dropped, result.notes) == ({}, ())


def test_a_stamped_twist_has_its_own_clock(tmp_path):
    """A TwistStamped counts from its header, however late it was recorded."""
    factory = StreamFactory().drive(5)
    factory.messages = [message for message in factory.messages if message[0] != '/cmd_vel']
    for index in range(4):
        factory.put('/cmd_vel', 'geometry_msgs/msg/TwistStamped', at(index + 20),
                    header=factory.header(at(index)),
                    twist=factory.velocity((index, 0, 0), (0, 0, -index)))
    arm = diff_drive(command_type='geometry_msgs/msg/TwistStamped', clocks={})

    [episode] = rows(factory, tmp_path, arm).episodes
    np.testing.assert_array_equal(episode.actions[:-1, 0], [0, 1, 2, 3])


def test_an_arm_gives_the_points_it_was_heading_for(tmp_path):
    """Joints are mapped by name whatever their order, others (a gripper) are left out."""
    [episode] = rows(StreamFactory().reach(25), tmp_path, trajectory_arm()).episodes

    np.testing.assert_array_equal(episode.positions, np.arange(25)[:, None] + np.arange(6))
    np.testing.assert_array_equal(episode.actions[:-1], episode.positions[:-1] + 0.5)


def test_a_trajectory_is_in_force_point_by_point_until_it_is_replaced(tmp_path):
    """Each point is the target from the point before; a new message ends the old one's rest."""
    factory = StreamFactory().reach(12)
    factory.messages = [message for message in factory.messages if 'traj' not in message[0]]
    factory.trajectory(at(0), [(0.1, [1] * 6), (0.2, [2] * 6), (0.4, [3] * 6)])
    factory.trajectory(at(5), [(0.05, [9] * 6)])
    arm = trajectory_arm(command_hold_s=0.2)

    [episode] = rows(factory, tmp_path, arm).episodes
    np.testing.assert_array_equal(episode.actions[:-1, 0], [1, 1, 2, 2, 3, 9, 9, 9, 9, 9])


def test_a_cancelled_trajectory_leaves_an_unknown_action(tmp_path):
    """An empty trajectory stops the arm somewhere, so the episode ends there."""
    factory = StreamFactory().reach(12)
    factory.trajectory(at(5) + 2_000_000, [])
    result = rows(factory, tmp_path, trajectory_arm())

    assert [list(episode.frame_index) for episode in result.episodes] == [
        [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert any('1 messages that cancel a trajectory' in note for note in result.notes)


@pytest.mark.parametrize(('interface', 'values'), [
    ('joint_position', (1, 2)), ('joint_velocity', (3, 4)), ('joint_effort', (5, 6))])
def test_commands_as_joint_states_are_read_from_the_field_of_the_interface(tmp_path, interface,
                                                                          values):
    """Position, velocity and effort are not mixed up; order goes by name."""
    factory = StreamFactory().steps(4)
    for index in range(3):
        factory.add('/commands', 'sensor_msgs/msg/JointState', at(index),
                    name=['wrist', 'shoulder'], position=np.array([2., 1.]),
                    velocity=np.array([4., 3.]), effort=np.array([6., 5.]))
    factory.add('/commands', 'sensor_msgs/msg/JointState', at(1), name=['gripper'],
                position=np.ones(1), velocity=np.ones(1), effort=np.ones(1))
    arm = robot(executed_topic='', command_type='sensor_msgs/msg/JointState',
                interface=interface)

    result = rows(factory, tmp_path, arm)
    np.testing.assert_array_equal(result.episodes[0].actions[:-1], [values] * 3)
    assert any('/commands: 1 messages for other joints' in note for note in result.notes)


def test_commands_sent_by_hand_are_held_until_the_controller_times_out(tmp_path):
    """Teleoperation sends when it likes; what it sent is in force for command_hold_s."""
    factory = StreamFactory().steps(20)
    factory.array(at(0), (1, 2))
    factory.array(at(2.2), (3, 4))
    arm = robot(executed_topic='', clocks={'command': 'receive'}, command_hold_s=0.25)

    result = rows(factory, tmp_path, arm)
    [episode] = result.episodes
    np.testing.assert_array_equal(episode.actions[:-1, 0], [1, 1, 3, 3, 3, 3, 3])
    assert result.dropped == {'no command in force, the last one ran out': 12}


def test_a_command_of_another_length_is_refused(tmp_path):
    """A Float64MultiArray names no joints, so its length is all there is to check."""
    factory = StreamFactory().steps(4)
    factory.array(at(0), (1, 2, 3))
    arm = robot(executed_topic='', clocks={'command': 'receive'})
    with pytest.raises(BagError, match='1 of 1 commands on /commands .* has 3 values for the '
                       '2 joints shoulder, wrist'):
        read(factory, tmp_path, arm)


def test_motion_that_the_action_leaves_out_is_said(tmp_path):
    """A base told to go sideways is not described by forward and turn alone."""
    factory = StreamFactory().drive(5)
    factory.twist(at(2.2), 0, 0, sideways=0.3)
    assert any('linear.y was commanded too, but is not in joint_names' in note
               for note in rows(factory, tmp_path, diff_drive()).notes)


def test_state_joints_may_differ_from_the_commanded_ones(tmp_path):
    """A base that reports its wheels has P wheels and A twist components."""
    factory = StreamFactory().drive(5)
    for index in range(5):
        factory.joints(at(index), (index, 2 * index, 3 * index), np.zeros(3),
                       names=('left', 'right', 'lidar'))
    arm = diff_drive(joint_state_topic='joint_states', state_type='sensor_msgs/msg/JointState',
                     state_joint_names=['right', 'lidar', 'left'])

    [episode] = rows(factory, tmp_path, arm).episodes
    assert episode.positions[3].tolist() == [6, 9, 3]


# -- topics and pictures ------------------------------------------------------------------------

def test_two_types_on_one_topic_are_refused_unless_selected(tmp_path):
    """A raw and a compressed stream under one name are two cameras to a reader."""
    factory = BagFactory().steps(4)
    for index in range(4):
        factory.add('/image', 'sensor_msgs/msg/CompressedImage', at(index), format='jpeg',
                    data=np.zeros(4, np.uint8))
    path = factory.write(tmp_path / 'bag')
    with Bag(path) as bag:
        with pytest.raises(BagError, match='several types: sensor_msgs/msg/CompressedImage, '
                                           'sensor_msgs/msg/Image; select one with image_type'):
            read_streams(bag, robot())
        streams = read_streams(bag, robot(image_type='sensor_msgs/msg/Image'))
        assert [int(rgb.mean()) for _, rgb in read_frames(bag, streams, range(4))] == [0, 1, 2, 3]


def test_two_publishers_are_refused_unless_selected(tmp_path):
    """Two cameras that publish on one topic show by their frame_id."""
    factory = BagFactory().steps(6)
    for _, _, _, message in [one for one in factory.messages if one[0] == '/image'][::2]:
        message.header.frame_id = 'left'
    with pytest.raises(BagError, match=r"/image have several frame_ids \('', 'left'\), .* set "
                                       r'shared_topics: \[image\]'):
        read(factory, tmp_path)
    assert rows(factory, tmp_path / 'again', robot(shared_topics=['image'])).rows == 6


def test_joints_without_ours_are_skipped_and_counted(tmp_path):
    """A gripper that shares the topic, even with a clock of its own, changes nothing."""
    factory = BagFactory().steps(5)
    factory.joints(5, (1,), (), names=('gripper',))
    result = rows(factory, tmp_path)

    assert result.rows == 5
    assert result.notes == ("/joint_states: 1 messages without the joints of 'arm'",)


def test_frames_are_decoded_one_by_one(tmp_path):
    """Encoding and size may change between frames; the shape of the view may not."""
    factory = BagFactory().steps(2)
    factory.image(at(2), 9, size=16, encoding='bgr8')
    factory.add('/image', 'sensor_msgs/msg/Image', at(3), height=6, width=8, encoding='rgb8',
                is_bigendian=0, step=24, data=np.zeros(144, np.uint8))
    with Bag(factory.write(tmp_path / 'bag')) as bag:
        streams = read_streams(bag, robot())
        frames = dict(read_frames(bag, streams, [0, 1, 2], size=4))
        assert {index: (rgb.shape, int(rgb.mean())) for index, rgb in frames.items()} == {
            0: ((4, 4, 3), 0), 1: ((4, 4, 3), 1), 2: ((4, 4, 3), 9)}
        with pytest.raises(ImageError, match='frame 3 of /image: the view changes its shape from '
                                             '8x8 to 8x6 px'):
            list(read_frames(bag, streams, range(4)))


def test_pictures_without_colours_need_an_assumption(tmp_path):
    """8UC3 has three channels of nobody knows what."""
    factory = BagFactory().steps(2)
    factory.add('/image', 'sensor_msgs/msg/Image', at(2), height=2, width=2, encoding='8UC3',
                is_bigendian=0, step=6, data=np.tile(np.array([1, 2, 3], np.uint8), 4))
    with Bag(factory.write(tmp_path / 'bag')) as bag:
        with pytest.raises(ImageError, match='frame 2 of /image: .*assume_encoding'):
            list(read_frames(bag, read_streams(bag, robot()), [2]))
        streams = read_streams(bag, robot(assume_encoding='bgr8'))
        [(_, rgb)] = read_frames(bag, streams, [2])
    assert rgb[0, 0].tolist() == [3, 2, 1]
