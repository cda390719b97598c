"""Recordings with types that are unknown, contradict each other or share a topic.

docs/bags.md quotes these tests.
"""

import sqlite3
import struct

from bag_factory import BagFactory, DT_NS, START_NS
from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.bags.interfaces import default_typestore
from lewm_model.errors import BagError
import mcap_builder
import pytest
from rosbags.rosbag2 import StoragePlugin

SERIALIZED = BagFactory().steps(4).serialized()


def test_definitions_inside_the_bag_are_used(tmp_path):
    """A type that nobody here has heard of decodes by the words the bag brings along."""
    path = tmp_path / 'bag.mcap'
    path.write_bytes(mcap_builder.build(
        [('/odd', 'odd_msgs/msg/Odd', 1, b'\0\1\0\0' + struct.pack('<i4xd', 5, 0.5))],
        definitions={'odd_msgs/msg/Odd': 'int32 count\nfloat64 level\n'}))
    with Bag(path) as bag:
        (_, _, raw), = bag.raw_messages()
        message = bag.decode(raw, 'odd_msgs/msg/Odd')
        assert (message.count, message.level) == (5, 0.5)
        assert bag.notes == ()


@pytest.mark.parametrize(('definition', 'reason'), [
    ('', 'is not known and the bag'), ('}{', 'cannot be understood'),
    ('other_msgs/msg/Lost[] lost', 'refers to other_msgs/msg/Lost, which is not known')])
def test_unknown_types_stay_raw_and_spoil_nothing(tmp_path, definition, reason):
    """Reported when opened, read as bytes when asked for, an error only when decoded."""
    odd = [('/odd', 'odd_msgs/msg/Odd', START_NS, b'\0\1\0\0\5\0\0\0')]
    definitions = {kind: default_typestore().generate_msgdef(kind, ros_version=2)[0]
                   for _, kind, _, _ in SERIALIZED}
    path = tmp_path / 'bag.mcap'
    path.write_bytes(mcap_builder.build(
        odd + SERIALIZED, definitions={**definitions, 'odd_msgs/msg/Odd': definition}))
    with Bag(path) as bag:
        assert len(bag.notes) == 1
        assert '/odd: its 1 messages of type odd_msgs/msg/Odd can be read as bytes' in bag.notes[0]
        assert reason in bag.notes[0]
        assert [raw for _, _, raw in bag.raw_messages('/odd')] == [odd[0][3]]
        with pytest.raises(BagError, match=reason):
            bag.decode(odd[0][3], 'odd_msgs/msg/Odd')
        _, stamp_ns, raw = next(bag.raw_messages('/image'))
        image = bag.decode(raw, 'sensor_msgs/msg/Image')
        assert image.encoding == 'rgb8'
        assert header_stamp_ns(raw) == stamp_ns


def test_splits_that_define_one_type_differently_are_not_guessed(tmp_path):
    """Which definition holds for which message is not known, so that type stays raw."""
    path = tmp_path / 'bag'
    path.mkdir()
    for part, field in enumerate(('int32', 'int16')):
        (path / f'bag_{part}.mcap').write_bytes(mcap_builder.build(
            [('/odd', 'odd_msgs/msg/Odd', part, b'\0\1\0\0\5\0\0\0')],
            definitions={'odd_msgs/msg/Odd': f'{field} value'}))
    with Bag(path) as bag:
        assert len(list(bag.raw_messages())) == 2
        assert any('several definitions' in note for note in bag.notes)
        with pytest.raises(BagError, match='contradict each other'):
            bag.decode(b'\0\1\0\0\5\0\0\0', 'odd_msgs/msg/Odd')


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_one_topic_with_two_types_can_be_selected(tmp_path, storage):
    """Both are listed and noted; an entry of `topics` chooses one of them."""
    factory = BagFactory().steps(2)
    factory.add('/image', 'sensor_msgs/msg/CompressedImage', START_NS + DT_NS, format='jpeg',
                data=factory.messages[0][3].data)
    with Bag(factory.write(tmp_path / 'bag', storage=storage)) as bag:
        both = [topic for topic in bag.topics if topic.name == '/image']
        assert [(topic.type, topic.count) for topic in both] == [
            ('sensor_msgs/msg/CompressedImage', 1), ('sensor_msgs/msg/Image', 2)]
        assert any('/image: was recorded with several types' in note for note in bag.notes)
        assert len(list(bag.raw_messages('/image'))) == 3
        (_, _, raw), = bag.raw_messages(both[0])
        assert bag.decode(raw, both[0].type).format == 'jpeg'


def test_two_publishers_of_one_topic_are_one_topic(tmp_path):
    """The same name and type recorded twice, as two publishers or two splits do."""
    path = BagFactory().steps(3).write(tmp_path / 'bag', storage=StoragePlugin.SQLITE3)
    with sqlite3.connect(path / 'bag.db3') as database:
        database.execute('INSERT INTO topics SELECT 9, name, type, serialization_format, '
                         'offered_qos_profiles, type_description_hash FROM topics WHERE id = 1')
        database.execute('UPDATE messages SET topic_id = 9 WHERE id = 1')
    with Bag(path) as bag:
        assert [topic.count for topic in bag.topics if topic.name == '/image'] == [3]
        assert len(list(bag.raw_messages('/image'))) == 3
        assert bag.notes == ()
