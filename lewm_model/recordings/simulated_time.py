"""Times of receipt in the robot's own time, where that is a simulator's.

A recorder notes receipts by the system clock (ours, and `ros2 bag record` without
`--use-sim-time`), while headers are in the time of `/clock`. Messages without a header then share
no time with the others. If `/clock` was recorded too, its messages say what time it was for the
robot at each receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
import struct

import numpy as np

CLOCK_TOPIC, CLOCK_TYPE = '/clock', 'rosgraph_msgs/msg/Clock'
OTHER_CLOCK_NS = 10 * 10 ** 9   # times this far apart: not the same clock


def clock_ns(raw: bytes) -> int:
    """Return the time that a Clock message tells; `raw` are its CDR bytes."""
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 1_000_000_000 + nanoseconds


class SimulatedTime:
    """What `/clock` told, and when that was received."""

    def __init__(self) -> None:
        self._received: list[int] = []
        self._told: list[int] = []

    def add(self, received_ns: int, raw: bytes) -> None:
        """Take a Clock message in recorded order; one that is cut short is left out."""
        if len(raw) >= 12:
            self._received.append(received_ns)
            self._told.append(clock_ns(raw))

    def at(self, received_ns: np.ndarray) -> np.ndarray:
        """Return the robot's times at these receipts, int64 (N,).

        Between two readings time passes evenly, before the first and after the last one as fast
        as for the system, and where the clock jumped back it stands still until the jump.
        """
        received, told = np.array(self._received), np.array(self._told)
        last = np.clip(np.searchsorted(received, received_ns, side='right') - 1, 0, None)
        after = np.minimum(last + 1, len(told) - 1)
        passed = received_ns - received[last]
        span = np.maximum(received[after] - received[last], 1)
        share = np.where(after > last, np.clip(told[after] - told[last], 0, None) / span, 1.0)
        rate = np.where(received_ns < received[0], 1.0, share)
        return told[last] + np.round(passed * rate).astype(np.int64)

    def apply(self, tables: Mapping[str, np.ndarray], clocks: Mapping[str, str]
              ) -> dict[str, np.ndarray]:
        """Return the tables with receipts in the robot's time, if that is the one of `/clock`.

        Args:
            tables: Places in the recording, stamps and receipts of each role, int64 (3, N).
            clocks: 'header' or 'receive' of each role; a receipt is the stamp of the second.
        """
        headers = {role: stamps[stamps != 0] for role, (_, stamps, _) in tables.items()
                   if clocks[role] == 'header'}
        if not self._told or 'receive' not in clocks.values() or not all(
                self.is_clock_of(stamps) for stamps in headers.values() if len(stamps)):
            return dict(tables)
        mapped = {}
        for role, (places, stamps, received) in tables.items():
            at = self.at(received)
            mapped[role] = np.stack([places, at if clocks[role] == 'receive' else stamps, at])
        return mapped

    def is_clock_of(self, stamps_ns: np.ndarray) -> bool:
        """Tell whether these stamps are of the time of `/clock`, and receipts are not."""
        middle, told = np.median(stamps_ns), np.array(self._told)
        return bool(told.min() - OTHER_CLOCK_NS < middle < told.max() + OTHER_CLOCK_NS
                    and abs(np.median(np.array(self._received) - told)) > OTHER_CLOCK_NS)
