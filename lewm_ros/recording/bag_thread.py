"""Messages on their way to the disk: a queue bounded in bytes, and the thread that empties it.

The disk may stop for seconds; the executor that takes messages must not. What does not fit is
counted, never lost silently. No rclpy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
import os
import threading
import time

from lewm_model.errors import BagError
from lewm_ros.recording.bag_writer import BagWriter, RecordedTopic

_OVERHEAD = 200  # bytes a queued message costs beside its data


@dataclass(frozen=True)
class WriterSettings:
    """How the writing thread works."""

    queue_bytes: int = 256 << 20   # more than this waiting for the disk is dropped
    chunk_s: float = 0.5           # an open chunk is written at this age; a kill loses it
    sync_s: float = 5.0            # how often the disk is told to store; a power cut loses this
    min_free_bytes: int = 100 << 20  # recording ends properly before the disk is full


@dataclass(frozen=True)
class WriterReport:
    """How the writing goes."""

    written_bytes: int             # in the file
    messages: int                  # in the file and the open chunk
    queued_bytes: int
    queue_high_bytes: int          # most that ever waited
    dropped: int                   # did not fit into the queue, or came after an error
    longest_write_s: float         # one write or sync of the disk
    error: str                     # why writing ended early, for people


@dataclass(frozen=True)
class _Message:
    topic: RecordedTopic
    log_ns: int
    publish_ns: int
    sequence: int
    data: bytes


class BagThread:
    """Writes one bag in a thread of its own; `put` never waits.

    Args:
        bag: The bag; only the thread touches it from now on.
        settings: Limits and intervals.
        on_end: Called by the thread when it is done, with everything on disk.
    """

    def __init__(self, bag: BagWriter, settings: WriterSettings,
                 on_end: Callable[[], None] = lambda: None) -> None:
        self._bag = bag
        self._settings = settings
        self._on_end = on_end
        self._queue: deque[_Message] = deque()
        self._changed = threading.Condition()
        self._queued = self._high = self._dropped = 0
        self._longest_s = 0.0
        self._error = ''
        self._custom: dict[str, str] | None = None   # set: write what is queued and close
        self._numbers: dict[str, int] = {}
        # a daemon: a disk that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name=f'write {bag.path.name}',
                                        daemon=True)
        self._thread.start()

    def put(self, topic: RecordedTopic, log_ns: int, publish_ns: int, sequence: int,
            data: bytes, *, must: bool = False) -> bool:
        """Queue one message; return False if there is no room, or no disk any more.

        Args:
            topic: Written into the bag with its first message.
            log_ns: When it was received [ns].
            publish_ns: When it was sent [ns].
            sequence: The publisher's count.
            data: CDR bytes.
            must: Take it even if there is no room, as for the marks of an episode.
        """
        size = len(data) + _OVERHEAD
        with self._changed:
            full = not must and self._queued + size > self._settings.queue_bytes
            if self._error or full:
                self._dropped += 1
                return False
            self._queue.append(_Message(topic, log_ns, publish_ns, sequence, data))
            self._queued += size
            self._high = max(self._high, self._queued)
            self._changed.notify()
        return True

    def finish(self, custom: dict[str, str]) -> None:
        """Let the thread write what is queued, close the bag and end."""
        with self._changed:
            self._custom = custom
            self._changed.notify()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread's end; return False if it has not come by then."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def report(self) -> WriterReport:
        """Say how it goes; may be called from any thread."""
        with self._changed:
            return WriterReport(
                written_bytes=self._bag.size, messages=self._bag.messages,
                queued_bytes=self._queued, queue_high_bytes=self._high, dropped=self._dropped,
                longest_write_s=self._longest_s, error=self._error)

    # In the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_all()
            if not self._error:
                self._timed(self._bag.close, self._custom)
        except (BagError, OSError) as error:
            self._fail(str(error))
        except Exception as error:  # a bug is reported, too, before it ends the thread
            self._fail(f'{self._bag.path}: the writer failed: {error!r}')
            raise
        finally:
            self._on_end()

    def _write_all(self) -> None:
        """Write until `finish` was called and the queue is empty, or the disk refuses."""
        flushed_s = synced_s = time.monotonic()
        while True:
            with self._changed:
                if not self._queue and self._custom is None:
                    self._changed.wait(self._settings.chunk_s)
                message = self._queue.popleft() if self._queue else None
                if message is None and self._custom is not None:
                    return
            if message is not None:
                self._write(message)
            now_s = time.monotonic()
            if now_s - flushed_s < self._settings.chunk_s:
                continue
            flushed_s = now_s
            sync = 0 < self._settings.sync_s <= now_s - synced_s
            synced_s = now_s if sync else synced_s
            self._timed(self._bag.flush, sync=sync)
            self._check_free()

    def _write(self, message: _Message) -> None:
        with self._changed:
            self._queued -= len(message.data) + _OVERHEAD
        number = self._numbers.get(message.topic.name)
        if number is None:
            number = self._numbers[message.topic.name] = self._bag.add_topic(message.topic)
        self._timed(self._bag.write, number, message.log_ns, message.publish_ns,
                    message.sequence, message.data)

    def _check_free(self) -> None:
        about = os.statvfs(self._bag.path)
        free = about.f_bavail * about.f_frsize
        if free < self._settings.min_free_bytes:
            raise BagError(f'{self._bag.path}: only {free >> 20} MB are free, recording ends at '
                           f'{self._settings.min_free_bytes >> 20} MB; make room')

    def _timed(self, act: Callable, *arguments, **options) -> None:
        start_s = time.monotonic()
        act(*arguments, **options)
        self._longest_s = max(self._longest_s, time.monotonic() - start_s)

    def _fail(self, error: str) -> None:
        """Drop what waits, and close the file as well as the disk allows."""
        with self._changed:
            self._error = error
            self._dropped += len(self._queue)
            self._queue.clear()
            self._queued = 0
        with suppress(BagError, ValueError):  # no room for the index: readers scan; or closed
            self._bag.close({'lewm_error': error})
