"""Write one MCAP file as it is recorded: bounded memory, and readable up to its last chunk.

Messages gather in a chunk that is written as one piece when it is full or old enough, so a
killed process loses at most the open chunk. After a write that failed, the file is cut back to
its last whole chunk. Format: https://mcap.dev/spec, profile `ros2`. No rclpy.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
import os
from pathlib import Path
import struct
import zlib

MAGIC = b'\x89MCAP0\r\n'
COMPRESSIONS = ('none', 'zstd')
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 1, 2, 3, 4, 5, 6
_MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS = 7, 8, 11
_METADATA, _METADATA_INDEX, _SUMMARY_OFFSET, _DATA_END = 12, 13, 14, 15
_NEVER = 2**63 - 1


def _record(opcode: int, *parts: bytes) -> bytes:
    body = b''.join(parts)
    return struct.pack('<BQ', opcode, len(body)) + body


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack('<I', len(data)) + data


def _map(values: dict[str, str]) -> bytes:
    body = b''.join(_text(key) + _text(value) for key, value in values.items())
    return struct.pack('<I', len(body)) + body


@dataclass
class _Chunk:
    """Messages that are not in the file yet."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    start_ns: int = _NEVER
    end_ns: int = 0
    index: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))


class McapWriter:
    """One file being written; not for use from several threads.

    Args:
        path: The new file; it must not exist.
        library: Written into the header, for people.
        compression: 'none' or 'zstd' (needs the `rosbags` package).
        chunk_bytes: A chunk of this size is written at once.

    Attributes:
        size: Bytes in the file.
        pending: Bytes of messages that are not in the file yet.
        counts: Messages per channel, those of `pending` included.
        messages: Their sum.
    """

    def __init__(self, path: Path, *, library: str = 'lewm_ros', compression: str = 'none',
                 chunk_bytes: int = 1 << 22) -> None:
        self._compress = _compressor(compression)
        self._compression = '' if compression == 'none' else compression
        self._chunk_bytes = chunk_bytes
        self._schemas: list[bytes] = []
        self._channels: list[bytes] = []
        self._chunk_indices: list[bytes] = []
        self._chunk = _Chunk()
        self._under_way = 0     # bytes that `flush` has not written yet, for other threads
        self.counts: dict[int, int] = {}
        self.messages = 0
        self.size = 0
        self.start_ns, self.end_ns = _NEVER, 0
        # Unbuffered: what was written is with the kernel, and nobody flushes half a chunk later.
        self._file: FileIO = open(path, 'xb', buffering=0)  # noqa: SIM115, closed by `close`
        try:
            self._append(MAGIC + _record(_HEADER, _text('ros2'), _text(library)))
        except BaseException:
            self._file.close()
            raise

    @property
    def pending(self) -> int:
        """Bytes that a kill would lose now."""
        return self._chunk.size + self._under_way

    def fileno(self) -> int:
        """Return the descriptor of the open file."""
        return self._file.fileno()

    def add_schema(self, name: str, encoding: str, text: str) -> int:
        """Add a message definition ('ros2msg' or 'ros2idl') and return its number."""
        number = len(self._schemas) + 1
        self._schemas.append(_record(_SCHEMA, struct.pack('<H', number), _text(name),
                                     _text(encoding), _text(text)))
        self._add(self._schemas[-1])
        return number

    def add_channel(self, schema: int, topic: str, metadata: dict[str, str]) -> int:
        """Add a topic with CDR messages and return its number."""
        number = len(self._channels) + 1
        self._channels.append(_record(_CHANNEL, struct.pack('<HH', number, schema), _text(topic),
                                      _text('cdr'), _map(metadata)))
        self.counts[number] = 0
        self._add(self._channels[-1])
        return number

    def write(self, channel: int, log_ns: int, publish_ns: int, sequence: int,
              data: bytes) -> None:
        """Add a message; raises OSError when its chunk cannot be written."""
        chunk = self._chunk
        chunk.start_ns, chunk.end_ns = min(chunk.start_ns, log_ns), max(chunk.end_ns, log_ns)
        chunk.index[channel].append(struct.pack('<QQ', log_ns, chunk.size))
        self.counts[channel] += 1
        self.messages += 1
        self._add(struct.pack('<BQHIQQ', _MESSAGE, 22 + len(data), channel,
                              sequence & 0xFFFFFFFF, log_ns, publish_ns), data)
        if chunk.size >= self._chunk_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the open chunk; raises OSError and leaves a file of whole chunks."""
        self._under_way = self._chunk.size
        try:
            self._write_chunk()
        finally:
            self._under_way = 0

    def _write_chunk(self) -> None:
        chunk, self._chunk = self._chunk, _Chunk()
        if not chunk.parts:
            return
        raw = b''.join(chunk.parts)
        stored = self._compress(raw)
        times = struct.pack('<QQ', *((chunk.start_ns, chunk.end_ns) if chunk.index else (0, 0)))
        record = _record(_CHUNK, times, struct.pack('<QI', len(raw), zlib.crc32(raw)),
                         _text(self._compression), struct.pack('<Q', len(stored)), stored)
        offset = self.size + len(record)
        offsets, indices = b'', []
        for channel, entries in chunk.index.items():
            offsets += struct.pack('<HQ', channel, offset)
            indices.append(_record(_MESSAGE_INDEX, struct.pack('<HI', channel, 16 * len(entries)),
                                   *entries))
            offset += len(indices[-1])
        about = _record(
            _CHUNK_INDEX, times, struct.pack('<QQ', self.size, len(record)),
            struct.pack('<I', len(offsets)), offsets,
            struct.pack('<Q', offset - self.size - len(record)), _text(self._compression),
            struct.pack('<QQ', len(stored), len(raw)))
        try:
            self._append(record, *indices)
        except OSError:
            for channel, entries in chunk.index.items():
                self.counts[channel] -= len(entries)  # they are not in the file
                self.messages -= len(entries)
            raise
        self._chunk_indices.append(about)
        if chunk.index:
            self.start_ns = min(self.start_ns, chunk.start_ns)
            self.end_ns = max(self.end_ns, chunk.end_ns)

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        os.fdatasync(self._file.fileno())

    def close(self, metadata: dict[str, str]) -> None:
        """Write the last chunk, a metadata record 'rosbag2' and the summary, and close.

        Raises:
            OSError: If there is no room; the file then ends with its last whole chunk.
        """
        try:
            self.flush()
            self._append(*self._end(metadata))
        finally:
            self._file.close()

    def abort(self) -> None:
        """Close without a summary; readers have to scan the file."""
        self._file.close()

    def _add(self, *parts: bytes) -> None:
        self._chunk.parts += parts
        self._chunk.size += sum(map(len, parts))

    def _append(self, *parts: bytes) -> None:
        """Write all of it, or cut the file back to where it was and raise OSError."""
        for part in parts:
            view = memoryview(part)
            try:
                while view:
                    view = view[self._file.write(view):]
            except OSError:
                with suppress(OSError):  # the first error is the one to tell
                    os.ftruncate(self._file.fileno(), self.size)
                    self._file.seek(self.size)
                raise
        self.size += sum(map(len, parts))

    def _end(self, metadata: dict[str, str]) -> list[bytes]:
        """Return everything after the last chunk; the offsets are those of the open file."""
        about = _record(_METADATA, _text('rosbag2'), _map(metadata))
        data_end = _record(_DATA_END, bytes(4))  # no checksum over the whole file
        counted = {channel: count for channel, count in self.counts.items() if count}
        groups = [
            (_SCHEMA, self._schemas), (_CHANNEL, self._channels),
            (_CHUNK_INDEX, self._chunk_indices),
            (_METADATA_INDEX, [_record(_METADATA_INDEX, struct.pack('<QQ', self.size, len(about)),
                                       _text('rosbag2'))]),
            (_STATISTICS, [_record(
                _STATISTICS,
                struct.pack('<QHIIIIQQI', sum(counted.values()), len(self._schemas),
                            len(self._channels), 0, 1, len(self._chunk_indices),
                            self.start_ns if counted else 0, self.end_ns, 10 * len(counted)),
                *(struct.pack('<HQ', *item) for item in counted.items()))])]
        start = offset = self.size + len(about) + len(data_end)
        parts, offsets = [about, data_end], []
        for opcode, records in groups:
            length = sum(map(len, records))
            if length:
                offsets.append(_record(_SUMMARY_OFFSET, struct.pack('<BQQ', opcode, offset,
                                                                    length)))
            parts += records
            offset += length
        footer = struct.pack('<BQQQ', _FOOTER, 20, start, offset)
        crc = zlib.crc32(b''.join([*parts[2:], *offsets, footer]))
        return [*parts, *offsets, footer + struct.pack('<I', crc) + MAGIC]


def _compressor(name: str):
    if name == 'none':
        return lambda raw: raw
    from rosbags.rosbag2.storage_mcap import zstd  # the library's, or its backport

    return lambda raw: zstd.compress(raw, 1)  # 1: the level that keeps up with a camera
