"""Read rosbag2 recordings (MCAP or sqlite3) without ROS, one message at a time.

Here: files, topics, bytes to messages, and clear errors for what is broken. What a robot's
topics mean is `streams`, putting them on the control grid is `synchronize`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
from pathlib import Path
import struct
from typing import Any

from lewm_model.data.interfaces import import_rosbags, recorded_typestore
from lewm_model.errors import BagError, LewmError

_FILES = ('.mcap', '.db3', '.zstd')


@dataclass(frozen=True)
class Topic:
    """One recorded topic."""

    name: str      # as recorded, usually with a leading slash
    type: str      # such as sensor_msgs/msg/Image
    count: int     # messages


class Bag:
    """One open recording; use it as a context manager.

    Args:
        path: The bag's folder.

    Raises:
        BagError: If it is no bag, is incomplete or cannot be read; the message has the fix.
    """

    def __init__(self, path: str | Path) -> None:
        import_rosbags()
        from rosbags.rosbag2 import Reader

        self.path = Path(path)
        self.name = self.path.name
        if not self.path.is_dir():
            raise BagError(f'{path} is not a bag: no such folder' if not self.path.exists() else
                           f'{path} is a file; give the folder that holds it and metadata.yaml')
        if not (self.path / 'metadata.yaml').is_file():
            found = sorted(file.name for file in self.path.iterdir() if file.suffix in _FILES)
            raise BagError(
                f'{path} has no metadata.yaml, the recording was not finished; rebuild it with '
                f'"ros2 bag reindex {path}"' if found else
                f'{path} is not a bag: it holds neither metadata.yaml nor .mcap or .db3 files')
        with self._damage('opened'):
            self._reader = Reader(self.path)
            self._reader.open()
        try:
            with self._damage('opened'):
                self._connections = list(self._reader.connections)
                self._typestore = recorded_typestore(frozenset(
                    (connection.msgtype, connection.msgdef.format.name.lower(),
                     connection.msgdef.data)
                    for connection in self._connections
                    if connection.msgdef.format.name != 'NONE'))
        except BagError:
            self.close()
            raise

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All recorded topics, by name."""
        return tuple(sorted((Topic(connection.topic, connection.msgtype, connection.msgcount)
                             for connection in self._connections), key=lambda topic: topic.name))

    def raw_messages(self, *topics: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, receive time [ns], CDR bytes) in recorded order; all topics if none given.

        Raises:
            BagError: When the bytes turn out to be damaged.
        """
        wanted = [connection for connection in self._connections
                  if not topics or connection.topic in topics]
        messages = iter(self._reader.messages(wanted)) if wanted else iter(())
        while True:
            with self._damage('read to its end'):
                item = next(messages, None)
            if item is None:
                return
            yield item[0].topic, item[1], item[2]

    def decode(self, raw: bytes, message_type: str) -> Any:
        """Turn CDR bytes into a message object with the fields of `message_type`."""
        with self._damage(f'decoded as {message_type}'):
            return self._typestore.deserialize_cdr(raw, message_type)

    def sha256(self) -> str:
        """Hash the recorded files (not metadata.yaml), so that a data set can name its source."""
        digest = hashlib.sha256()
        for file in sorted(self.path.iterdir()):
            if file.suffix in _FILES:
                with file.open('rb') as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
        return digest.hexdigest()

    def describe_topics(self) -> str:
        """List topics, types and counts on one line, for error messages."""
        return ', '.join(f'{topic.name} ({topic.type}, {topic.count} messages)'
                         for topic in self.topics) or 'nothing'

    @contextmanager
    def _damage(self, verb: str) -> Iterator[None]:
        try:
            yield
        except LewmError:
            raise
        except Exception as error:  # on damaged bytes rosbags raises nearly any kind
            raise BagError(
                f'{self.path} cannot be {verb}: {type(error).__name__}: {error}; the file is '
                f'damaged or cut short, recover it with "ros2 bag reindex" or leave it out'
            ) from error


def header_stamp_ns(raw: bytes) -> int:
    """Read the stamp of a message that begins with a std_msgs/Header, without decoding the rest.

    Args:
        raw: CDR bytes; the encapsulation's second byte tells the byte order.
    """
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 1_000_000_000 + nanoseconds


def find_bags(paths: list[str | Path]) -> list[Path]:
    """Expand folders of bags to the bags inside, sorted by name; a bag stands for itself.

    Folders whose name starts with a dot are unfinished work of `lewm collect` and not looked at.

    Raises:
        BagError: If a path holds no bag, or two bags have one name.
    """
    found = []
    for path in map(Path, paths):
        inside = sorted(child for child in path.iterdir() if _looks_like_bag(child)
                        and not child.name.startswith('.')) if path.is_dir() else []
        if not path.exists():
            raise BagError(f'{path} does not exist; give a bag folder or a folder of them')
        if _looks_like_bag(path):
            found.append(path)
        elif inside:
            found += inside
        else:
            raise BagError(f'{path} holds no bags; give a bag folder (with metadata.yaml) or a '
                           f'folder of such folders')
    names = [path.name for path in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BagError(f'bags must have different names, several are called {", ".join(twice)}')
    return found


def _looks_like_bag(path: Path) -> bool:
    """Tell a bag, finished or not, from other folders."""
    return path.is_dir() and any(file.name == 'metadata.yaml' or file.suffix in _FILES
                                 for file in path.iterdir())
