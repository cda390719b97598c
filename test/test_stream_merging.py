"""Joints spread over topics and messages, and what is left out, offline."""

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings import synchronize as module
from lewm_model.recordings.clock_checks import AHEAD_NS
from lewm_model.recordings.commands import Order
from lewm_model.recordings.merge_commands import merge_commands
from lewm_model.recordings.streams import AHEAD, read_streams
from lewm_model.recordings.suggest_robot import suggest_robot
from lewm_model.recordings.synchronize import synchronize
from lewm_model.robots.robot import FLOAT_ARRAY, JOINT_COMMAND, JOINT_STATE, JOINT_TRAJECTORY
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from stream_factory import StreamFactory
from stream_reading import at, CONFIG, read, rows
import yaml

JOINTS = ('shoulder', 'wrist', 'grip')
SENT = {'executed_topic': '', 'interface': 'joint_position', 'clocks': {'command': 'receive'}}
LIMITS = {name: [bound] * 3 for name, bound in (
    ('min_command', -99), ('max_command', 99), ('max_rate', 1), ('stop_rate', 2))}


def arm(**changes):
    """Return three joints commanded by position, on one topic."""
    return robot(**{**SENT, **LIMITS, 'joint_names': list(JOINTS), 'command_topic': 'commands',
                    **changes})


def arm_and_gripper(**changes):
    """Return the same joints; the gripper has a topic and a type of its own."""
    return arm(**{'command_topic': '', 'command_type': '', 'commands': [
        {'topic': 'arm', 'type': FLOAT_ARRAY, 'joints': ['shoulder', 'wrist']},
        {'topic': 'grip', 'type': JOINT_TRAJECTORY, 'joints': ['grip']}], **changes})


def driven(count: int, command) -> StreamFactory:
    """Frames and joint states (i, -i, 2 i); `command(factory, step, receipt)` adds commands."""
    factory = StreamFactory()
    for index in range(count):
        factory.image(at(index), index)
        factory.joints(at(index), (index, -index, 2 * index), (0, 0, 0), names=JOINTS)
        command(factory, index, at(index) + 1_000_000)
    return factory


def test_arm_and_gripper_are_read_from_topics_of_their_own(tmp_path):
    """Each holds its last command: a gripper told to close once stays closed."""
    def command(factory, index, received_ns):
        factory.array(received_ns, (index, 10 * index), topic='/arm')
        if index in (0, 6):
            factory.trajectory(received_ns + 1000, [(0.05, [index + 0.5])], names=['grip'],
                               topic='/grip')
    [episode] = rows(driven(20, command), tmp_path, arm_and_gripper(command_hold_s=0.1)).episodes

    assert len(episode.stamps_ns) == 20
    np.testing.assert_array_equal(episode.actions[:-1], [
        (index, 10 * index, 0.5 if index < 6 else 6.5) for index in range(19)])


def test_commands_in_turn_on_one_topic_are_put_together(tmp_path):
    """First the gripper, then the arm, by name; what a message does not name keeps its order."""
    def command(factory, index, received_ns):
        factory.trajectory(received_ns, [(0.05, [index])], names=['grip'], topic='/commands')
        factory.trajectory(received_ns + 1000, [(0.05, [-index, 2 * index])],
                           names=['wrist', 'shoulder'], topic='/commands')
    result = rows(driven(12, command), tmp_path, arm(command_type=JOINT_TRAJECTORY))

    np.testing.assert_array_equal(result.episodes[0].actions[:-1],
                                  [(2 * index, -index, index) for index in range(11)])


def test_a_speed_ends_with_its_own_timeout(tmp_path):
    """A controller of speeds stops a joint that is no longer commanded; nothing is held for it."""
    def command(factory, index, received_ns):
        factory.array(received_ns, (index, index), topic='/arm')
        if index < 5:
            factory.array(received_ns + 1000, (1,), topic='/grip')
    speeds = arm_and_gripper(interface='joint_velocity', command_hold_s=0.1, commands=[
        {'topic': 'arm', 'type': FLOAT_ARRAY, 'joints': ['shoulder', 'wrist']},
        {'topic': 'grip', 'type': FLOAT_ARRAY, 'joints': ['grip']}])
    result = rows(driven(12, command), tmp_path, speeds)

    assert [len(episode.stamps_ns) for episode in result.episodes] == [7]
    assert result.dropped == {module.RAN_OUT: 5}


