"""Message stamps and integer nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from lewm_ros.wire.checks import MessageError
from std_msgs.msg import Header

NS = 1_000_000_000


def stamp_to_ns(stamp: Time) -> int:
    """Return integer nanoseconds of a stamp.

    Raises:
        MessageError: If it is before 1970 (`sec` is signed) or has a second's worth of
            nanoseconds or more: neither is a time.
    """
    if stamp.sec < 0 or stamp.nanosec >= NS:
        raise MessageError(f'a stamp must have sec >= 0 and nanosec < {NS}, got sec {stamp.sec} '
                           f'and nanosec {stamp.nanosec}')
    return stamp.sec * NS + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """Return the stamp of integer nanoseconds; messages cannot carry negative time."""
    if not 0 <= stamp_ns < 2 ** 31 * NS:
        raise MessageError(f'a stamp must be in [0, 2^31) s, got {stamp_ns} ns')
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def header(stamp_ns: int, frame_id: str = '') -> Header:
    """Build a message header."""
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)


def header_stamp_ns(message) -> int:
    """Return the header stamp of any stamped message; raises like `stamp_to_ns`."""
    return stamp_to_ns(message.header.stamp)
