"""Values by joint name, from messages that name their joints; read alike from bags and live.

`sensor_msgs/JointState` says that every array has the size of `name` or is empty, because only
then it is sure which value belongs to which joint. Messages that break this are not read by place.
Arm and gripper may report in messages of their own: `JointReader` tells which joints a message
has, `JoinedJoints` keeps the newest of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lewm_model.errors import ShapeError
import numpy as np


def named_values(names: Sequence[str], values: Sequence[float], what: str = 'position'
                 ) -> dict[str, float]:
    """Return the value of each joint; empty if the message leaves this array out.

    Raises:
        ShapeError: If the array has another size than `names`, or a joint is named twice.
    """
    if not len(values):
        return {}
    if len(values) != len(names):
        raise ShapeError(f'{len(names)} names and {len(values)} values of {what}: which belongs '
                         f'to which joint is not known; an array has the size of name or is empty')
    found = dict(zip(names, values, strict=True))
    if len(found) < len(names):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise ShapeError(f'the message names {", ".join(twice)} more than once')
    return found


def _fault(names: Sequence[str], values: Sequence[float]) -> str:
    """Return what `named_values` has against them."""
    try:
        named_values(names, values)
    except ShapeError as error:
        return str(error)
    return ''


@dataclass(frozen=True, eq=False)
class JointReading:
    """What one message says of the wanted joints; NaN where it says nothing."""

    positions: np.ndarray    # float64 (P,)
    velocities: np.ndarray   # float64 (P,), NaN where the message has none
    given: np.ndarray        # bool (P,), joints that the message gives a position for

    @property
    def complete(self) -> bool:
        """Whether all wanted joints are there."""
        return bool(self.given.all())


class JointReader:
    """Reads joint states for some joints.

    Attributes:
        skipped: Messages without any of the joints, or without positions; others may share the
            topic.
        malformed: Messages whose names and positions do not fit together; left out.
        bad_velocities: Messages whose velocities do not fit; read as if they had none.
        reason: What was wrong with the first of the malformed ones.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.skipped = self.malformed = self.bad_velocities = 0
        self.reason = ''
        # of each list of names that was seen: which joints it has, and where they are
        self._known: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    def read(self, message: Any) -> JointReading | None:
        """Return what a JointState says of the joints; None if it is left out."""
        listed = tuple(message.name)
        found = self._known.get(listed)
        if found is None:
            found = self._known.setdefault(listed, self._look_up(listed))
        given, places = found
        if not len(places) or not len(message.position):
            self.skipped += 1
            return None
        if len(message.position) != len(listed) or len(set(listed)) != len(listed):
            self.malformed += 1
            self.reason = self.reason or _fault(listed, message.position)
            return None
        velocity = message.velocity
        if len(velocity) not in (0, len(listed)):
            self.bad_velocities += 1
            velocity = ()
        return JointReading(_placed(message.position, given, places),
                            _placed(velocity, given, places) if len(velocity)
                            else np.full(len(given), np.nan), given)

    def _look_up(self, listed: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        given = np.array([name in listed for name in self.names])
        places = np.array([listed.index(name) for name in self.names if name in listed], np.intp)
        return given, places


def _placed(values: Sequence[float], given: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Put the values of a message in the order of the wanted joints, NaN for those not given."""
    values = np.asarray(values, np.float64)[places]
    if len(places) == len(given):
        return values
    found = np.full(len(given), np.nan)
    found[given] = values
    return found


class JoinedJoints:
    """The newest position of each joint, joined over messages that name some of them.

    Times may be of any clock [s], as long as it is always the same one.

    Args:
        names: The wanted joints.
        max_age_s: A joint that was not reported for longer counts as missing.
    """

    def __init__(self, names: Sequence[str], max_age_s: float) -> None:
        self.reader = JointReader(names)
        self._max_age_s = max_age_s
        self._positions = np.full(len(self.reader.names), np.nan)
        self._times_s = np.full(len(self.reader.names), -np.inf)

    def add(self, message: Any, now_s: float) -> bool:
        """Take one JointState; return False if it is left out."""
        reading = self.reader.read(message)
        if reading is None:
            return False
        self._positions[reading.given] = reading.positions[reading.given]
        self._times_s[reading.given] = now_s
        return True

    def missing(self, now_s: float) -> list[str]:
        """Return the joints that were never reported, or too long ago."""
        old = ~(now_s - self._times_s <= self._max_age_s)
        return [name for name, gone in zip(self.reader.names, old, strict=True) if gone]

    def newest(self, now_s: float) -> tuple[np.ndarray, float] | None:
        """Return the positions float64 (P,) and the time of the oldest; None if one is missing."""
        if self.missing(now_s):
            return None
        return self._positions.copy(), float(self._times_s.min())
