"""Two publishers of the same joints on one topic: found from what the messages say.

Neither a bag nor a subscription tells who sent a message. Two sources show in two ways: the same
joint comes with several frame_ids, or its value jumps away and back, again and again. A joint that
moves seldom comes back to where it was within a few messages, with a jump both ways; noise does,
but by less than `MIN_JUMP`. One that is shaken, such as a simulated one under random commands,
does too; but its values do not part into two series that each move little.

Usual causes: `joint_state_publisher` (zeros) beside the driver, or two drivers of one arm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

MIN_JUMP = 0.02      # [rad] or [m], and this share of the joint's range so far:
RANGE_SHARE = 0.1    # smaller jumps may be noise
BACK = 0.3           # of the jump: how near to its old value a joint has to come back
WITHIN = 4           # messages after which a jump is no longer expected back
TURN = 0.3           # [rad], around a whole turn: a joint reported from -pi to pi goes round
RETURNS = 6          # so many returns among
AMONG = 60           # so many messages of a joint are two publishers, if
PARTED = 0.12        # two series move by less than this share of what all of them move: 0.07 at
#                      most of a driver and zeros, 0.35 and more of random speeds


@dataclass
class _Joint:
    """What is known of one joint."""

    count: int = 0
    value: float = np.nan
    low: float = np.inf
    high: float = -np.inf
    base: float = np.nan      # value before the last jump
    jump: float = 0.0         # of the last jump, with its sign
    jumped: int = -WITHIN     # message of the last jump
    source: str | None = None
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=AMONG))


class PublisherConflict:
    """Watches the messages of one topic for a second publisher of the same joints.

    Attributes:
        reason: Why there are two publishers, in words; '' as long as there is no sign of it.
    """

    def __init__(self) -> None:
        self.reason = ''
        self._joints: dict[str, _Joint] = {}
        self._returns: dict[str, deque[int]] = {}

    def add(self, names: Sequence[str], values: Sequence[float], source: str | None = None
            ) -> bool:
        """Take the values of one message; return True once there are two publishers.

        Args:
            names: Joints, or other names of values, that the message gives.
            values: Their positions; numbers that are not finite are left out.
            source: What tells the publisher apart, such as the header's frame_id; None if nothing
                does.
        """
        for name, value in zip(names, values, strict=True):
            if self.reason:
                break
            if np.isfinite(value):
                self._take(name, float(value), source)
        return bool(self.reason)

    def _take(self, name: str, value: float, source: str | None) -> None:
        joint = self._joints.setdefault(name, _Joint())
        if joint.count and source is not None and joint.source not in (None, source):
            self.reason = (f'{name} is published with the frame_ids {joint.source[:60]!r} '
                           f'({joint.value:.4g}) and {source[:60]!r} ({value:.4g})')
        joint.source = source
        joint.recent.append(value)
        joint.count += 1
        joint.low, joint.high = min(joint.low, value), max(joint.high, value)
        step = value - joint.value
        turned = abs(abs(step) - 2 * np.pi) < TURN   # an angle at +-pi is one place
        least = max(MIN_JUMP, RANGE_SHARE * (joint.high - joint.low))
        if joint.count > 1 and not turned and abs(step) > least:
            if (joint.count - joint.jumped <= WITHIN and step * joint.jump < 0
                    and abs(value - joint.base) <= BACK * abs(joint.jump)):
                self._returned(name, joint, value)
            joint.base, joint.jump, joint.jumped = joint.value, step, joint.count
        joint.value = value

    def _returned(self, name: str, joint: _Joint, value: float) -> None:
        returns = self._returns.setdefault(name, deque(maxlen=RETURNS))
        returns.append(joint.count)
        if (len(returns) == RETURNS and joint.count - returns[0] < AMONG
                and parted(joint.recent) < PARTED):
            self.reason = self.reason or (
                f'{name} jumps between two values and back, {RETURNS} times in '
                f'{joint.count - returns[0] + 1} messages, last {joint.value:.4g} and {value:.4g}')


def parted(values: Sequence[float]) -> float:
    """Return how much two series of the values move, as a share of how much all of them do.

    Two publishers give two smooth series that lie apart; one joint that is shaken does not.
    """
    steps = [abs(after - before) for before, after in pairwise(values)]
    total = sum(steps)
    if not total:
        return 1.0
    # where the second series begins is not known: several sizes of a first jump are tried
    return min(_within(values, share * max(steps)) for share in (0.0, 0.1, 0.5)) / total


def _within(values: Sequence[float], least: float) -> float:
    """Return how much two series move: each value goes on with the nearer one.

    Args:
        values: Of both, one after the other.
        least: The first value further than this from the first series begins the second.
    """
    first, second, moved = values[0], None, 0.0
    for value in values:
        to_first = abs(value - first)
        if second is None and to_first > least:
            second = value
        elif second is None or to_first <= abs(value - second):
            first, moved = value, moved + to_first
        else:
            second, moved = value, moved + abs(value - second)
    return moved


def find_conflict(names: Sequence[str], values: np.ndarray, sources: Sequence[str | None]) -> str:
    """Return the reason that `PublisherConflict` finds in many messages at once, '' if none.

    Args:
        names: Of the columns.
        values: float64 (N, P), as recorded; NaN where a message does not give a joint.
        sources: Of each message, as in `PublisherConflict.add`.
    """
    senders, which = np.unique(np.array([str(one) for one in sources]), return_inverse=True)
    for name, column in zip(names, values.T, strict=True):
        given = np.isfinite(column)
        known = column[given]
        # only joints that may be in conflict are looked at message by message, which is slow
        low, high = np.minimum.accumulate(known), np.maximum.accumulate(known)
        jumps = np.abs(np.diff(known)) > np.maximum(MIN_JUMP, RANGE_SHARE * (high - low)[1:])
        shared = len(senders) > 1 and len(np.unique(which[given])) > 1
        if jumps.sum() < RETURNS and not shared:
            continue
        watch = PublisherConflict()
        for row in np.flatnonzero(given).tolist():
            if watch.add((name,), (column[row],), sources[row]):
                return watch.reason
    return ''
