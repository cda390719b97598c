"""One episode being recorded: its folder, its writing thread, its counts. No rclpy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
import json
import math
import os
from pathlib import Path
import re
from typing import Any

from lewm_model.errors import BagError, without_path
from lewm_ros.recording.bag_thread import BagThread
from lewm_ros.recording.bag_writer import BagWriter, RecordedTopic
from lewm_ros.wire.checks import MessageError

DISCARDED_FOLDER = '.discarded'   # `lewm ingest` does not look into folders with a dot
_NAME = re.compile(r'episode_\d{8}T\d{6}_(\d{6})')
_MAX_JSON = 64 << 10


def recording_root(text: str) -> Path:
    """Return the folder of recordings.

    Raises:
        BagError: If none was given.
    """
    if not text:
        raise BagError('root is empty; set it to the folder that gets the recordings')
    return Path(text).expanduser().absolute()


def next_index(root: Path) -> int:
    """Return the first number that no episode under `root` has, discarded ones included.

    Raises:
        BagError: If the folder cannot be read.
    """
    used = [int(match[1]) for folder in (root, root / DISCARDED_FOLDER)
            for match in map(_NAME.fullmatch, _entries(folder)) if match]
    return max(used, default=-1) + 1


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, none if it does not exist yet."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BagError(f'the folder of recordings {str(folder)!r} cannot be read: '
                       f'{without_path(error)}; give this user the right to read and write it, '
                       f'or set root to another folder') from error


def episode_name(index: int, now: datetime | None = None) -> str:
    """Return the name of an episode's folder: when it began (UTC) and its number."""
    return f'episode_{now or datetime.now(timezone.utc):%Y%m%dT%H%M%S}_{index:06d}'


def checked_metadata(text: str) -> dict:
    """Return the JSON object in `text`, empty for an empty text; raises MessageError."""
    if len(text) > _MAX_JSON:
        raise MessageError(f'metadata_json may have {_MAX_JSON} characters, got {len(text)}')
    try:
        values = json.loads(text) if text else {}
    except ValueError as error:
        raise MessageError(f'metadata_json is not JSON: {error}') from error
    if not isinstance(values, dict):
        raise MessageError(f'metadata_json must be a JSON object, got {type(values).__name__}')
    return values


@dataclass(frozen=True)
class Received:
    """One message as it came."""

    topic: RecordedTopic
    arrived_s: float   # steady clock of this process; decides which episode it belongs to
    log_ns: int        # received, system clock; what the bag says
    publish_ns: int    # sent, by the publisher's clock
    sequence: int      # the publisher's count; 0 where the middleware has none
    data: bytes        # CDR


@dataclass(eq=False)
class Episode:
    """What is known while an episode is recorded."""

    name: str                  # also the id
    index: int
    task: str
    goal_id: str
    metadata: dict[str, Any]
    bag: BagWriter
    thread: BagThread
    written: Any               # future that is done when the writing thread has ended
    concluded: Any             # future with the episode's `Conclusion`
    start_s: float             # what arrived before this is not part of it, steady clock
    stop_s: float = math.inf   # nor what arrived after this
    phase: int = 1             # EpisodeInfo: recording, later how it ended
    discard: bool = False
    received: Counter[str] = field(default_factory=Counter)   # messages per topic

    def has(self, message: Received) -> bool:
        """Tell whether a message belongs to the episode."""
        return self.start_s <= message.arrived_s <= self.stop_s

    def take(self, message: Received) -> None:
        """Count a message and queue it for the disk."""
        self.received[message.topic.name] += 1
        self.thread.put(message.topic, message.log_ns, message.publish_ns, message.sequence,
                        message.data)

    @property
    def path(self) -> Path:
        """Folder of the bag."""
        return self.bag.path

    def set_aside(self) -> Path:
        """Move a discarded episode out of sight; nothing is deleted.

        Raises:
            BagError: If that fails; the episode's mark still says that it is discarded.
        """
        target = self.path.parent / DISCARDED_FOLDER / self.name
        try:
            target.parent.mkdir(exist_ok=True)
            if target.exists():
                raise FileExistsError(None, 'it exists')
            self.path.rename(target)
        except OSError as error:
            raise BagError(f'{self.path} cannot be moved to {target}: {without_path(error)}; its '
                           f'mark says DISCARDED, so ingest leaves it out anyway') from error
        return target
