"""Writing episodes, without ROS: the file format, the queue, and every way a disk can fail."""

from contextlib import contextmanager
import os
from pathlib import Path
import resource
import shutil
import struct
import subprocess
import sys
import threading
from types import SimpleNamespace

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_ros.recording.bag_thread import BagThread, WriterSettings
from lewm_ros.recording.bag_writer import BagWriter, RecordedTopic
from lewm_ros.recording.buttons import Buttons
from lewm_ros.recording.episode import (
    checked_metadata,
    DISCARDED_FOLDER,
    episode_name,
    next_index,
)
from lewm_ros.recording.mcap_writer import McapWriter
from lewm_ros.wire.checks import MessageError
import numpy as np
import pytest
import yaml

NEVER = {'sec': 9223372036, 'nsec': 854775807}
QOS = {'history': 'unknown', 'depth': 0, 'reliability': 'reliable', 'durability': 'volatile',
       'deadline': NEVER, 'lifespan': NEVER, 'liveliness': 'automatic',
       'liveliness_lease_duration': NEVER, 'avoid_ros_namespace_conventions': False}


def topic(name: str) -> RecordedTopic:
    return RecordedTopic(name, 'std_msgs/msg/UInt64', 'ros2msg', 'uint64 data\n', 'RIHS01_00',
                         (QOS,))


NUMBERS, MORE = topic('/numbers'), topic('/more')
EAGER = WriterSettings(min_free_bytes=0, chunk_s=0.01, sync_s=0.0)


def message(number: int, padding: int = 0) -> bytes:
    return b'\0\1\0\0' + struct.pack('<Q', number) + bytes(padding)


def recorded(path: Path, name: str = '/numbers') -> list[int]:
    with Bag(path) as bag:
        return [struct.unpack_from('<Q', raw, 4)[0] for _, _, raw in bag.raw_messages(name)]


