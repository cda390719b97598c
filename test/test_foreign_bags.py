"""What recordings of other tools taught: each fault was met in a public bag, see docs/results."""

from __future__ import annotations

import struct

from bag_factory import BagFactory, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from mcap_builder import build, channel, HEAD, MAGIC, message, record, schema
import pytest
from rosbags.rosbag2 import StoragePlugin

STRING = 'std_msgs/msg/String'
HELLO = b'\0\1\0\0\6\0\0\0hello\0'


def chunked(records: bytes) -> bytes:
    """Pack records into an uncompressed chunk without a checksum."""
    return record(6, struct.pack('<QQQI', 7, 7, len(records), 0) + struct.pack('<I', 0)
                  + struct.pack('<Q', len(records)) + records)


def with_summary(data: bytes, summary: bytes) -> bytes:
    """Finish a file; no checksums."""
    data += record(15, struct.pack('<I', 0))
    return data + summary + record(2, struct.pack('<QQI', len(data), 0, 0)) + MAGIC


@pytest.mark.parametrize('statistics', [True, False])
def test_a_summary_may_repeat_channels_without_their_schemas(statistics, tmp_path):
    """The schemas then stand in the chunks alone; no message may be lost for that."""
    piece = chunked(schema(1, STRING, 'string data') + channel(1, 1, '/talk')
                    + message(1, 7, HELLO))
    index = record(8, struct.pack('<QQQQIQ', 7, 7, len(HEAD), len(piece), 0, 0)
                   + struct.pack('<I', 0) + struct.pack('<QQ', 0, 0))
    counts = record(11, struct.pack('<QHIIIIQQ', 1, 1, 1, 0, 0, 1, 7, 7)
                    + struct.pack('<I', 10) + struct.pack('<HQ', 1, 1))
    path = tmp_path / 'a.mcap'
    path.write_bytes(with_summary(HEAD + piece, channel(1, 1, '/talk') + index
                                  + counts * statistics))
    with Bag(path) as bag:
        assert [(topic.name, topic.type, topic.count) for topic in bag.topics] == [
            ('/talk', STRING, 1)]
        assert [bag.decode(raw, STRING).data for _, _, raw in bag.raw_messages()] == ['hello']
        assert bag.notes == ()


def test_a_channel_with_two_meanings_is_still_damage(tmp_path):
    """What may be completed later may not be contradicted."""
    path = tmp_path / 'a.mcap'
    path.write_bytes(with_summary(HEAD + chunked(
        schema(1, STRING, 'string data') + channel(1, 1, '/talk') + message(1, 7, HELLO)
        + channel(1, 1, '/other') + message(1, 8, HELLO)), b''))
    with Bag(path) as bag:
        assert len(list(bag.raw_messages())) == 1
        assert 'channel 1 has two meanings' in bag.notes[0]


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_short_type_names_are_completed(storage, tmp_path):
    """Old recordings and some converters write sensor_msgs/Image for sensor_msgs/msg/Image."""
    factory = BagFactory()
    factory.image(START_NS, 80)
    path = factory.write(tmp_path / 'bag', storage=storage)
    (path / 'metadata.yaml').unlink()
    if storage is StoragePlugin.MCAP:
        path = path / 'bag.mcap'
        (topic, kind, time_ns, raw), = factory.serialized()
        definition = 'uint8 nothing'   # decides, whatever is known of the type
        path.write_bytes(with_summary(HEAD + schema(1, 'sensor_msgs/Image', definition)
                                      + channel(1, 1, topic) + message(1, time_ns, raw[:5]), b''))
    else:
        import sqlite3
        file, = path.glob('*.db3')
        with sqlite3.connect(file) as database:
            database.execute("UPDATE topics SET type = 'sensor_msgs/Image'")
        database.close()
    with Bag(path) as bag:
        assert [topic.type for topic in bag.topics] == ['sensor_msgs/msg/Image']
        (_, _, raw), = bag.raw_messages()
        image = bag.decode(raw, 'sensor_msgs/msg/Image')
        if storage is StoragePlugin.MCAP:
            assert image.nothing == raw[4]
        else:
            assert set(image.data) == {80}


def test_other_encodings_are_named(tmp_path):
    """A file of JSON messages is not a file of damaged ROS messages."""
    path = tmp_path / 'a.mcap'
    path.write_bytes(with_summary(
        HEAD + schema(1, STRING, '{}', 'jsonschema') + channel(1, 1, '/talk', 'json')
        + message(1, 7, b'{"data": "hello"}'), b''))
    with Bag(path) as bag:
        assert "encoded as ['json'], ROS 2 records 'cdr'" in ' '.join(bag.notes)
        with pytest.raises(BagError, match="encoded as .'json'."):
            bag.decode(b'{}', STRING)


def test_a_message_with_other_fields_says_so(tmp_path):
    """Old recordings without definitions can hold older forms of a type."""
    path = tmp_path / 'a.mcap'
    path.write_bytes(build([('/range', 'sensor_msgs/msg/Range', 7, bytes(12))], definitions={
        'sensor_msgs/msg/Range': ''}))
    with Bag(path) as bag, pytest.raises(BagError, match='other fields .* are known here'):
        bag.decode(b'\0\1\0\0' + bytes(8), 'sensor_msgs/msg/Range')


def test_a_definition_that_cannot_be_parsed_is_quoted_in_part(tmp_path):
    """The note is one line, however long the definition."""
    path = tmp_path / 'a.mcap'
    path.write_bytes(build([('/a', 'x/msg/A', 7, bytes(5))], definitions={
        'x/msg/A': 'not a field definition ---\n' * 400}))
    with Bag(path) as bag:
        assert '\n' not in ''.join(bag.notes)
        assert len(''.join(bag.notes)) < 500


def test_times_beyond_those_of_ros_are_left_out(tmp_path):
    """MCAP has unsigned times; one of 2**63 ns or more is no time of any ROS clock."""
    path = tmp_path / 'a.mcap'
    path.write_bytes(build([('/talk', STRING, 7, HELLO), ('/talk', STRING, 2 ** 63, HELLO)]))
    with Bag(path) as bag:
        assert [time_ns for _, time_ns, _ in bag.raw_messages()] == [7]
        assert '1 messages' in bag.notes[0] and 'beyond the year 2262' in bag.notes[0]