def test_a_joint_that_nobody_commands_is_named(tmp_path):
    """Its action would be a guess; a topic that is missing is named with the key to correct."""
    def command(factory, index, received_ns):
        factory.trajectory(received_ns, [(0.05, [index, index])], names=['wrist', 'shoulder'],
                           topic='/commands')
    with pytest.raises(BagError, match='no command on /commands is for grip; correct joint_na'):
        read(driven(5, command), tmp_path / 'a', arm(command_type=JOINT_TRAJECTORY))
    with pytest.raises(BagError, match=r"no messages on topic 'arm' \(commands\)"):
        read(driven(5, command), tmp_path / 'b', arm_and_gripper())


@pytest.mark.parametrize('seed', range(15))
def test_merged_commands_are_the_newest_order_of_each_joint(seed):
    """Property: whatever subsets are commanded when, every joint has its own newest order."""
    rng = np.random.default_rng(seed)
    positions = bool(seed % 2)
    machine = arm(interface='joint_position' if positions else 'joint_effort')
    stamps = np.sort(rng.integers(0, 1000, 60)) * 1000 + np.arange(60)
    kinds = [tuple(sorted(rng.choice(3, rng.integers(1, 4), replace=False).tolist()))
             for _ in range(rng.integers(1, 4))]
    orders, sent = [], []
    for stamp in stamps.tolist():
        joints, hold = kinds[rng.integers(len(kinds))], int(rng.integers(1, 100_000))
        values = rng.normal(0, 1, len(joints))
        orders.append(Order(joints, [(0, hold, values)]))
        sent.append((stamp, stamp + hold, dict(zip(joints, values, strict=True))))

    merged = merge_commands(machine, orders, stamps, np.zeros(60, int))

    assert (np.diff(merged.starts_ns) > 0).all()
    np.testing.assert_array_equal(merged.starts_ns, stamps)
    for row, now in enumerate(stamps.tolist()):
        newest = [next(((values[joint], end) for start, end, values in reversed(sent)
                        if start <= now and joint in values), (np.nan, None))
                  for joint in range(3)]
        np.testing.assert_array_equal(merged.actions[row], [value for value, _ in newest])
        ends = [end for _, end in newest if end is not None]
        assert merged.ends_ns[row] == (max(ends) if positions else min(ends))


def test_joint_states_in_two_messages_are_interpolated_each_between_its_own(tmp_path):
    """The gripper reports 7 ms after the arm; nothing of one is put on the other."""
    factory = StreamFactory()
    for index in range(15):
        factory.image(at(index), index)
        factory.array(at(index) + 1_000_000, (1, 2, 3))
    for step in np.arange(-1, 15, 0.5):
        factory.joints(at(step + 0.1), (step + 0.1, -step - 0.1), names=JOINTS[:2])
        factory.joints(at(step + 0.24), (10 * step + 2.4,), (5,), names=JOINTS[2:])
    [episode] = rows(factory, tmp_path, arm()).episodes

    steps = np.arange(15)
    np.testing.assert_allclose(episode.positions, np.stack([steps, -steps, 10 * steps], 1),
                               atol=1e-6)
    assert np.isfinite(episode.velocities).all()


def test_a_part_that_falls_silent_is_missing(tmp_path):
    """The arm goes on, the gripper does not: its old position counts for nothing."""
    factory = driven(20, lambda factory, index, received_ns: factory.array(
        received_ns, (1, 2, 3)))
    factory.messages = [one for one in factory.messages if one[0] != '/joint_states']
    for step in range(-1, 21):
        factory.joints(at(step), (step, -step), names=JOINTS[:2])
        if step < 9:
            factory.joints(at(step), (step,), (0,), names=JOINTS[2:])
    result = rows(factory, tmp_path, arm())

    assert [len(episode.stamps_ns) for episode in result.episodes] == [9]
    assert result.dropped == {module.NO_JOINTS: 11}


@pytest.mark.parametrize(('bad', 'text'), [
    ((), '1 messages left out, the first: a command has 0 values for the 2 joints'),
    ((1, 2, 3), 'a command has 3 values for the 2 joints shoulder, wrist')])
def test_a_broken_command_is_left_out_and_counted(tmp_path, bad, text):
    """The controller refuses it, so the command before stays in force."""
    factory = BagFactory.steps(StreamFactory(), 20)
    for index in range(20):
        factory.array(at(index) + 1_000_000, bad if index == 7 else (index, index))
    sent = robot(executed_topic='', clocks={'command': 'receive'})
    result = rows(factory, tmp_path, sent)

    [episode] = result.episodes
    np.testing.assert_array_equal(
        episode.actions[:-1, 0], [index if index != 7 else 6 for index in range(19)])
    assert any(text in note for note in result.notes), result.notes


