"""Damaged sqlite3 recordings; docs/bags.md quotes these tests."""

import hashlib
import os
from pathlib import Path
import random
import signal
import sqlite3
import subprocess
import sys

from bag_factory import BagFactory, DT_NS, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
import pytest
from rosbags.rosbag2 import StoragePlugin

PAGE = 4096


def recording(path: Path, steps: int = 400) -> tuple[Path, list]:
    """Write a database of many pages; return it and its messages in order."""
    factory = BagFactory()
    for step in range(steps):
        factory.image(START_NS + step * DT_NS, step % 256, size=60)    # with overflow pages
        for part in range(5):
            factory.joints(START_NS + step * DT_NS + part + 1, (step, part))
    factory.write(path, storage=StoragePlugin.SQLITE3)
    return path / f'{path.name}.db3', [
        (topic, time_ns, raw) for topic, _, time_ns, raw in factory.serialized()]


def read(path: Path) -> tuple[list, tuple[str, ...]]:
    with Bag(path) as bag:
        messages = [(topic, time_ns, bytes(raw)) for topic, time_ns, raw in bag.raw_messages()]
        return messages, bag.notes


def pages_of(file: Path, name: str, kind: str = 'leaf') -> list[int]:
    """Return the 0-based pages of one kind of a table or index."""
    import apsw
    with apsw.Connection(str(file)) as database:
        return [page - 1 for page, in database.execute(
            'SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ?', (name, kind))]


def overwrite(file: Path, pages: list[int]) -> None:
    data = bytearray(file.read_bytes())
    for page in pages:
        data[page * PAGE:(page + 1) * PAGE] = b'\xa5' * PAGE
    file.write_bytes(data)


def test_a_cut_database_gives_the_rows_on_the_pages_that_are_left(tmp_path):
    """At any length: true messages only, in order; or a clear error when the tables are gone."""
    file, true = recording(tmp_path / 'bag', steps=60)
    data, known = file.read_bytes(), set(true)
    lengths = sorted({*range(1, len(data), 7 * PAGE + 333), len(data) - PAGE})
    read_something = 0
    for length in lengths:
        file.write_bytes(data[:length])
        try:
            messages, notes = read(tmp_path / 'bag')
        except BagError as error:
            assert 'none of its files can be read' in str(error)
            continue
        assert set(messages) <= known
        assert len(set(messages)) == len(messages)
        assert notes or len(messages) == len(true)
        read_something += bool(messages)
    assert read_something > len(lengths) // 2


def test_damaged_pages_cost_the_rows_on_them(tmp_path):
    """Rows before and behind a destroyed page are read, and the lost ones are counted."""
    file, true = recording(tmp_path / 'bag')
    leaves = pages_of(file, 'messages')
    overwrite(file, leaves[10:12] + leaves[50:51])
    messages, notes = read(tmp_path / 'bag')
    assert messages == [message for message in true if message in set(messages)]
    lost = len(true) - len(messages)
    assert 0 < lost < 3 * 60
    assert f'{lost} of its rows cannot be read' in ' '.join(notes)
    with Bag(tmp_path / 'bag') as bag:
        assert sum(topic.count for topic in bag.topics) == len(messages)
    assert f'metadata.yaml counts {len(true)} messages, the files have {len(messages)}' in notes


def test_a_damaged_picture_does_not_hide_what_comes_after(tmp_path):
    """The rows' numbers are whole, a message's contents are not: found while reading."""
    file, true = recording(tmp_path / 'bag')
    data = bytearray(file.read_bytes())
    page = next(page for page in pages_of(file, 'messages', 'overflow')[200:]
                if data[page * PAGE:page * PAGE + 4] != bytes(4))
    data[page * PAGE:page * PAGE + 4] = b'\xff' * 4    # where the picture goes on
    file.write_bytes(data)
    messages, notes = read(tmp_path / 'bag')
    lost = [place for place, message in enumerate(true) if message not in set(messages)]
    assert len(lost) == 1
    assert true[lost[0]][0] == '/image'
    assert messages == true[:lost[0]] + true[lost[0] + 1:]
    assert '1 of its rows cannot be read' in ' '.join(notes)


