"""Episodes from start to conclusion, without ROS: disks that refuse or hang, clocks that step."""

from pathlib import Path
import subprocess
import sys
import threading

from lewm_model.errors import BagError
from lewm_ros.recording.bag_thread import WriterSettings
from lewm_ros.recording.bag_writer import BagWriter, RecordedTopic
from lewm_ros.recording.episode import next_index, Received
from lewm_ros.recording.session import FAILURE, Session, SessionSettings, SUCCESS
from lewm_ros.wire.reasons import Code, ReasonedError
import pytest
from test_recorder import message, NUMBERS, QOS, recorded

MARKS = RecordedTopic('/marks', 'std_msgs/msg/UInt64', 'ros2msg', 'uint64 data\n', 'RIHS01_00',
                      (QOS,))


class Future:
    """As rclpy's, with callbacks that wait until the session's thread runs them."""

    def __init__(self, owner: list) -> None:
        self._owner, self._callbacks, self.value = owner, [], None
        self._lock = threading.Lock()

    def set_result(self, value) -> None:
        with self._lock:
            self.value = value
            self._owner += self._callbacks
            self._callbacks = None

    def add_done_callback(self, callback) -> None:
        with self._lock:
            if self._callbacks is None:
                self._owner.append(callback)
            else:
                self._callbacks.append(callback)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    error = info


class Rig:
    """A session whose clock is set by hand."""

    def __init__(self, root: Path, **settings) -> None:
        self.now_s, self.sent, self.log = 100.0, 0, Log()
        self.marks: list[int] = []
        self._due: list = []
        writer = WriterSettings(min_free_bytes=0, chunk_s=0.01, sync_s=0.0)
        self.session = Session(
            root, SessionSettings(writer, **settings), new_future=lambda: Future(self._due),
            show=self._show, count=lambda _: {'lost': 0}, log=self.log,
            now_s=lambda: self.now_s)

    def _show(self, phase, episode) -> None:
        self.marks.append(phase)
        episode.thread.put(MARKS, 1, 1, 0, message(phase), must=True)

    def send(self, arrived_s: float | None = None, log_ns: int = 1) -> None:
        self.sent += 1
        arrived_s = self.now_s if arrived_s is None else arrived_s
        self.session.take(Received(NUMBERS, arrived_s, log_ns, 0, self.sent, message(self.sent)))

    def run_due(self) -> None:
        while self._due:
            self._due.pop(0)(None)

    def concluded(self, future):
        """Drain, let the thread end, and return the conclusion."""
        while not self.session.drain():
            pass
        for _ in range(1000):
            self.run_due()
            if future.value is not None:
                return future.value
            threading.Event().wait(0.01)
        raise AssertionError('no conclusion')


@pytest.fixture
def hung(monkeypatch):
    """A disk that takes nothing more once it is told to hang, until it is let go."""
    hangs, go = threading.Event(), threading.Event()

    def hanging(act):
        def first_wait(*arguments, **options) -> None:
            if hangs.is_set():
                go.wait(60)
            act(*arguments, **options)
        return first_wait

    for name in ('flush', 'close'):
        monkeypatch.setattr(BagWriter, name, hanging(getattr(BagWriter, name)))
    yield hangs, go
    go.set()


def test_the_steady_clock_decides_what_belongs_to_an_episode(tmp_path):
    """However the system clock was set meanwhile: all between start and stop, and nothing else."""
    rig = Rig(tmp_path)
    rig.send()
    rig.session.start('', '', {})
    rig.send(arrived_s=99.9)                       # it had waited since before the start
    for log_ns in (10**18, 10**18 - 3600 * 10**9, 10**18 + 3600 * 10**9):
        rig.now_s += 1
        rig.send(log_ns=log_ns)
    future = rig.session.stop(SUCCESS)
    stopped_s = rig.now_s
    rig.now_s += 1
    rig.send(arrived_s=stopped_s)                  # it had waited since before the stop
    rig.send()
    end = rig.concluded(future)
    assert not end.problem
    assert sorted(recorded(end.path)) == [3, 4, 5, 6]
    assert end.episode.received == {'/numbers': 4}


