"""The order in which an epoch shows its clips: a shuffle that any part of can be asked for.

Up to `DRAWN_BELOW` clips the order is drawn and kept (8 bytes per clip). Beyond that it is
computed for the places that are asked for, so that memory does not grow with the data and a rank
never holds what others read.
"""

from __future__ import annotations

import numpy as np

DRAWN_BELOW = 1 << 24   # clips; 128 MiB and about a second per epoch
_ROUNDS = 6             # of the Feistel network; 4 suffice for a pseudo-random permutation


class EpochOrder:
    """A permutation of range(count), a pure function of (count, seed, epoch).

    Args:
        count: Clips.
        seed: Of the run.
        epoch: Each has an order of its own.
        drawn_below: From this count on, places are computed instead of drawn.
    """

    def __init__(self, count: int, seed: int, epoch: int, *,
                 drawn_below: int = DRAWN_BELOW) -> None:
        self._count = count
        rng = np.random.default_rng([seed, epoch])
        self._drawn = rng.permutation(count) if count < drawn_below else None
        self._half_bits = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
        self._keys = () if self._drawn is not None else tuple(
            rng.integers(0, 2 ** 64, size=_ROUNDS, dtype=np.uint64))

    def __len__(self) -> int:
        return self._count

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the clips at these places, int64, the shape of `places`."""
        if self._drawn is not None:
            return self._drawn[places]
        values = self._encrypt(places.astype(np.uint64))
        # The network permutes a power of four: walk on until inside, which keeps it one to one.
        while (outside := values >= self._count).any():
            values[outside] = self._encrypt(values[outside])
        return values.astype(np.int64)

    def _encrypt(self, values: np.ndarray) -> np.ndarray:
        bits = np.uint64(self._half_bits)
        mask = np.uint64((1 << self._half_bits) - 1)
        left, right = values >> bits, values & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right + key) & mask)
        return (left << bits) | right


def _mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64 bits (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return values ^ (values >> np.uint64(31))