def test_a_damaged_index_loses_nothing(tmp_path):
    """Without the index of times the rows come in the order of writing."""
    file, true = recording(tmp_path / 'bag')
    overwrite(file, pages_of(file, 'timestamp_idx')[1:])
    messages, notes = read(tmp_path / 'bag')
    assert messages == true
    assert 'what can be reached comes in the order of writing' in ' '.join(notes)


def test_random_damage_never_hangs_or_crashes(tmp_path):
    """Bytes changed anywhere: an answer with known topics, or a clear error."""
    file, _ = recording(tmp_path / 'bag', steps=40)
    data, generator = file.read_bytes(), random.Random(5)
    read_something = 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(20):
            damaged[generator.randrange(len(data))] = generator.randrange(256)
        file.write_bytes(damaged)
        try:
            messages, _ = read(tmp_path / 'bag')
        except BagError:
            continue
        assert all(isinstance(raw, bytes) for _, _, raw in messages)
        read_something += bool(messages)
    assert read_something > 20


def test_a_database_without_tables_is_left_out_and_the_other_splits_are_read(tmp_path):
    """One malformed split costs that split."""
    factory = BagFactory().steps(4)
    path = factory.write(tmp_path / 'bag', storage=StoragePlugin.SQLITE3)
    good = path / 'bag_1.db3'
    (path / 'bag.db3').rename(good)
    (path / 'metadata.yaml').unlink()
    with sqlite3.connect(path / 'bag_0.db3') as database:
        database.execute('CREATE TABLE topics(id)')
    (path / 'bag_2.db3').write_bytes(b'not a database at all')
    (path / 'bag_3.db3').write_bytes(b'')
    messages, notes = read(path)
    assert [raw for _, _, raw in messages] == [raw for _, _, _, raw in factory.serialized()]
    assert any('bag_0.db3: left out: bag_0.db3 is no recording' in note for note in notes)
    assert any('bag_2.db3: left out: bag_2.db3 is no sqlite3 file' in note for note in notes)
    assert 'bag_3.db3: is empty (0 bytes)' in notes
    good.unlink()
    (path / 'bag_3.db3').unlink()
    with pytest.raises(BagError, match='none of its files can be read: bag_0.db3 is no recording'):
        Bag(path)


def test_a_killed_resilient_writer_loses_nothing_it_committed(tmp_path):
    """Rows in the write-ahead log are read from a temporary copy; the bag keeps every byte."""
    path = BagFactory().steps(4).write(tmp_path / 'bag', storage=StoragePlugin.SQLITE3)
    script = (
        'import sqlite3, sys\n'
        'database = sqlite3.connect(sys.argv[1], isolation_level=None)\n'
        'database.execute("PRAGMA journal_mode = WAL")\n'
        'for row in range(1000, 10 ** 9):\n'
        '    database.execute("INSERT INTO messages VALUES (?, 1, ?, ?)",'
        '                     (row, 2 * 10 ** 18 + row, b"\\0\\1\\0\\0" + bytes(3000)))\n'
        '    print(row, flush=True)\n')
    with subprocess.Popen([sys.executable, '-c', script, path / 'bag.db3'],
                          stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 1099:
                os.kill(process.pid, signal.SIGKILL)
                break
        rows = [1099] + [int(line) for line in process.stdout.read().split()]
    assert (path / 'bag.db3-wal').stat().st_size > 0
    before = _digests(path)
    with Bag(path) as bag:
        messages = list(bag.raw_messages())
        notes = bag.notes
    committed = [time_ns - 2 * 10 ** 18 for _, time_ns, _ in messages if time_ns > 10 ** 18 * 1.9]
    assert committed[:rows[-1] - 999] == list(range(1000, rows[-1] + 1))
    assert any('bag.db3-wal holds was replayed' in note for note in notes)
    assert _digests(path) == before


def test_a_view_in_place_of_a_table_is_refused(tmp_path):
    """A database may compute its rows, for ever if it likes; recordings have tables."""
    path = BagFactory().steps(2).write(tmp_path / 'bag', storage=StoragePlugin.SQLITE3)
    with sqlite3.connect(path / 'bag.db3') as database:
        database.execute('ALTER TABLE messages RENAME TO old')
        database.execute('CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL '
                         'SELECT i + 1 FROM n) SELECT i AS id, 1 AS topic_id, i AS timestamp, '
                         "x'00010000' AS data FROM n")
    with pytest.raises(BagError, match='no tables "topics" and "messages"'):
        Bag(path)


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.iterdir())}
