"""One MCAP file, whole or damaged, as messages in the order they were received."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
import os
from pathlib import Path
from typing import BinaryIO

from lewm_model.bags.mcap_records import (
    DamagedError,
    Definitions,
    LAST_NS,
    load,
    MAGIC,
    Message,
    NEVER_NS,
    read_messages,
    read_summary,
    Span,
    Summary,
)
from lewm_model.bags.mcap_walk import Walk
from lewm_model.bags.storage import Channel, Note
from lewm_model.errors import BagError

# Chunks whose times overlap are held until they can be merged, up to this many bytes.
REORDER_BYTES = 256 << 20


class McapFile:
    """Reads one file by its records; the summary at its end is used where it agrees with them.

    Memory holds one chunk, or those whose times overlap up to `REORDER_BYTES`.

    Args:
        name: What to call the file.
        local: Returns where it can be read.
        note: Told what was lost, with byte offsets.

    Raises:
        BagError: If it is no MCAP file.
    """

    def __init__(self, name: str, local: Callable[[], Path], note: Note) -> None:
        self._name, self._local, self._note = name, local, note
        self._definitions = Definitions()
        self._spans: list[Span] = []
        self.counts: dict[Channel, int] = {}
        with local().open('rb') as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(len(MAGIC))
            if not size:
                note(f'{name}: is empty (0 bytes)')
            elif head != MAGIC[:len(head)]:
                raise BagError(f'{name} is no MCAP file: it begins with {head!r}')
            else:
                self._index(stream, size)

    def messages(self, wanted: Callable[[Channel], bool]
                 ) -> Iterator[tuple[Channel, int, bytes]]:
        """Yield (channel, receive time [ns], bytes), sorted by time within the reorder window."""
        # Message and the block it lies in; blocks are freed with their last message.
        waiting: list[tuple[Message, bytes]] = []
        held_bytes, last_ns = 0, 0
        later_ns = self._earliest_later()
        with self._local().open('rb') as stream:
            for span, horizon_ns in zip(self._spans, later_ns, strict=True):
                block, messages = self._read(stream, span)
                held_bytes += len(block)
                waiting += [(message, block) for message in messages]
                waiting.sort(key=_time)
                if held_bytes > REORDER_BYTES:
                    horizon_ns = NEVER_NS
                count = bisect_right(waiting, horizon_ns, key=_time)
                chosen = {number: channel for number, channel in
                          self._definitions.channels.items() if wanted(channel)}
                for message, block in waiting[:count]:
                    channel = chosen.get(message.channel_id)
                    if channel is not None:
                        if message.time_ns < last_ns:
                            self._note(f'{self._name}: receive times go back by more than the '
                                       f'reorder window of {REORDER_BYTES >> 20} MiB; messages '
                                       f'come as they lie in the file')
                        last_ns = message.time_ns
                        yield channel, message.time_ns, block[message.start:message.end]
                del waiting[:count]
                held_bytes = sum(map(len, {id(block): block for _, block in waiting}.values()))

    def _index(self, stream: BinaryIO, size: int) -> None:
        """Find the spans, the channels and how many messages each has."""
        summary = read_summary(stream, size)
        walk = Walk(stream, size, summary.chunk_offsets if summary else ())
        self._spans = walk.spans
        self._report(walk, size, summary)
        chunks = sum(span.chunk for span in walk.spans)
        if (summary and summary.counts is not None and walk.finished and not walk.gaps
                and not walk.too_large and chunks == len(summary.chunk_offsets)
                and summary.counts.keys() <= summary.definitions.channels.keys()):
            self._definitions, counts = summary.definitions, Counter(summary.counts)
        else:
            if summary:
                self._definitions = summary.definitions
            counts = Counter(message.channel_id for span in walk.spans
                             for message in self._read(stream, span)[1])
        for number, channel in self._definitions.channels.items():
            self.counts[channel] = self.counts.get(channel, 0) + counts[number]

    def _read(self, stream: BinaryIO, span: Span) -> tuple[bytes, list[Message]]:
        """Return a span's bytes and messages, as far as they are valid."""
        messages: list[Message] = []
        block, unknown, late = b'', Counter(), 0
        try:
            block = load(stream, span)
            known = self._definitions.channels
            for message in read_messages(block, self._definitions):
                if message.channel_id in known and message.time_ns <= LAST_NS:
                    messages.append(message)
                elif message.channel_id in known:
                    late += 1
                else:
                    unknown[message.channel_id] += 1
        except DamagedError as error:
            if span.whole:
                self._note(f'{self._name}: the {"chunk" if span.chunk else "block of records"} at '
                           f'bytes {span.offset} to {span.end} is damaged ({error}); '
                           f'{len(messages)} messages of it are kept')
        if not span.whole:
            self._note(f'{self._name}: cut short at byte {span.end} inside the chunk that starts '
                       f'at byte {span.offset}; {len(messages)} messages of it are kept')
        if unknown:
            self._note(f'{self._name}: {unknown.total()} messages at bytes {span.offset} to '
                       f'{span.end} belong to channels whose description is lost; left out')
        if late:
            self._note(f'{self._name}: {late} messages at bytes {span.offset} to {span.end} have '
                       f'receive times beyond the year 2262; left out')
        return block, messages

    def _report(self, walk: Walk, size: int, summary: Summary | None) -> None:
        for start, end in walk.gaps:
            self._note(f'{self._name}: bytes {start} to {end} hold no records; lost, '
                       + ('reading goes on after them with the help of the summary'
                          if end < size else 'messages before them are kept'))
        for offset, length in walk.too_large:
            self._note(f'{self._name}: the message at byte {offset} has {length} bytes, more than '
                       f'is accepted; left out')
        if walk.cut is not None:
            self._note(f'{self._name}: cut short at byte {size} inside the record that starts at '
                       f'byte {walk.cut}; messages before it are kept')
        elif not walk.finished and not walk.gaps and all(span.whole for span in walk.spans):
            self._note(f'{self._name}: was not finished, it ends at byte {size} without an end '
                       f'mark; all whole records are kept')
        elif walk.finished and summary is None:
            self._note(f'{self._name}: the summary at its end is missing or damaged; the data '
                       f'before it was read instead')

    def _earliest_later(self) -> list[int]:
        """Return, for each span, the first time that any span after it may hold."""
        later, earliest = [], NEVER_NS
        for span in reversed(self._spans):
            later.append(earliest)
            earliest = min(earliest, span.start_ns)
        return later[::-1]


def _time(entry: tuple[Message, bytes]) -> int:
    return entry[0].time_ns
