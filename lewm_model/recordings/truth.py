"""The truth about a simulated scene, as `SimState` messages say it, by the stamp of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lewm_model.errors import ConfigError
from lewm_model.quantities import Quantity
import numpy as np

TRUTH_TOPIC, TRUTH_TYPE = 'truth/state', 'lewm_ros/msg/SimState'


@dataclass(frozen=True, eq=False)
class Truth:
    """Whole states of the simulator and what the task measured, T instants."""

    stamps_ns: np.ndarray                # int64 (T,), sorted, all different
    states: np.ndarray                   # float64 (T, n)
    values: np.ndarray                   # float64 (T, q), side by side in order of `quantities`
    quantities: tuple[Quantity, ...]

    def at(self, stamps_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return states and values at exactly these stamps; None if one is missing.

        A state is of one instant: between two there is nothing to interpolate.
        """
        places = np.searchsorted(self.stamps_ns, stamps_ns)
        places = np.minimum(places, len(self.stamps_ns) - 1)
        if not np.array_equal(self.stamps_ns[places], stamps_ns):
            return None
        return self.states[places], self.values[places]


class TruthReader:
    """Collects the messages of one bag.

    Attributes:
        problem: Why there is no truth though there are messages; '' if nothing was wrong.
    """

    def __init__(self) -> None:
        self.problem = ''
        self._rows: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._shape: tuple | None = None
        self._quantities: tuple[Quantity, ...] = ()

    def add(self, stamp_ns: int, message: Any) -> None:
        """Take one message."""
        if self.problem:
            return
        said = tuple((one.name, one.kind, one.unit, one.of, len(one.values))
                     for one in message.truth)
        state = np.array(message.state, np.float64)
        values = np.array([value for one in message.truth for value in one.values], np.float64)
        if self._shape is None:
            try:
                self._quantities = tuple(Quantity(*parts[:4]) for parts in said)
            except ConfigError as error:
                self.problem = str(error)
                return
            if any(one.width != parts[4] for one, parts in zip(self._quantities, said,
                                                               strict=True)):
                self.problem = 'a quantity has another number of values than its kind'
            self._shape = (len(state), said)
        if self._shape != (len(state), said):
            self.problem = 'its messages are of different scenes'
        elif not (np.isfinite(state).all() and np.isfinite(values).all()):
            self.problem = 'it has numbers that are not finite'
        elif stamp_ns in self._rows:
            self.problem = f'it says two things about the stamp {stamp_ns}'
        self._rows[stamp_ns] = (state, values)

    def truth(self) -> Truth | None:
        """Return what was said, None if nothing or if it cannot be used."""
        if self.problem or not self._rows:
            return None
        stamps = sorted(self._rows)
        return Truth(np.array(stamps, np.int64), np.array([self._rows[at][0] for at in stamps]),
                     np.array([self._rows[at][1] for at in stamps]), self._quantities)