def test_too_many_broken_commands_refuse_the_bag(tmp_path):
    """Above the share that is allowed it is no accident; the message says how to allow more."""
    factory = BagFactory.steps(StreamFactory(), 20)
    for index in range(20):
        factory.array(at(index) + 1_000_000, (np.nan, 1) if index % 4 == 0 else (1, 1))
    sent = robot(executed_topic='', clocks={'command': 'receive'})
    with pytest.raises(BagError, match=r'5 of 20 commands on /commands cannot be used \(the '
                                       r'first: .*not finite\).*--max-bad-share \(now 0.1\)'):
        read(factory, tmp_path, sent)


def states_of(position, count=20, every=1, **fields):
    """Return steps with further joint states: `position(i)` 7 ms after the driver's."""
    factory = BagFactory().steps(count)
    for index in range(0, count, every):
        factory.joints(at(index) + 7_000_000, position(index), **fields)
    return factory


def test_two_publishers_of_the_same_joints_are_refused(tmp_path):
    """Zeros among the truth would be blended with it; the message has both values."""
    factory = states_of(lambda index: (0, 0))
    with pytest.raises(BagError, match='two publishers share /joint_states: .* jumps between two '
                                       r'values and back, .*shared_topics: \[state\] for robot'):
        read(factory, tmp_path / 'a')
    assert rows(factory, tmp_path / 'b', robot(shared_topics=['state'])).rows == 20


def test_what_the_recorder_knew_of_publishers_is_told(tmp_path):
    """rosbag2 keeps the QoS of each publisher; their number says that two were there."""
    folder = states_of(lambda index: (0, 0)).write(tmp_path / 'bag')
    contents = yaml.safe_load((folder / 'metadata.yaml').read_text())
    for entry in contents['rosbag2_bagfile_information']['topics_with_message_count']:
        entry['topic_metadata']['offered_qos_profiles'] = [{'depth': 1}, {'depth': 10}]
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(contents))
    with Bag(folder) as bag:
        assert bag.publishers('/joint_states') == 2 and bag.publishers('/other') == 0
        with pytest.raises(BagError, match=r'share /joint_states \(metadata.yaml lists 2\): '):
            read_streams(bag, robot())


def test_two_frame_ids_of_the_same_joints_are_refused(tmp_path):
    """Though they agree, one of them may be a copy that comes late."""
    factory = BagFactory().steps(20)
    for *_, message in factory.messages:
        if hasattr(message, 'position'):
            message.header.frame_id = 'driver'
    factory.joints(at(3) + 7_000_000, (3, -3))
    with pytest.raises(BagError, match="is published with the frame_ids 'driver' .* and '' "):
        read(factory, tmp_path)


def test_malformed_joint_states_are_left_out_and_counted(tmp_path):
    """Four names and three positions say nothing of any joint; too many refuse the bag."""
    def with_bad(share):
        factory = BagFactory().steps(40)
        for index in range(0, 40, share):
            factory.joints(at(index) + 2_000_000, (7, 7, 7), names=('shoulder', 'x', 'wrist', 'y'))
        return factory
    result = rows(with_bad(20), tmp_path / 'a')
    [episode] = result.episodes
    np.testing.assert_array_equal(episode.positions[:, 0], np.arange(40))
    assert any('2 messages left out, the first: 4 names and 3 values' in note
               for note in result.notes)
    with pytest.raises(BagError, match='10 of 50 messages on /joint_states cannot be used'):
        read(with_bad(4), tmp_path / 'b')


def test_a_stamp_later_than_its_receipt_is_left_out(tmp_path):
    """A picture cannot be taken after it was received; a clock that is ahead refuses the bag."""
    def ahead(frames):
        factory = BagFactory().steps(60)
        for place, (topic, kind, received_ns, message) in enumerate(factory.messages):
            index = round((received_ns - START_NS) / DT_NS)
            if topic == '/image' and index in frames:
                message.header = factory.header(received_ns + 4 * 10 ** 9)
                factory.messages[place] = (topic, kind, received_ns, message)
        return factory
    result = rows(ahead([30]), tmp_path / 'a')
    assert [len(episode.stamps_ns) for episode in result.episodes] == [30, 29]
    assert result.dropped == {AHEAD: 1}
    with pytest.raises(BagError, match=r'30 of 60 header stamps on /image are later than the '
                                       r'receipt .* by up to 4.000 s.*clocks: {image: receive}'):
        read(ahead(range(30, 60)), tmp_path / 'b')


