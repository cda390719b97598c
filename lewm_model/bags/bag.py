"""Read rosbag2 recordings (MCAP or sqlite3) without ROS, whole or damaged, message by message.

Here: topics, bytes to messages, and clear errors. Which files make a recording is `files`,
what is inside one is `mcap_file` and `sqlite_file`; what topics mean: `lewm_model.recordings`.
docs/bags.md lists what becomes of each kind of damage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import struct
from typing import Any

from lewm_model.bags.files import (
    find_files,
    is_bag_folder,
    is_recorded,
    METADATA,
    recorded_files,
    sha256_of,
)
from lewm_model.bags.interfaces import import_rosbags, recorded_types
from lewm_model.bags.mcap_file import McapFile
from lewm_model.bags.mcap_records import MAGIC as MCAP_MAGIC
from lewm_model.bags.sqlite_file import SqliteFile
from lewm_model.bags.storage import Channel, RecordedFile, unpack_message
from lewm_model.bags.unpack import SQLITE_MAGIC, Unpacker
from lewm_model.errors import BagError, LewmError, without_path

_ROS1_MAGIC = b'#ROSBAG V'
_MAX_NOTES = 200     # a file may have millions of damaged pieces
_MOST_LEVELS = 8     # of folders in folders that are searched for bags


@dataclass(frozen=True)
class Topic:
    """One recorded topic."""

    name: str      # as recorded, usually with a leading slash
    type: str      # such as sensor_msgs/msg/Image
    count: int     # messages


class Bag:
    """One open recording; use it as a context manager.

    It is never modified. Damage costs what is damaged: the rest is read, and `notes` says what
    was lost. Memory does not grow with the length of the recording.

    Args:
        path: The bag's folder, or a single .mcap or .db3 file.

    Raises:
        BagError: If it is no bag or none of its files can be read; the message has the fix.
    """

    def __init__(self, path: str | Path) -> None:
        import_rosbags()
        self.path = Path(path)
        self.name = self.path.name
        self._notes: dict[str, None] = {}     # in order, each once
        self._unpacker = Unpacker(self._note)
        self._files: list[RecordedFile] = []
        try:
            with self._damage('opened'):
                self._open()
                self._types = recorded_types(frozenset(
                    (channel.type, *channel.definition) for channel in self._channels
                    if channel.definition))
            self._undecodable = dict(self._types.unusable)
            self._note_unknown_types()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove temporary files."""
        self._unpacker.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was repaired or lost so far, in words; empty for a healthy bag.

        Most damage is known when the bag is open, some is found on reading.
        """
        return tuple(self._notes)

    def publishers(self, topic: str) -> int:
        """Return how many publishers the recorder knew of a topic, 0 if that was not recorded."""
        return self._publishers.get(topic, 0)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All recorded topics, by name; two entries if one was recorded with two types."""
        counts: Counter[tuple[str, str]] = Counter()
        for file in self._files:
            for channel, count in file.counts.items():
                counts[channel.topic, channel.type] += count
        return tuple(Topic(name, kind, count) for (name, kind), count in sorted(counts.items()))

    def raw_messages(self, *topics: str | Topic) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, receive time [ns], CDR bytes) in recorded order; all topics if none given.

        Args:
            topics: Names, or entries of `topics` where one name was recorded with two types.

        Raises:
            BagError: When the files cannot be read any more.
        """
        names = {topic for topic in topics if isinstance(topic, str)}
        pairs = {(topic.name, topic.type) for topic in topics if isinstance(topic, Topic)}

        def wanted(channel: Channel) -> bool:
            return (not topics or channel.topic in names
                    or (channel.topic, channel.type) in pairs)

        with self._damage('read to its end'):
            for file in self._files:
                for channel, time_ns, recorded in (
                        file.messages(wanted) if any(map(wanted, file.counts)) else ()):
                    raw = unpack_message(recorded) if channel.encoding == 'cdr' else recorded
                    if raw is not None:
                        yield channel.topic, time_ns, raw
                    else:
                        self._note(f'{channel.topic}: the compressed message received at '
                                   f'{time_ns} ns is damaged or too large; left out')

    def decode(self, raw: bytes, message_type: str) -> Any:
        """Turn CDR bytes into a message object with the fields of `message_type`.

        Raises:
            BagError: If the type is not known, or the bytes are no such message.
        """
        if message_type in self._undecodable:
            raise BagError(f'{self.path}: messages of type {message_type} cannot be decoded: '
                           f'{self._undecodable[message_type]}')
        if message_type not in self._types.store.fielddefs:
            raise BagError(f'{self.path}: the type {message_type} is not known and the bag has no '
                           f'definition of it; record with MCAP, which keeps definitions')
        try:
            return self._types.store.deserialize_cdr(raw, message_type)
        except Exception as error:  # damaged bytes can make a parser raise nearly any kind
            raise BagError(
                f'{self.path} cannot be decoded as {message_type}: {type(error).__name__}: '
                f'{error}; a message is damaged, or was recorded with other fields of that type '
                f'than {"the bag defines" if self._defined(message_type) else "are known here"}'
            ) from error

    def sha256(self) -> str:
        """Hash the recorded files (not metadata.yaml), so that a data set can name its source."""
        with self._damage('hashed'):
            return sha256_of(sorted(recorded_files(self.path)) if self.path.is_dir()
                             else [self.path])

    def describe_topics(self) -> str:
        """List topics, types and counts on one line, for error messages."""
        return ', '.join(f'{topic.name} ({topic.type}, {topic.count} messages)'
                         for topic in self.topics) or 'nothing'

    @property
    def _channels(self) -> list[Channel]:
        return [channel for file in self._files for channel in file.counts]

    def _note(self, text: str) -> None:
        if len(self._notes) < _MAX_NOTES:
            self._notes[text] = None
        else:
            self._notes['there is more damage than is listed here'] = None

    def _open(self) -> None:
        found = find_files(self.path, self._note)
        self._publishers = found.publishers
        unreadable = []
        for path in found.files:
            local = partial(self._unpacker.local, path)
            try:
                self._files.append(_reader_of(path, local())(path.name, local, self._note))
            except (BagError, OSError) as error:
                reason = without_path(error)    # a BagError begins with the name of the file
                unreadable.append(reason if isinstance(error, BagError)
                                  else f'{path.name}: {reason}')
                self._note(f'{path.name}: left out: {reason}')
        if unreadable and not self._files:
            raise BagError(f'{self.path}: none of its files can be read: {"; ".join(unreadable)}; '
                           f'leave the bag out')
        if found.files == () and self._notes:
            raise BagError(f'{self.path} has none of the files that metadata.yaml lists: '
                           f'{"; ".join(self._notes)}; copy them beside it')
        count = sum(topic.count for topic in self.topics)
        if found.message_count not in (None, count):
            self._note(f'metadata.yaml counts {found.message_count} messages, the files have '
                       f'{count}')

    def _defined(self, message_type: str) -> bool:
        return any(channel.definition for channel in self._channels
                   if channel.type == message_type)

    def _note_unknown_types(self) -> None:
        encodings: dict[str, set[str]] = {}
        for channel in self._channels:
            encodings.setdefault(channel.type, set()).add(channel.encoding)
        for kind, found in encodings.items():
            if 'cdr' not in found:    # such as the JSON of other tools that write MCAP
                self._undecodable[kind] = (f"they are encoded as {sorted(found)}, ROS 2 records "
                                           f"'cdr'")
        for topic in self.topics:
            known = topic.type in self._types.store.fielddefs
            reason = self._undecodable.get(topic.type, '' if known else
                                           'it is not known and the bag does not define it')
            if reason:
                self._note(f'{topic.name}: its {topic.count} messages of type {topic.type} can be '
                           f'read as bytes only: {reason}')
        several = Counter(topic.name for topic in self.topics)
        for name, number in several.items():
            if number > 1:
                kinds = ', '.join(topic.type for topic in self.topics if topic.name == name)
                self._note(f'{name}: was recorded with several types: {kinds}')

    @contextmanager
    def _damage(self, verb: str) -> Iterator[None]:
        try:
            yield
        except LewmError:
            raise
        except Exception as error:  # damaged bytes can make a parser raise nearly any kind
            raise BagError(
                f'{self.path} cannot be {verb}: {type(error).__name__}: {error}; the file is '
                f'damaged or was changed meanwhile, leave it out') from error


def _reader_of(path: Path, local: Path) -> type[McapFile] | type[SqliteFile]:
    """Choose by what the file holds, and by its name if that is damaged."""
    with local.open('rb') as stream:
        head = stream.read(16)
    if head == SQLITE_MAGIC:
        return SqliteFile
    return McapFile if head[:8] == MCAP_MAGIC or '.mcap' in path.suffixes else SqliteFile


def header_stamp_ns(raw: bytes) -> int:
    """Read the stamp of a message that begins with a std_msgs/Header, without decoding the rest.

    Args:
        raw: CDR bytes; the encapsulation's second byte tells the byte order.
    """
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 1_000_000_000 + nanoseconds


def _refuse_ros1(path: Path) -> None:
    """Say what to do with recordings of ROS 1, which are single files."""
    for file in sorted(path.glob('*.bag')) if path.is_dir() else [path]:
        with suppress(OSError), file.open('rb') as stream:
            if stream.read(len(_ROS1_MAGIC)) == _ROS1_MAGIC:
                raise BagError(f'{file} is a bag of ROS 1; convert it with: rosbags-convert --src '
                               f'{file} --dst {file.with_suffix("")} --dst-storage mcap')


def find_bags(paths: list[str | Path]) -> list[Path]:
    """Expand folders to the bags inside, also in folders below; a bag stands for itself.

    Single .mcap and .db3 files are bags too, given directly or lying in a folder of several
    recordings. What starts with a dot is unfinished work of `lewm collect` and not looked at.

    Raises:
        BagError: If a path holds no bag, or a bag is named twice.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise BagError(f'{path} does not exist; give a bag folder or a folder of them')
        _refuse_ros1(path)
        if is_bag_folder(path) or (path.is_file() and is_recorded(path)):
            found.append(path)
            continue
        inside = _bags_below(path, _MOST_LEVELS) if path.is_dir() else []
        if not inside:
            raise BagError(f'{path} holds no bags; give a bag folder (with {METADATA}), a .mcap '
                           f'or .db3 file, or a folder of such')
        found += inside
    seen: set[Path] = set()
    for path in found:
        if (real := path.resolve()) in seen:
            raise BagError(f'bag {path} is named twice; name each bag, or its folder, once')
        seen.add(real)
    return found


def _bags_below(folder: Path, levels: int) -> list[Path]:
    """Return the bags in a folder and in folders below it, sorted by path."""
    found: list[Path] = []
    for child in sorted(folder.iterdir()):
        if child.name.startswith('.'):
            continue
        if is_bag_folder(child) or (child.is_file() and is_recorded(child)):
            found.append(child)
        elif child.is_dir() and not child.is_symlink() and levels > 1:
            found += _bags_below(child, levels - 1)
    return found
