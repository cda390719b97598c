"""Where the records of an MCAP file are, found without its summary."""

from __future__ import annotations

from typing import BinaryIO

from lewm_model.bags.mcap_records import (
    CHANNEL,
    CHUNK,
    chunk_head,
    DATA_END,
    FOOTER,
    MAGIC,
    MESSAGE,
    message_head,
    NEVER_NS,
    record_head,
    SCHEMA,
    Span,
)
from lewm_model.bags.unpack import MAX_BLOCK_BYTES

_SPAN_BYTES = 1 << 20      # records outside chunks are read in pieces of about this size


class Walk:
    """Finds the spans of a file by going from record head to record head.

    Args:
        stream: The file.
        size: Its length [bytes].
        again_at: Where to go on after a place without records, ascending; from the summary.

    Attributes:
        spans: The spans.
        gaps: (first byte, byte after the last) of what is no record.
        cut: Where a record starts that the end of the file cuts short, or None.
        finished: Whether the mark at the end of the data was met.
        too_large: (offset, bytes) of messages that are left out for their size.
    """

    def __init__(self, stream: BinaryIO, size: int, again_at: tuple[int, ...] = ()) -> None:
        self.spans: list[Span] = []
        self.gaps: list[tuple[int, int]] = []
        self.too_large: list[tuple[int, int]] = []
        self.cut: int | None = None
        self.finished = False
        self._again_at = again_at
        self._open: tuple[int, int] | None = None    # start and first time of a span being grown
        position = len(MAGIC)
        while position < size and not self.finished:
            following = self._step(stream, position, size)
            if following is None:
                self._close(position)
                following = next((offset for offset in again_at if offset > position), size)
                if self.cut is None or following < size:
                    self.gaps.append((position, following))
                    self.cut = None
            position = following
        self._close(min(position, size))

    def _step(self, stream: BinaryIO, position: int, size: int) -> int | None:
        """Take the record at `position`; return where the next one is, None if there is none.

        A record that runs over the end of the file is `cut`, unless the summary knows better.
        """
        stream.seek(position)
        data = stream.read(64)
        if len(data) < 9:
            self.cut = position
            return None
        opcode, length = record_head(data)
        end = position + 9 + length
        if opcode == 0:
            return None
        if opcode in (DATA_END, FOOTER):
            self.finished = True
            self._close(position)
            return position
        if opcode == CHUNK:
            return self._take_chunk(data, position, end, size)
        if end > size:
            self.cut = position
            return None
        if opcode == MESSAGE and length > MAX_BLOCK_BYTES:
            self._close(position)
            self.too_large.append((position, length))
        elif opcode in (MESSAGE, SCHEMA, CHANNEL):
            time_ns = message_head(data, 9)[2] if opcode == MESSAGE and length >= 22 else NEVER_NS
            start, first_ns = self._open or (position, NEVER_NS)
            self._open = start, min(first_ns, time_ns)
            if end - start > _SPAN_BYTES:
                self._close(end)
        else:
            self._close(position)
        return end

    def _take_chunk(self, data: bytes, position: int, end: int, size: int) -> int | None:
        self._close(position)
        head_bytes = 41 + chunk_head(data, 9)[4] + 8 if len(data) >= 41 else size
        if head_bytes > 64 or position + head_bytes > size:
            if end > size:
                self.cut = position
            return None
        start_ns, end_ns, block_bytes, _, name_length = chunk_head(data, 9)
        if end > size and any(offset > position for offset in self._again_at):
            return None       # not the end of the file is missing: the length is wrong
        if not name_length and (end > size or block_bytes > MAX_BLOCK_BYTES):
            return position + head_bytes    # not compressed: its records lie in the file as such
        if min(end, size) - position > 2 * MAX_BLOCK_BYTES:
            return None   # would not fit in memory, and no writer makes such chunks
        # An empty chunk says 0 for both times.
        self.spans.append(Span(position, min(end, size), start_ns if end_ns else NEVER_NS, True,
                               end <= size))
        return end if end <= size else size

    def _close(self, end: int) -> None:
        if self._open is not None:
            self.spans.append(Span(self._open[0], end, self._open[1], False, True))
        self._open = None
