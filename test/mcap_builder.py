"""Build MCAP files record by record, so that a test decides what is in them and what is wrong."""

from __future__ import annotations

import struct
import zlib

from lewm_model.bags.interfaces import default_typestore
from lewm_model.bags.unpack import import_packing

MAGIC = b'\x89MCAP0\r\n'
PACK = {'': lambda data: data,
        **{name: import_packing(name).compress for name in ('zstd', 'lz4')}}


def record(opcode: int, content: bytes) -> bytes:
    """Frame one record."""
    return struct.pack('<BQ', opcode, len(content)) + content


def text(value: str) -> bytes:
    """Encode a string."""
    data = value.encode()
    return struct.pack('<I', len(data)) + data


HEAD = MAGIC + record(1, text('ros2') + text('test'))


def schema(number: int, name: str, definition: str, encoding: str = 'ros2msg') -> bytes:
    """Build a schema record."""
    return record(3, struct.pack('<H', number) + text(name) + text(encoding) + text(definition))


def channel(number: int, schema_number: int, topic: str, encoding: str = 'cdr') -> bytes:
    """Build a channel record."""
    return record(4, struct.pack('<HH', number, schema_number) + text(topic) + text(encoding)
                  + struct.pack('<I', 0))


def message(number: int, time_ns: int, raw: bytes) -> bytes:
    """Build a message record."""
    return record(5, struct.pack('<HIQQ', number, 0, time_ns, time_ns) + raw)


def chunk(records: bytes, times: list[int], packing: str = 'zstd', *, crc: bool = True,
          stated_bytes: int | None = None) -> bytes:
    """Build a chunk record; `stated_bytes` replaces the true uncompressed size."""
    packed = PACK[packing](records)
    return record(6, struct.pack(
        '<QQQI', min(times, default=0), max(times, default=0),
        len(records) if stated_bytes is None else stated_bytes,
        zlib.crc32(records) if crc else 0)
        + text(packing) + struct.pack('<Q', len(packed)) + packed)


def build(messages: list[tuple[str, str, int, bytes]], *, packing: str = 'zstd',
          per_chunk: int | None = 5, crc: bool = True, summary: bool = True,
          definitions: dict[str, str] | None = None) -> bytes:
    """Build a whole file.

    Args:
        messages: (topic, type, receive time [ns], CDR bytes).
        packing: Of the chunks: '', 'zstd' or 'lz4'.
        per_chunk: Messages a chunk; None writes no chunks.
        crc: Whether chunks have checksums.
        summary: Whether the file has a summary.
        definitions: Message definitions by type; without, those of the default types.
    """
    store = default_typestore()
    schemas, channels, heads = {}, {}, {}
    counts: dict[int, int] = {}
    data = HEAD
    indexes, block, times = b'', b'', []
    for place, (topic, kind, time_ns, raw) in enumerate(messages):
        if kind not in schemas:
            schemas[kind] = len(schemas) + 1
            definition = (definitions[kind] if definitions is not None
                          else store.generate_msgdef(kind, ros_version=2)[0])
            heads[kind] = schema(schemas[kind], kind, definition)
            block += heads[kind]
        if (topic, kind) not in channels:
            channels[topic, kind] = len(channels) + 1
            heads[topic, kind] = channel(channels[topic, kind], schemas[kind], topic)
            block += heads[topic, kind]
        number = channels[topic, kind]
        counts[number] = counts.get(number, 0) + 1
        block += message(number, time_ns, raw)
        times.append(time_ns)
        if place + 1 == len(messages) or (per_chunk and len(times) == per_chunk):
            piece = block if per_chunk is None else chunk(block, times, packing, crc=crc)
            if per_chunk is not None:
                indexes += record(8, struct.pack(
                    '<QQQQIQ', min(times), max(times), len(data), len(piece), 0, 0)
                    + text(packing) + struct.pack('<QQ', len(piece), len(block)))
            data += piece
            block, times = b'', []
    data += record(15, struct.pack('<I', 0))
    start = len(data) if summary else 0
    if summary:
        data += b''.join(heads.values()) + indexes + record(11, struct.pack(
            '<QHIIIIQQ', len(messages), len(schemas), len(channels), 0, 0,
            -(-len(messages) // per_chunk) if per_chunk else 0,
            min(time for _, _, time, _ in messages), max(time for _, _, time, _ in messages))
            + struct.pack('<I', 10 * len(counts))
            + b''.join(struct.pack('<HQ', *item) for item in counts.items()))
    foot = struct.pack('<BQQQ', 2, 20, start, 0)
    crc_of_summary = zlib.crc32(data[start:] + foot) if summary else 0
    return data + foot + struct.pack('<I', crc_of_summary) + MAGIC
