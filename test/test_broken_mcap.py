"""MCAP files damaged in every way we could think of; docs/bags.md quotes these tests."""

import os
from pathlib import Path
import random
import signal
import struct
import subprocess
import sys
import tracemalloc

from bag_factory import BagFactory, DT_NS, START_NS
from lewm_model.bags import mcap_file, mcap_records, mcap_walk
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
import mcap_builder
import pytest
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

MESSAGES = BagFactory().steps(8).serialized()
TRUE = [(topic, time_ns, raw) for topic, _, time_ns, raw in MESSAGES]
FLAVOURS = {
    'zstd': {'packing': 'zstd'}, 'lz4': {'packing': 'lz4'}, 'uncompressed': {'packing': ''},
    'without chunks': {'per_chunk': None}, 'without checksums': {'crc': False},
    'without summary': {'summary': False},
}


def read(path: Path) -> tuple[list, tuple[str, ...]]:
    with Bag(path) as bag:
        messages = [(topic, time_ns, bytes(raw)) for topic, time_ns, raw in bag.raw_messages()]
        return messages, bag.notes


def read_bytes(tmp_path: Path, data: bytes) -> tuple[list, tuple[str, ...]]:
    path = tmp_path / 'file.mcap'
    path.write_bytes(data)
    return read(path)


@pytest.mark.parametrize('flavour', FLAVOURS)
def test_healthy_files_of_every_flavour_are_read_without_a_word(tmp_path, flavour):
    """Chunk compression, checksums and the summary are options of the writer, no damage."""
    messages, notes = read_bytes(tmp_path, mcap_builder.build(MESSAGES, **FLAVOURS[flavour]))
    assert (messages, notes) == (TRUE, ())


@pytest.mark.parametrize(('storage', 'compression'), [
    (storage, compression) for storage in StoragePlugin for compression in CompressionMode
    if storage == StoragePlugin.MCAP or compression != CompressionMode.STORAGE])
def test_healthy_bags_read_as_rosbags_reads_them(tmp_path, storage, compression):
    """Same messages, same order, same counts as the library, whatever is compressed."""
    factory = BagFactory()
    for step in range(60):   # 60 x 48 KiB: several chunks
        factory.image(START_NS + step * DT_NS, step, size=128)
        factory.joints(START_NS + step * DT_NS + 5, (step, 0))
    random.Random(1).shuffle(factory.messages)   # chunks overlap in time
    path = factory.write(tmp_path / 'bag', storage=storage, compression=compression)
    with Reader(path) as reader:
        expected = [(connection.topic, time_ns, bytes(raw))
                    for connection, time_ns, raw in reader.messages()]
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert len(expected) == 120
    messages, notes = read(path)
    assert messages == expected
    assert notes == ()
    with Bag(path) as bag:
        assert {topic.name: topic.count for topic in bag.topics} == counts
        assert [raw for _, _, raw in bag.raw_messages('/joint_states')] == [
            raw for topic, _, raw in expected if topic == '/joint_states']


@pytest.mark.parametrize('flavour', FLAVOURS)
def test_a_file_cut_short_anywhere_gives_a_prefix(tmp_path, flavour):
    """Whatever the offset: true messages in order, no less than at a smaller one, and a note."""
    data = mcap_builder.build(MESSAGES, **FLAVOURS[flavour])
    offsets = sorted({*range(0, len(data), 97), *range(0, 60), *range(len(data) - 45, len(data))})
    kept = 0
    for offset in offsets:
        messages, notes = read_bytes(tmp_path, data[:offset])
        assert messages == TRUE[:len(messages)], offset
        assert len(messages) >= kept, offset
        assert notes, offset
        assert offset == 0 or any(f'byte {offset}' in note for note in notes) or (
            'the summary at its end is missing' in notes[0]), (offset, notes)
        kept = len(messages)
    assert kept == len(TRUE)   # only the end mark is missing then


def test_the_beginning_of_the_last_chunk_is_kept(tmp_path):
    """Of an uncompressed chunk every whole message survives, not only every whole chunk."""
    data = mcap_builder.build(MESSAGES, packing='', per_chunk=1000, summary=False)
    half = data.index(MESSAGES[10][3])
    messages, notes = read_bytes(tmp_path, data[:half])
    assert messages == TRUE[:10]
    assert f'cut short at byte {half}' in notes[0]


