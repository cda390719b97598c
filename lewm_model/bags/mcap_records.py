"""The records of MCAP files (https://mcap.dev/spec), for files that may be damaged anywhere.

Here: bytes to records. Where they are in a file is `mcap_walk`, what they make together is
`mcap_file`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import struct
from typing import BinaryIO, NamedTuple
import zlib

from lewm_model.bags.storage import Channel, definition_of, ros_type
from lewm_model.bags.unpack import decompress, MAX_BLOCK_BYTES

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END = (
    2, 3, 4, 5, 6, 8, 11, 15)
NEVER_NS = 2 ** 64 - 1
LAST_NS = 2 ** 63 - 1      # of a signed time, which all of ROS has

record_head = struct.Struct('<BQ').unpack_from             # opcode, length
message_head = struct.Struct('<HIQQ').unpack_from        # channel, sequence, log and publish time
chunk_head = struct.Struct('<QQQII').unpack_from         # start, end, size, crc, length of string
FOOTER_BYTES = 9 + 20 + len(MAGIC)


class DamagedError(ValueError):
    """The bytes are not what the format says."""


@dataclass(frozen=True)
class Span:
    """A piece of the file that is read at once: a chunk, or records outside of chunks."""

    offset: int          # of its first record
    end: int             # of its last byte, plus one; the end of the file if it is cut short
    start_ns: int        # no message in it is older
    chunk: bool
    whole: bool          # whether it ends where it says it does


class Message(NamedTuple):
    """Where one message is inside a block of records."""

    channel_id: int
    time_ns: int         # receive time
    start: int
    end: int


class Definitions:
    """Schemas and channels met so far in one file."""

    def __init__(self) -> None:
        self.channels: dict[int, Channel] = {}
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._described: dict[int, tuple[int, str, str]] = {}   # schema, topic, encoding

    def add(self, opcode: int, record: memoryview) -> None:
        """Take a schema or channel record.

        Raises:
            DamagedError: If it contradicts an earlier one of the same number.
        """
        number = struct.unpack_from('<H', record)[0]
        if opcode == SCHEMA:
            name, after = _text(record, 2)
            encoding, after = _text(record, after)
            schema = name, encoding, _text(record, after)[0]
            if self._schemas.setdefault(number, schema) != schema:
                raise DamagedError(f'schema {number} has two meanings')
            for channel, (reference, *_) in self._described.items():
                if reference == number:     # a summary may leave the schemas to the chunks
                    self.channels[channel] = self._channel(channel)
        else:
            topic, after = _text(record, 4)
            described = struct.unpack_from('<H', record, 2)[0], topic, _text(record, after)[0]
            if self._described.setdefault(number, described) != described:
                raise DamagedError(f'channel {number} has two meanings')
            self.channels[number] = self._channel(number)

    @property
    def complete(self) -> bool:
        """Whether the schema of every channel that has one is known."""
        return all(reference in self._schemas for reference, *_ in self._described.values()
                   if reference)

    def _channel(self, number: int) -> Channel:
        reference, topic, encoding = self._described[number]
        name, kind, text = self._schemas.get(reference, ('unknown', '', ''))
        return Channel(topic, ros_type(name, encoding), encoding, definition_of(kind, text))


def read_records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (opcode, start, end) of the contents of each record.

    Raises:
        DamagedError: At the first record that does not fit, with its place in `data`.
    """
    start, size = 0, len(data)
    while start < size:
        if size - start < 9:
            raise DamagedError(f'{size - start} bytes are no record')
        opcode, length = record_head(data, start)
        end = start + 9 + length
        if opcode == 0 or end > size:
            raise DamagedError(f'the record at byte {start} of the block does not end inside it'
                               if opcode else f'no record at byte {start} of the block')
        yield opcode, start + 9, end
        start = end


