"""Whether a robot moves as the model expects of what was executed, over seconds.

A single frame tells little of a joint that is stuck: what it should have moved in one block is not
much more than a reading is wrong. Over seconds the share of the expected motion that was seen is
clear: 1 when all is well, 0 for what does not move. It needs a readout and what its errors are
(`ordinary`). Only what the robot measures of itself is judged: a thing that is jammed while the
model imagines it pushed along is no fault of the robot. Nor is what is not expected to move.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lewm_model.heads.readable import Readable
from lewm_model.heads.readout import Readout
from lewm_model.planning.surprise import Expectation
import numpy as np
import torch

WINDOW_S = 2.0         # judged together
_OWN = ('joint', 'base', 'robot')    # quantities of these are the robot's own
_KNOWN = 0.8           # share of the window's frames that must have had an expectation
_FAR_ENOUGH = 2.5      # the expected motion in a block, root mean square, in usual errors of it


@dataclass(frozen=True)
class Gain:
    """How much of the expected motion of a quantity was seen."""

    name: str
    share: float       # 1: all of it
    expected: float    # motion in one block, root mean square over the window, in `unit`
    unit: str


class MotionGain:
    """Follows a robot.

    Args:
        readout: Reads the quantities.
        read_errors: Of each quantity, see `OrdinaryConfig`; those without are not judged.
        dt_s: From one judged frame to the next.
    """

    def __init__(self, readout: Readout, read_errors: dict[str, float], dt_s: float) -> None:
        self._readout, self._fewest = readout, max(round(_KNOWN * WINDOW_S / dt_s), 2)
        self._errors = np.array([read_errors.get(one.name, np.inf) if one.of in _OWN else np.inf
                                 for one in readout.readable])
        self._bounds = np.array([_bounds(one) for one in readout.readable]).T
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._moves: deque[tuple[int, np.ndarray, np.ndarray]] = deque()
        self._squares = np.zeros(len(self._errors))     # sums over them
        self._products = np.zeros(len(self._errors))

    def add(self, stamp_ns: int, frame: Expectation) -> None:
        """Take a frame.

        Nothing is expected to go beyond where training data was: there may be a wall.
        """
        before, expected, seen = self._readout.read(
            torch.stack([frame.before, frame.expected, frame.seen]))
        expected = self._readout.shorter(np.clip(expected, *self._bounds) - before)
        squares, products = expected ** 2, expected * self._readout.shorter(seen - before)
        self._moves.append((stamp_ns, squares, products))
        self._squares, self._products = self._squares + squares, self._products + products
        while self._moves[0][0] <= stamp_ns - WINDOW_S * 1e9:
            _, squares, products = self._moves.popleft()
            self._squares, self._products = self._squares - squares, self._products - products

    def least(self) -> Gain | None:
        """Return the quantity of which the smallest share was seen; None: nothing to judge."""
        if len(self._moves) < self._fewest:
            return None
        far = np.sqrt(np.maximum(self._squares, 0) / len(self._moves))
        judged = np.flatnonzero(far > _FAR_ENOUGH * self._errors)
        if not len(judged):
            return None
        shares = self._products[judged] / self._squares[judged]
        worst = judged[shares.argmin()]
        one = self._readout.readable[worst]
        return Gain(one.name, float(shares.min()), float(far[worst]), one.unit)


def _bounds(one: Readable) -> tuple[float, float]:
    """Return between which readings training data was, but for the error of a reading."""
    if one.kind == 'angle' and not -np.pi <= one.low < one.high <= np.pi:
        return -np.inf, np.inf         # readings are within half a turn, these bounds are not
    return one.low + one.read_error, one.high - one.read_error
