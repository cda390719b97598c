"""One sqlite3 file of a recording, whole or damaged, as messages in the order of reception."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
import sqlite3
from typing import Any

from lewm_model.bags.storage import Channel, definition_of, Note, ros_type
from lewm_model.bags.unpack import SQLITE_MAGIC, UNPACKED
from lewm_model.errors import BagError

_MAX_GAP = 1 << 40     # row numbers skipped over before the rest counts as lost
_Row = tuple[int, int, int, bytes]     # id, topic id, receive time [ns], message


class SqliteFile:
    """Reads one database, always read-only; of a damaged one, every row that can be reached.

    Args:
        name: What to call the file.
        local: Returns where it can be read.
        note: Told what was lost.

    Raises:
        BagError: If it is no database, or the tables that describe it cannot be read.
    """

    def __init__(self, name: str, local: Callable[[], Path], note: Note) -> None:
        self._name, self._local, self._note = name, local, note
        self._channels: dict[int, Channel] = {}
        self._damaged = False       # whether even the rows' topics cannot all be read
        self.counts: dict[Channel, int] = {}
        path = local()
        with path.open('rb') as stream:
            head = stream.read(len(SQLITE_MAGIC))
        if not head:
            note(f'{name}: is empty (0 bytes)')
            return
        if head != SQLITE_MAGIC[:len(head)]:
            raise BagError(f'{name} is no sqlite3 file: it begins with {head!r}')
        try:
            with closing(_connect(path)) as database:
                self._index(database)
        except sqlite3.Error as error:
            raise BagError(f'{name} cannot be read as a sqlite3 bag: {error}') from error

    def messages(self, wanted: Callable[[Channel], bool]
                 ) -> Iterator[tuple[Channel, int, bytes]]:
        """Yield (channel, receive time [ns], bytes), sorted by time.

        What is left after damage is found comes in the order of writing.
        """
        if not self._channels:
            return
        topics = [number for number, channel in self._channels.items() if wanted(channel)]
        with closing(_connect(self._local())) as database:
            after = (-2 ** 63, 0)    # time and id of the last message, for going on after damage
            if not self._damaged:
                rows = _rows(database, f'WHERE topic_id IN ({",".join("?" * len(topics))}) '
                                       f'ORDER BY timestamp, id', topics)
                try:
                    for row in rows:
                        if self._valid(row):
                            after = _ascending(after, (row[2], row[0]))
                            yield self._channels[row[1]], row[2], row[3]
                    return
                except sqlite3.Error as error:
                    self._note(f'{self._name}: {error}; from the message received at '
                               f'{after[0]} ns on, what can be reached comes in the order of '
                               f'writing')
            chosen = set(topics)
            for row in self._salvage(database):
                if row[1] in chosen and (row[2], row[0]) > after:
                    yield self._channels[row[1]], row[2], row[3]

    def _index(self, database: sqlite3.Connection) -> None:
        tables = {name for name, in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}   # a view could be anything
        if not {'topics', 'messages'} <= tables:
            raise BagError(f'{self._name} is no recording: it has no tables "topics" and '
                           f'"messages"')
        definitions = {}
        if 'message_definitions' in tables:
            try:
                definitions = {name: definition_of(encoding, text) for name, encoding, text in
                               database.execute('SELECT topic_type, encoding, '
                                                'encoded_message_definition '
                                                'FROM message_definitions')}
            except sqlite3.Error as error:
                self._note(f'{self._name}: the message definitions cannot be read ({error})')
        self._channels = {
            number: Channel(topic, ros_type(kind, encoding), encoding, definitions.get(kind))
            for number, topic, kind, encoding in database.execute(
                'SELECT id, name, type, serialization_format FROM topics ORDER BY id')}
        try:
            counts = Counter(dict(database.execute(
                'SELECT topic_id, count(*) FROM messages GROUP BY topic_id')))
        except sqlite3.Error as error:
            self._damaged = True
            counts = Counter(row[1] for row in self._salvage(database))
            self._note(f'{self._name}: {error}; {counts.total()} messages can be reached, they '
                       f'come in the order of writing')
        for number, channel in self._channels.items():
            self.counts[channel] = self.counts.get(channel, 0) + counts.pop(number, 0)
        if counts:
            self._note(f'{self._name}: {counts.total()} messages belong to topics that it does '
                       f'not describe; left out')

    def _valid(self, row: tuple) -> bool:
        """Tell rows from what damage can leave in their place."""
        number, topic, time_ns, data = row
        valid = (isinstance(number, int) and isinstance(time_ns, int) and isinstance(data, bytes)
                 and topic in self._channels)
        if not valid:
            self._note(f'{self._name}: row {number!r} of its messages is damaged; left out')
        return valid

    def _salvage(self, database: sqlite3.Connection) -> Iterator[_Row]:
        """Yield the rows in the order of writing, stepping over those that cannot be read."""
        last, lost = 0, 0          # row numbers; numbers that were stepped over
        while True:
            try:
                for row in _rows(database, 'WHERE id > ? ORDER BY id', [last]):
                    last = _ascending(last, row[0])
                    if self._valid(row):
                        yield row
                break
            except sqlite3.Error:
                # The module reads one row ahead, so row last + 1 itself may be whole.
                row = _next_readable(database, last)
                if row is None:
                    self._note(f'{self._name}: nothing can be read after row {last} of its '
                               f'messages')
                    break
                lost += row[0] - last - 1
                last = row[0]
                if self._valid(row):
                    yield row
        if lost:
            self._note(f'{self._name}: {lost} of its rows cannot be read')


def _next_readable(database: sqlite3.Connection, last: int) -> _Row | None:
    """Return the first readable row after number `last`, None if there is none.

    Every number is tried at first; far from the damage the steps grow by 1/64 of the distance, and
    the border found is then narrowed down by bisection.
    """
    def row_from(start: int) -> _Row | None:
        try:
            row = next(_rows(database, 'WHERE id >= ? ORDER BY id LIMIT 1', [start]), None)
        except sqlite3.Error:
            return None
        return row if row and row[0] >= start else None

    failed, start = last, last + 1
    while (row := row_from(start)) is None:
        failed, start = start, start + 1 + (start - last) // 64
        if start - last > _MAX_GAP:
            return None
    while start - failed > 1:
        middle = (failed + start) // 2
        if (found := row_from(middle)) is None:
            failed = middle
        else:
            start, row = middle, found
    return row


def _ascending(before: Any, key: Any) -> Any:
    """Return `key`; a damaged tree can lead back to where one came from, for ever."""
    if not key > before:
        raise sqlite3.DatabaseError('rows are out of order')
    return key


def _rows(database: sqlite3.Connection, condition: str, values: list[int]) -> sqlite3.Cursor:
    return database.execute(
        f'SELECT id, topic_id, timestamp, data FROM messages {condition}', values)


def _connect(path: Path) -> sqlite3.Connection:
    """Open without locks, logs or anything else that would touch the bag's folder."""
    logs = any(path.with_name(path.name + end).exists() for end in ('-wal', '-journal'))
    # A log beside it means a temporary copy of ours, in which SQLite may replay it.
    mode = 'rw' if logs and path.name == UNPACKED else 'ro&immutable=1'
    database = sqlite3.connect(f'{path.resolve().as_uri()}?mode={mode}', uri=True)
    database.text_factory = lambda text: text.decode('utf-8', 'replace')
    database.execute('PRAGMA trusted_schema = OFF')
    # SQLite refuses files that are shorter than they say, unless this is on; nothing is written.
    database.execute('PRAGMA writable_schema = ON')
    return database