@pytest.mark.parametrize('flavour', ['zstd', 'lz4', 'uncompressed', 'without summary'])
def test_flipped_bits_never_give_a_wrong_message(tmp_path, flavour):
    """With checksums, whatever byte is changed: only true messages, in order, or a clear error."""
    data = mcap_builder.build(MESSAGES, **FLAVOURS[flavour])
    generator = random.Random(7)
    first_chunk, lost = data.index(b'\x06', 8), 0
    for _ in range(150):
        damaged = bytearray(data)
        # Heads of schemas and channels outside of chunks have no checksum: leave the summary out.
        place = generator.randrange(first_chunk + 9 + 40, data.rindex(b'\x0f\x04') - 1)
        damaged[place] ^= 1 << generator.randrange(8)
        try:
            messages, notes = read_bytes(tmp_path, bytes(damaged))
        except BagError:
            continue
        remaining = iter(TRUE)
        assert all(message in remaining for message in messages), place
        assert notes or messages == TRUE, place
        lost += len(messages) < len(TRUE)
    assert lost > 50


def test_a_damaged_chunk_costs_only_itself(tmp_path):
    """The chunks behind it are read, and the note has its place."""
    data = bytearray(mcap_builder.build(MESSAGES, packing='', per_chunk=5))
    place = data.index(MESSAGES[7][3])
    data[place + 20] ^= 0xff
    messages, notes = read_bytes(tmp_path, bytes(data))
    assert messages == TRUE[:5] + TRUE[10:]
    assert len(notes) == 1
    assert 'its checksum is wrong' in notes[0]


def test_a_hole_is_jumped_over_with_the_help_of_the_summary(tmp_path):
    """Pages of zeros, as a power cut leaves them, lose their chunks and no others."""
    data = mcap_builder.build(MESSAGES, packing='', per_chunk=5)
    starts = [place for place in range(len(data)) if data[place:place + 1] == b'\x06'
              and data[place + 37:place + 41] == bytes(4)
              and struct.unpack_from('<Q', data, place + 9)[0] >= START_NS]
    hole = data[:starts[1]] + bytes(starts[2] - starts[1]) + data[starts[2]:]
    messages, notes = read_bytes(tmp_path, hole)
    assert messages == TRUE[:5] + TRUE[10:]
    assert f'bytes {starts[1]} to {starts[2]} hold no records' in notes[0]

    without = mcap_builder.build(MESSAGES, packing='', per_chunk=5, summary=False)
    hole = without[:starts[1]] + bytes(starts[2] - starts[1]) + without[starts[2]:]
    messages, notes = read_bytes(tmp_path, hole)
    assert messages == TRUE[:5]
    assert f'bytes {starts[1]} to {len(without)} hold no records' in notes[0]


def test_messages_out_of_order_are_sorted_by_receive_time(tmp_path, monkeypatch):
    """Over overlapping chunks too; beyond the window they come as recorded, with a note."""
    shuffled = MESSAGES.copy()
    random.Random(3).shuffle(shuffled)
    data = mcap_builder.build(shuffled, per_chunk=3)
    messages, notes = read_bytes(tmp_path, data)
    assert [time_ns for _, time_ns, _ in messages] == sorted(time for _, _, time, _ in MESSAGES)
    assert sorted(messages) == sorted(TRUE)
    assert notes == ()

    monkeypatch.setattr(mcap_file, 'REORDER_BYTES', 1000)
    messages, notes = read_bytes(tmp_path, data)
    assert sorted(messages) == sorted(TRUE)
    assert 'go back by more than the reorder window' in notes[0]


def test_duplicate_receive_times_keep_every_message(tmp_path):
    """Equal times are no duplicates: order of writing."""
    same = [(topic, kind, START_NS, raw) for topic, kind, _, raw in MESSAGES]
    messages, notes = read_bytes(tmp_path, mcap_builder.build(same))
    assert messages == [(topic, START_NS, raw) for topic, _, _, raw in MESSAGES]
    assert notes == ()


def test_decompression_bombs_are_not_unpacked(tmp_path, monkeypatch):
    """A chunk or message beyond the limit is left out with a note; a lie about it is damage."""
    monkeypatch.setattr(mcap_records, 'MAX_BLOCK_BYTES', 1 << 20)
    monkeypatch.setattr(mcap_walk, 'MAX_BLOCK_BYTES', 1 << 20)
    head = mcap_builder.HEAD
    good = mcap_builder.build(MESSAGES, summary=False)[len(head):]
    bomb = mcap_builder.message(1, START_NS, bytes(50 << 20))
    messages, notes = read_bytes(tmp_path, head + mcap_builder.chunk(bomb, [START_NS]) + good)
    assert messages == TRUE
    assert 'it would take 50 MiB decompressed, more than the 1 MiB accepted' in notes[0]

    lie = mcap_builder.chunk(bomb, [START_NS], stated_bytes=1000)
    messages, notes = read_bytes(tmp_path, head + lie + good)
    assert messages == TRUE
    assert 'it has 1001 bytes instead of 1000' in notes[0]