def read_messages(data: bytes, definitions: Definitions) -> Iterator[Message]:
    """Yield the messages of a block of records; definitions in it are added.

    Raises:
        DamagedError: At the first thing that cannot be; what was yielded before is valid.
    """
    view = memoryview(data)
    for opcode, start, end in read_records(data):
        if opcode == MESSAGE:
            if end - start < 22:
                raise DamagedError(f'a message record of {end - start} bytes')
            channel, _, time_ns, _ = message_head(data, start)
            yield Message(channel, time_ns, start + 22, end)
        elif opcode in (SCHEMA, CHANNEL):
            try:
                definitions.add(opcode, view[start:end])
            except struct.error as error:
                raise DamagedError(f'a definition is cut short: {error}') from error
        elif opcode == CHUNK:
            raise DamagedError('a chunk inside a chunk')


def load(stream: BinaryIO, span: Span) -> bytes:
    """Read and decompress a span.

    Raises:
        DamagedError: If a checksum or size is wrong, or it grows beyond `MAX_BLOCK_BYTES`. A
            chunk that is cut short gives what is there instead.
    """
    stream.seek(span.offset)
    data = stream.read(span.end - span.offset)
    if not span.chunk:
        return data
    _, _, size, crc, name_length = chunk_head(data, 9)
    packing = data[41:41 + name_length].decode('ascii', 'replace')
    body = 41 + name_length + 8
    if size > MAX_BLOCK_BYTES:
        raise DamagedError(f'it would take {size >> 20} MiB decompressed, more than the '
                           f'{MAX_BLOCK_BYTES >> 20} MiB accepted')
    stated = struct.unpack_from('<Q', data, body - 8)[0]
    packed, complete = data[body:body + stated], False
    try:
        block, complete = (decompress(packed, packing, size + 1) if packing
                           else (packed, len(packed) == stated))
    except ValueError as error:
        raise DamagedError(str(error)) from error
    if span.whole:
        if len(block) != size or not complete:
            raise DamagedError(f'it has {len(block)} bytes instead of {size}')
        if crc and zlib.crc32(block) != crc:
            raise DamagedError('its checksum is wrong')
    return block[:size]


@dataclass(frozen=True)
class Summary:
    """What a finished file says about itself at its end."""

    definitions: Definitions
    counts: dict[int, int] | None       # messages per channel
    chunk_offsets: tuple[int, ...]


def read_summary(stream: BinaryIO, size: int) -> Summary | None:
    """Read the summary; None if there is none or it cannot be trusted."""
    if size < len(MAGIC) + FOOTER_BYTES:
        return None
    stream.seek(size - FOOTER_BYTES)
    footer = stream.read(FOOTER_BYTES)
    if footer[-8:] != MAGIC or record_head(footer) != (FOOTER, 20):
        return None
    start, _, crc = struct.unpack_from('<QQI', footer, 9)
    if not start:
        return Summary(Definitions(), None, ())   # it is whole, its writer left the summary out
    if not len(MAGIC) <= start <= size - FOOTER_BYTES or size - start > MAX_BLOCK_BYTES:
        return None
    stream.seek(start)
    data = stream.read(size - FOOTER_BYTES - start)
    if crc and zlib.crc32(footer[:25], zlib.crc32(data)) != crc:
        return None
    definitions, counts, offsets = Definitions(), None, []
    view = memoryview(data)
    try:
        for opcode, begin, end in read_records(data):
            if opcode in (SCHEMA, CHANNEL):
                definitions.add(opcode, view[begin:end])
            elif opcode == CHUNK_INDEX:
                offsets.append(struct.unpack_from('<Q', data, begin + 16)[0])
            elif opcode == STATISTICS:
                length = struct.unpack_from('<I', data, begin + 42)[0]
                counts = dict(struct.iter_unpack('<HQ', view[begin + 46:begin + 46 + length]))
    except (DamagedError, struct.error):
        return None
    # Schemas may stand in the data only; then it has to be read to know the types.
    return Summary(definitions, counts if definitions.complete else None, tuple(sorted(offsets)))


def _text(record: memoryview, start: int) -> tuple[str, int]:
    """Return the string at `start` and where it ends."""
    length = struct.unpack_from('<I', record, start)[0]
    end = start + 4 + length
    if end > len(record):
        raise DamagedError('a string is cut short')
    return bytes(record[start + 4:end]).decode('utf-8', 'replace'), end