def test_a_disk_that_refuses_ends_the_episode_as_a_failure(tmp_path, monkeypatch):
    """By itself, with the reason in the mark; what was written is readable, the next one works."""
    rig = Rig(tmp_path)
    first = rig.session.start('', '', {})
    rig.send()
    while not first.thread.report().written_bytes > 1000:   # header and definitions are less
        rig.send()
    write = BagWriter.write
    with monkeypatch.context() as context:
        context.setattr(BagWriter, 'write', lambda *_: (_ for _ in ()).throw(
            BagError('No space left on device')))
        rig.send()
        first.thread.join()
    assert 'No space left' in rig.session.watch()
    assert rig.session.recording is None
    end = rig.concluded(first.concluded)
    assert end.problem == 'No space left on device'
    assert end.episode.metadata['note'] == end.problem
    assert rig.marks == [1, FAILURE]
    found = recorded(end.path)
    assert found == list(range(1, len(found) + 1)) and found
    with pytest.raises(ReasonedError, match=f'{first.name} ended as a failure: No space') as it:
        rig.session.stop(SUCCESS)
    assert it.value.reason.code is Code.NOTHING_UNDER_WAY
    assert BagWriter.write is write
    second = rig.session.start('', '', {})
    rig.send()
    assert not rig.concluded(rig.session.stop(SUCCESS)).problem
    assert second.index == first.index + 1


def test_a_disk_that_hangs_is_given_up_in_time(tmp_path, hung):
    """Stop is answered after close_s, start is refused until the disk answers again."""
    hangs, go = hung
    rig = Rig(tmp_path, close_s=5.0)
    first = rig.session.start('', '', {})
    rig.send()
    hangs.set()
    future = rig.session.stop(SUCCESS)
    assert rig.session.drain()
    rig.now_s += 4.9
    rig.session.watch()
    assert future.value is None
    rig.now_s += 0.2
    rig.session.watch()
    assert 'has not closed' in future.value.problem and '5 s' in future.value.problem
    assert rig.session.last_error == future.value.problem
    with pytest.raises(ReasonedError, match=f'does not answer since {first.name}') as it:
        rig.session.start('', '', {})
    assert it.value.reason.code is Code.DISK_FAILED
    go.set()
    hangs.clear()
    first.thread.join()
    rig.run_due()
    assert 'closed after all' in rig.log.lines[-1]
    assert recorded(first.path) == [1]
    rig.session.start('', '', {})
    assert not rig.concluded(rig.session.stop(SUCCESS)).problem


def test_a_disk_that_hangs_does_not_keep_the_session_from_ending(tmp_path, hung):
    """`shut_down` returns and says which bag is not complete."""
    rig = Rig(tmp_path, close_s=0.1)
    episode = rig.session.start('', '', {})
    hung[0].set()
    rig.session.shut_down()
    assert any(str(episode.path) in line and 'has not closed' in line for line in rig.log.lines)
    assert rig.marks == [1, FAILURE]


HUNG = """
import sys, threading
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from lewm_ros.recording.bag_writer import BagWriter
from test_recording_session import Rig
BagWriter.flush = BagWriter.close = lambda *_, **__: threading.Event().wait()
rig = Rig(Path(sys.argv[1]), close_s=0.1)
rig.session.start('', '', {})
rig.session.shut_down()
"""


def test_a_disk_that_hangs_does_not_keep_the_process_from_ending(tmp_path):
    """The thread that waits for it is left behind."""
    here = Path(__file__).parent
    assert subprocess.run([sys.executable, '-c', HUNG, tmp_path, here.parent, here], timeout=200,
                          check=False).returncode == 0


def test_a_clean_end_waits_for_the_disk(tmp_path):
    """`shut_down` marks a failure, and the bag is complete."""
    rig = Rig(tmp_path)
    episode = rig.session.start('', '', {})
    rig.send()
    rig.session.shut_down()
    assert (episode.path / 'metadata.yaml').is_file()
    assert recorded(episode.path) == [1]
    rig.run_due()
    assert not any('after all' in line for line in rig.log.lines)


@pytest.mark.parametrize('name', ['x' * 300, 'file'])
def test_a_root_that_cannot_be_read_is_a_bag_error(tmp_path, name):
    """The message names the folder and the reason; nothing else is raised."""
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(BagError, match=r'cannot be read: (File name too long|Not a directory)'):
        next_index(tmp_path / name)


def test_a_new_episode_closes_the_one_before(tmp_path):
    """Start right after stop: both bags are complete, each with its own messages."""
    rig = Rig(tmp_path)
    rig.session.start('', '', {})
    rig.send()
    first = rig.session.stop(SUCCESS)
    rig.now_s += 1
    rig.session.start('', '', {})
    rig.send()
    second = rig.session.stop(FAILURE)
    assert recorded(rig.concluded(second).path) == [2]
    assert recorded(rig.concluded(first).path) == [1]
    assert rig.marks == [1, SUCCESS, 1, FAILURE]