def test_compressed_messages_are_bounded_and_damaged_ones_left_out(tmp_path, monkeypatch):
    """Message compression shows in the bytes; what cannot be undone costs that message."""
    monkeypatch.setattr('lewm_model.bags.storage.MAX_BLOCK_BYTES', 1 << 16)
    packed = [(topic, kind, time_ns, mcap_builder.PACK['zstd'](raw))
              for topic, kind, time_ns, raw in MESSAGES]
    packed[3] = (*packed[3][:3], packed[3][3][:-4])
    packed[5] = (*packed[5][:3], mcap_builder.PACK['zstd'](bytes(1 << 17)))
    messages, notes = read_bytes(tmp_path, mcap_builder.build(packed))
    assert messages == [message for place, message in enumerate(TRUE) if place not in (3, 5)]
    assert len(notes) == 2
    assert 'damaged or too large' in notes[0]


def test_definitions_that_contradict_each_other_are_damage(tmp_path):
    """A channel that changes its meaning half-way does not change what was read before."""
    data = mcap_builder.build(MESSAGES, summary=False)
    other = mcap_builder.chunk(mcap_builder.channel(1, 2, '/other')
                               + mcap_builder.message(1, START_NS, b'\0\1\0\0'), [START_NS])
    end = len(data) - mcap_records.FOOTER_BYTES - 13
    messages, notes = read_bytes(tmp_path, data[:end] + other + data[end:])
    assert messages == TRUE
    assert 'channel 1 has two meanings' in notes[0]


def test_messages_without_a_channel_are_counted(tmp_path):
    """With the first chunk the names of its topics are gone; nobody guesses them."""
    data = mcap_builder.build(MESSAGES, packing='', summary=False)
    place = data.index(MESSAGES[0][3]) + 2
    damaged = data[:place] + b'\xff' + data[place + 1:]
    messages, notes = read_bytes(tmp_path, damaged)
    assert messages == []
    assert 'its checksum is wrong' in notes[0]
    assert '5 messages at bytes' in notes[1]
    assert 'channels whose description is lost' in notes[1]


@pytest.mark.parametrize('flavour', [*FLAVOURS, 'sqlite3'])
def test_memory_does_not_grow_with_the_length(tmp_path, flavour):
    """Eight times the recording, the same peak: a few chunks, and some bytes for each chunk."""
    peaks = []
    for count in (40, 320):
        factory = BagFactory()
        for step in range(count):
            factory.image(START_NS + step * DT_NS, step % 256, size=128)
        if flavour == 'sqlite3':
            path = factory.write(tmp_path / str(count), storage=StoragePlugin.SQLITE3)
        else:
            path = tmp_path / f'{count}.mcap'
            path.write_bytes(mcap_builder.build(
                factory.serialized(), **{'per_chunk': 10, **FLAVOURS[flavour]}))
        del factory
        tracemalloc.start()
        try:
            with Bag(path) as bag:
                assert sum(1 for _ in bag.raw_messages()) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + (1 << 20), peaks


def test_what_is_no_mcap_file_is_said(tmp_path):
    """A wrong beginning is an error, a beginning cut short is an empty recording."""
    with pytest.raises(BagError, match='none of its files can be read: .*no MCAP file'):
        read_bytes(tmp_path, b'PK\3\4 something else')
    assert read_bytes(tmp_path, mcap_builder.MAGIC[:5])[0] == []


def test_a_killed_writer_leaves_its_finished_chunks(tmp_path):
    """SIGKILL in the middle of recording: what was on disk is read, in order, without gaps."""
    script = (
        'import sys; sys.path[:0] = sys.argv[2:]\n'
        'from bag_factory import BagFactory\n'
        'from rosbags.rosbag2 import Writer\n'
        'from lewm_model.bags.interfaces import default_typestore\n'
        'factory, store = BagFactory(), default_typestore()\n'
        'with Writer(sys.argv[1], version=9, storage_plugin=2) as writer:\n'
        '    c = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=store)\n'
        '    for step in range(10 ** 9):\n'
        '        factory.messages.clear(); factory.image(step + 1, step % 256, size=128)\n'
        '        message = factory.messages[0][3]\n'
        '        writer.write(c, step + 1, store.serialize_cdr(message, c.msgtype))\n'
        '        print(step, flush=True)\n')
    here = Path(__file__).parent
    with subprocess.Popen([sys.executable, '-c', script, tmp_path / 'bag', here, here.parent],
                          stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 100:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.stdout.read()
    messages, notes = read(tmp_path / 'bag')
    assert len(messages) > 60
    assert [time_ns for _, time_ns, _ in messages] == list(range(1, len(messages) + 1))
    assert all(set(raw[-100:]) == {(time_ns - 1) % 256} for _, time_ns, raw in messages)
    assert 'metadata.yaml is missing' in notes[0]
    assert 'byte' in notes[1]