def test_all_clocks_ahead_together_pair_nothing_wrongly(tmp_path):
    """The recorder's own clock may be behind; what counts is that topics agree."""
    factory = BagFactory().steps(30)
    factory.messages = [(topic, kind, received_ns - 2 * AHEAD_NS, message)
                        for topic, kind, received_ns, message in factory.messages]
    result = rows(factory, tmp_path)
    assert (result.rows, result.dropped) == (30, {})


@pytest.mark.parametrize('period', [0.8, 0.9, 1.1, 1.2])
def test_a_camera_near_the_control_rate_is_refused(tmp_path, period):
    """Its frames would be stored as if they were a control step apart."""
    factory = BagFactory()
    for index in range(40):
        factory.image(at(period * index), index)
        factory.joints(at(period * index), (0, 0))
        factory.command(at(period * index), (0, 0))
    with pytest.raises(BagError, match=f'(slower than|near, but not at) the control rate.*'
                                       f'{0.05 * period:.4g} s'):
        rows(factory, tmp_path)


def test_a_camera_that_jitters_is_at_its_rate(tmp_path):
    """20 ms of jitter and lost frames at 10 Hz are no other rate."""
    rng = np.random.default_rng(0)
    for draw in range(10):
        factory = BagFactory()
        for index in np.flatnonzero(rng.random(60) > 0.03):
            stamp_ns = START_NS + int(index * 10 ** 8 + rng.uniform(0, 2e7))
            factory.image(stamp_ns, index)
            factory.command(stamp_ns, (0, 0))
        for index in range(150):
            factory.joints(START_NS + index * 5 * 10 ** 7 - 10 ** 8, (0, 0))
        assert len(read(factory, tmp_path / str(draw), robot(control_dt_s=0.1)).actions) > 40


def test_commands_of_joint_states_are_read_by_name_or_not_at_all(tmp_path):
    """Three names and two values are no command; the same function reads states and commands."""
    factory = BagFactory().steps(20)
    for index in range(20):
        factory.add('/js', JOINT_STATE, at(index) + 1_000_000, name=['wrist', 'x', 'shoulder'],
                    position=np.array([1.0, 2.0]), velocity=np.empty(0), effort=np.empty(0))
    with pytest.raises(BagError, match='20 of 20 commands on /js .* 3 names and 2 values of pos'):
        read(factory, tmp_path, robot(executed_topic='', interface='joint_position',
                                      command_topic='js', command_type=JOINT_STATE))


JOINT_COMMAND_FIELDS = """std_msgs/Header header
string[] joint_names
string interface_name
float64[] values
"""


def test_joint_commands_are_read_by_the_definition_in_the_bag(tmp_path):
    """control_msgs is not installed here: its message comes with the bag; interfaces differ."""
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(get_types_from_msg(JOINT_COMMAND_FIELDS, JOINT_COMMAND))
    plain = BagFactory().steps(20)
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        put = {kind: writer.add_connection(topic, kind, typestore=store) for topic, kind in (
            ('/image', 'sensor_msgs/msg/Image'), ('/joint_states', JOINT_STATE),
            ('/commands', JOINT_COMMAND))}
        for _, kind, stamp_ns, message in plain.messages:
            if kind in put:
                writer.write(put[kind], stamp_ns, store.serialize_cdr(message, kind))
        for index in range(20):
            for name, values in (('position', [index, -index]), ('velocity', [99.0, 99.0])):
                message = store.types[JOINT_COMMAND](
                    plain.header(at(index)), ['wrist', 'shoulder'], name, np.array(values, float))
                writer.write(put[JOINT_COMMAND], at(index) + 1_000_000,
                             store.serialize_cdr(message, JOINT_COMMAND))
    machine = robot(executed_topic='', command_type=JOINT_COMMAND, interface='joint_position')
    with Bag(tmp_path / 'bag') as bag:
        result = synchronize(read_streams(bag, machine), CONFIG)

    np.testing.assert_array_equal(result.episodes[0].actions[:-1],
                                  [(-index, index) for index in range(19)])
    assert '/commands: 20 messages for other joints, or of another interface' in result.notes
    with Bag(tmp_path / 'bag') as bag:
        text = suggest_robot(bag, 'mine')
    assert f'command_type: {JOINT_COMMAND}' in text and 'joint_names: [wrist, shoulder]' in text
    assert 'interface: joint_position              # or velocity, which was sent too' in text