def write_file(path: Path, count: int, **options) -> McapWriter:
    writer = McapWriter(path, **options)
    channel = writer.add_channel(writer.add_schema('std_msgs/msg/UInt64', 'ros2msg',
                                                   'uint64 data\n'), '/numbers', {})
    for number in range(count):
        writer.write(channel, 1000 + number, 900 + number, number, message(number))
    return writer


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_what_is_written_is_read(tmp_path, compression):
    """Every message of two topics, in order, with counts, times and QoS in metadata.yaml."""
    bag = BagWriter(tmp_path, 'episode', compression=compression, chunk_bytes=2000)
    topics = [bag.add_topic(NUMBERS), bag.add_topic(MORE)]
    for number in range(500):
        bag.write(topics[number % 5 == 0], 1000 + number, 0, number, message(number))
    bag.close({'outcome': 'SUCCESS'})

    assert recorded(bag.path, '/more') == list(range(0, 500, 5))
    assert recorded(bag.path) == [n for n in range(500) if n % 5]
    about = yaml.safe_load((bag.path / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information']
    assert about['message_count'] == about['files'][0]['message_count'] == 500
    assert about['starting_time']['nanoseconds_since_epoch'] == 1000
    assert about['duration']['nanoseconds'] == 499
    assert {item['topic_metadata']['name']: item['message_count']
            for item in about['topics_with_message_count']} == {'/numbers': 400, '/more': 100}
    assert about['topics_with_message_count'][0]['topic_metadata'][
        'offered_qos_profiles'] == [QOS]
    assert about['custom_data'] == {'outcome': 'SUCCESS'}


def test_another_reader_agrees(tmp_path):
    """The `rosbags` library, which trusts our index, finds the messages, types and QoS."""
    from rosbags.interfaces import QosReliability
    from rosbags.rosbag2 import Reader

    bag = BagWriter(tmp_path, 'episode', chunk_bytes=500)
    number = bag.add_topic(NUMBERS)
    for count in range(100):
        bag.write(number, 5000 - count, 0, count, message(count))  # received in reverse order
    bag.close({})
    with Reader(bag.path) as reader:
        assert reader.message_count == 100
        assert reader.start_time == 4901
        times = [stamp for _, stamp, _ in reader.messages()]
        assert times == list(range(4901, 5001))
        (connection,) = reader.connections
        assert (connection.msgtype, connection.digest) == ('std_msgs/msg/UInt64', 'RIHS01_00')
        assert connection.ext.offered_qos_profiles[0].reliability is QosReliability.RELIABLE


def test_a_file_cut_anywhere_keeps_its_whole_chunks(tmp_path):
    """Whatever the length that a crash left: the messages are the first ones, none twice."""
    whole = tmp_path / 'whole.mcap'
    writer = write_file(whole, 300, chunk_bytes=1000)
    writer.flush()
    data = whole.read_bytes()
    writer.abort()
    generator = np.random.default_rng(0)
    counts = []
    for cut in sorted(generator.integers(600, len(data), 30)):
        path = tmp_path / 'cut.mcap'
        path.write_bytes(data[:cut])
        found = recorded(path)
        assert found == list(range(len(found)))
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] > 250


@pytest.mark.parametrize('name', ['', '..', '.hidden', 'a/b', '../a', 'a b', 'x' * 200, 'a\0'])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    """Only plain names; nothing appears outside the root, or in it."""
    with pytest.raises(BagError, match='named by letters'):
        BagWriter(tmp_path / 'root', name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    """A second bag of the same name is refused and the first stays as it is."""
    first = BagWriter(tmp_path, 'episode')
    first.write(first.add_topic(NUMBERS), 1, 1, 0, message(7))
    first.close({})
    with pytest.raises(BagError, match='File exists'):
        BagWriter(tmp_path, 'episode')
    assert recorded(first.path) == [7]


def put_numbers(thread: BagThread, count: int, padding: int = 0) -> int:
    return sum(thread.put(NUMBERS, number, number, number, message(number, padding))
               for number in range(count))


@contextmanager
def largest_file(size: int):
    """Let no file of this process grow beyond `size`, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_may_not_grow_keeps_what_it_has(tmp_path):
    """The thread ends with the reason and takes no more; the file has the first messages."""
    bag = BagWriter(tmp_path, 'episode', chunk_bytes=10_000)
    with largest_file(100_000):
        thread = BagThread(bag, EAGER)
        accepted = put_numbers(thread, 2000, padding=100)
        thread.finish({})
        thread.join()
    report = thread.report()
    assert 'File too large' in report.error
    assert not thread.put(NUMBERS, 0, 0, 0, message(0))
    found = recorded(bag.path)
    assert found == list(range(len(found)))
    assert 500 < len(found) == report.messages
    assert accepted <= 2000


def test_a_full_disk_keeps_what_it_has(tmp_path):
    """On a file system of 1 MB: whole chunks stay readable, and the error names the disk."""
    root = tmp_path / 'disk'
    root.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root],
                             capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip('may not mount a file system here')
    try:
        bag = BagWriter(root, 'episode', chunk_bytes=50_000)
        thread = BagThread(bag, EAGER)
        put_numbers(thread, 2000, padding=1000)
        thread.finish({})
        thread.join()
        assert 'No space left' in thread.report().error
        found = recorded(bag.path)
        assert found == list(range(len(found)))
        assert 800 < len(found) == thread.report().messages
        with pytest.raises(OSError, match='No space left'):
            (root / 'rest').write_bytes(bytes(1 << 20))
        with pytest.raises(BagError, match='No space left'):
            BagWriter(root, 'another')
        assert not (root / 'another').exists()
        subprocess.run(['mount', '-o', 'remount,ro', root], check=True)
        with pytest.raises(BagError, match='Read-only file system'):
            BagWriter(root, 'third')
    finally:
        subprocess.run(['umount', root], check=True)


def test_recording_ends_properly_before_the_disk_is_full(tmp_path):
    """Below the reserve the bag gets its index and metadata.yaml, and the reason."""
    bag = BagWriter(tmp_path, 'episode')
    thread = BagThread(bag, WriterSettings(min_free_bytes=1 << 60, chunk_s=0.01))
    put_numbers(thread, 10)
    thread.join()  # by itself
    assert 'recording ends at' in thread.report().error
    assert recorded(bag.path) == list(range(10))
    custom = yaml.safe_load((bag.path / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information']['custom_data']
    assert 'recording ends at' in custom['lewm_error']


@pytest.mark.parametrize('damage', [shutil.rmtree, lambda path: os.rename(path, f'{path}.away')])
def test_a_folder_that_vanishes_is_noticed(tmp_path, damage):
    """The kernel would go on writing into a file nobody can find; the thread does not."""
    bag = BagWriter(tmp_path, 'episode')
    thread = BagThread(bag, EAGER)
    put_numbers(thread, 10)
    damage(bag.path)
    thread.join()
    assert 'No such file' in thread.report().error


class SlowDisk:
    """A bag whose first write lasts until it is let go."""

    def __init__(self) -> None:
        self.path, self.size, self.messages = Path('/slow'), 0, 0
        self.go, self.reached = threading.Event(), threading.Event()
        self.written: list[int] = []

    def add_topic(self, _) -> int:
        return 1

    def write(self, _, __, ___, sequence, ____) -> None:
        self.reached.set()
        self.go.wait(60)
        self.written.append(sequence)

    def flush(self, *, sync=False) -> None:
        pass

    def close(self, custom) -> None:
        self.custom = custom


def test_a_full_queue_drops_and_counts(monkeypatch):
    """Beyond its bytes nothing is taken, except marks; what was taken is written in order."""
    monkeypatch.setattr(os, 'statvfs', lambda _: SimpleNamespace(f_bavail=1, f_frsize=1))
    disk = SlowDisk()
    thread = BagThread(disk, WriterSettings(queue_bytes=10_000, min_free_bytes=0))
    thread.put(NUMBERS, 0, 0, 0, bytes(800))
    disk.reached.wait(60)                  # the first is out of the queue
    taken = [number for number in range(1, 31)
             if thread.put(NUMBERS, 0, 0, number, bytes(800))]
    assert taken == list(range(1, 11))     # 10 of 1000 bytes each, overhead included
    assert thread.put(NUMBERS, 0, 0, 99, bytes(800), must=True)
    report = thread.report()
    assert (report.dropped, report.queued_bytes, report.queue_high_bytes) == (20, 11_000, 11_000)
    thread.finish({'a': 'b'})
    disk.go.set()
    thread.join()
    assert disk.written == [0, *taken, 99]
    assert disk.custom == {'a': 'b'}


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from lewm_ros.recording.bag_writer import BagWriter
from lewm_ros.recording.bag_thread import BagThread
from test_recorder import EAGER, put_numbers
bag = BagWriter(Path(sys.argv[1]), 'episode', chunk_bytes=10_000)
thread = BagThread(bag, EAGER)
put_numbers(thread, 1000)
while thread.report().messages < 1000 or bag._mcap.pending:
    pass                              # all of it is with the kernel
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_leaves_what_was_flushed(tmp_path):
    """After SIGKILL there is no metadata.yaml, and every flushed message."""
    here = Path(__file__).parent
    status = subprocess.run([sys.executable, '-c', KILLED, tmp_path, here.parent, here],
                            timeout=200, check=False).returncode
    assert status == -9
    path = tmp_path / 'episode'
    assert [file.name for file in path.iterdir()] == ['episode_0.mcap']
    assert recorded(path) == list(range(1000))


def test_what_is_being_written_is_not_in_the_file_yet(tmp_path):
    """Another thread that asks while a chunk is compressed is told of its bytes."""
    writer = McapWriter(tmp_path / 'a.mcap')
    writer.add_schema('std_msgs/msg/String', 'ros2msg', 'string data')
    before, seen = writer.pending, []
    writer._compress = lambda raw: seen.append(writer.pending) or raw
    writer.flush()
    assert seen == [before] and before > 0
    assert writer.pending == 0
    writer.close({})


def test_numbers_go_on_after_those_that_were_discarded(tmp_path):
    """An episode's number is never given twice, and other folders do not matter."""
    assert next_index(tmp_path / 'missing') == 0
    for name in (episode_name(3), 'notes', f'{DISCARDED_FOLDER}/{episode_name(7)}'):
        (tmp_path / name).mkdir(parents=True)
    assert next_index(tmp_path) == 8


def test_metadata_is_checked():
    """Metadata is one JSON object of sensible size."""
    assert checked_metadata('{"a": [1]}') == {'a': [1]}
    for bad in ('[1]', '{', '"' + 'x' * 70_000 + '"'):
        with pytest.raises(MessageError, match='metadata_json'):
            checked_metadata(bad)


def test_a_button_counts_once_per_press():
    """Holding repeats nothing, a joystick with too few buttons breaks nothing."""
    buttons = Buttons({'start': 0, 'success': 2, 'discard': -1})
    assert buttons.pressed([1, 0, 0]) == ['start']
    assert buttons.pressed([1, 0, 1]) == ['success']
    assert buttons.pressed([1, 0, 1]) == []
    assert buttons.pressed([0]) == []
    assert buttons.pressed([1, 0, 1]) == ['start', 'success']
    assert not Buttons({'start': -1})
