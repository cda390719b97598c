"""What the files of a recording have in common, whatever their format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from lewm_model.bags.unpack import decompress, MAX_BLOCK_BYTES, packing_of

Note = Callable[[str], None]     # told, in words, what was repaired or lost


@dataclass(frozen=True)
class Channel:
    """One stream of messages inside one file."""

    topic: str                          # as recorded
    type: str                           # such as sensor_msgs/msg/Image
    encoding: str                       # of the messages; ROS 2 records 'cdr'
    definition: tuple[str, str] | None  # ('msg' or 'idl', text), if the file has it


class RecordedFile(Protocol):
    """One opened file of a recording."""

    counts: dict[Channel, int]          # messages

    def messages(self, wanted: Callable[[Channel], bool]
                 ) -> Iterator[tuple[Channel, int, bytes]]:
        """Yield (channel, receive time [ns], bytes as recorded) of the wanted channels."""


def definition_of(encoding: str, text: str) -> tuple[str, str] | None:
    """Return a recorded message definition in our words, None if its language is not known."""
    kind = {'ros2msg': 'msg', 'ros2idl': 'idl', 'omgidl': 'idl'}.get(encoding)
    return (kind, text) if kind and text.strip() else None


def ros_type(name: str, encoding: str) -> str:
    """Return a type with its full name: old and foreign writers shorten it, as ROS 1 did."""
    package, _, kind = name.partition('/')
    return f'{package}/msg/{kind}' if (
        encoding == 'cdr' and package and kind and '/' not in kind) else name


def unpack_message(raw: bytes) -> bytes | None:
    """Undo message compression, which shows in the first bytes; None if it cannot be undone."""
    packing = packing_of(raw)
    if not packing:
        return raw
    try:
        # One byte more than allowed tells a message of the largest size from a bomb.
        data, complete = decompress(raw, packing, MAX_BLOCK_BYTES + 1)
    except ValueError:
        return None
    return data if complete and len(data) <= MAX_BLOCK_BYTES else None
