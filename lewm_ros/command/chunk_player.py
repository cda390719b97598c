"""Which action is due now: samples the newest valid chunk by absolute time.

Row k of a chunk is due from `stamp_ns + k * dt` on, so a chunk that comes late has lost its head
by construction. Judging whether it is safe to act is `watchdog`'s; limits come after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.base.rates import same_rate
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.types import ActionChunk
import numpy as np

_JITTER = 0.05  # share of a control step that a timer may be early at a grid point


class ChunkRefused(PlanningError):
    """A well-formed chunk is of no use now: too old, too early, superseded."""


@dataclass(frozen=True)
class Sample:
    """One row of a chunk with where it comes from."""

    action: np.ndarray          # float64 (A,), robot units
    stamp_ns: int               # start of its control step, on the chunk's grid
    session: int
    epoch: int
    sequence: int
    step: int                   # row
    observation_stamp_ns: int   # the frame the plan looked at


class ChunkPlayer:
    """Holds the chunk being played and the next one, if that starts in the future.

    Attributes:
        epoch: Newest epoch heard of; chunks of older ones are refused. -1: none yet.
        deadline_misses: Control steps that passed without a command between two `take`s.
    """

    def __init__(self, *, action_dim: int, dt_s: float) -> None:
        self.epoch = -1
        self.deadline_misses = 0
        self._action_dim = action_dim
        self._dt_s = dt_s
        self._dt_ns = round(dt_s * 1e9)
        self._jitter_ns = round(self._dt_ns * _JITTER)
        self._current: ActionChunk | None = None
        self._next: ActionChunk | None = None
        self._last_sequence = -1
        self._not_before_ns: int | None = None
        self._taken_ns: int | None = None

    def offer(self, chunk: ActionChunk, now_ns: int, *, max_future_s: float) -> None:
        """Take over a chunk, as one swap; on any error the present chunk plays on.

        Args:
            chunk: Its actions are copied.
            now_ns: Node clock.
            max_future_s: Row 0 may start at most this far ahead of `now_ns`.

        Raises:
            ShapeError, PlanningError: The chunk is malformed: wrong sizes, dt or numbers.
            ChunkRefused: The chunk is well-formed but of no use now.
        """
        self._check_form(chunk)
        name = f'chunk {chunk.sequence} of epoch {chunk.epoch}'
        if chunk.epoch < self.epoch:
            raise ChunkRefused(f'{name} is older than epoch {self.epoch}')
        if chunk.epoch == self.epoch and chunk.sequence <= self._last_sequence:
            raise ChunkRefused(f'{name} comes after chunk {self._last_sequence}')
        ahead_s = (chunk.stamp_ns - now_ns) / 1e9
        if ahead_s > max_future_s:
            raise ChunkRefused(f'{name} starts {ahead_s:.3f} s ahead, allowed are '
                               f'{max_future_s} s; do the clocks agree?')
        if self._not_before_ns is not None and chunk.observation_stamp_ns <= self._not_before_ns:
            raise ChunkRefused(f'{name} was planned on a frame from before the last stop')
        if self._row(chunk, now_ns) >= len(chunk.actions):
            raise ChunkRefused(f'{name} ended {-ahead_s - len(chunk.actions) * self._dt_s:.3f} s '
                               f'ago; the planner is too slow for its chunk length')
        self.note_epoch(chunk.epoch)
        self._last_sequence = chunk.sequence
        actions = np.array(chunk.actions, np.float64)
        actions.flags.writeable = False
        own = ActionChunk(chunk.stamp_ns, chunk.dt_s, actions, chunk.epoch, chunk.sequence,
                          chunk.observation_stamp_ns, chunk.session)
        if self._row(own, now_ns) < 0:
            self._next = own
        else:
            self._current, self._next = own, None

    def note_epoch(self, epoch: int) -> None:
        """Drop what belongs to epochs before this one; an older number changes nothing."""
        if epoch > self.epoch:
            self.epoch = epoch
            self._last_sequence = -1
            self._current = self._next = None

    def clear(self, not_before_ns: int) -> None:
        """Drop all chunks and refuse those planned on frames up to `not_before_ns`.

        Args:
            not_before_ns: Usually now, on the node clock.
        """
        self._current = self._next = self._taken_ns = None
        self._not_before_ns = not_before_ns

    def forget_epoch(self) -> None:
        """Another session begins: drop all chunks; it counts epochs and chunks from zero."""
        self._current = self._next = self._taken_ns = None
        self.epoch = self._last_sequence = -1

    def sample(self, now_ns: int) -> Sample | None:
        """Return the row due at `now_ns`; None before the first row and after the last."""
        if self._next is not None and self._row(self._next, now_ns) >= 0:
            self._current, self._next = self._next, None
        chunk = self._current
        if chunk is None:
            return None
        row = self._row(chunk, now_ns)
        if not 0 <= row < len(chunk.actions):
            return None
        return Sample(action=chunk.actions[row], stamp_ns=chunk.stamp_ns + row * self._dt_ns,
                      session=chunk.session, epoch=chunk.epoch, sequence=chunk.sequence, step=row,
                      observation_stamp_ns=chunk.observation_stamp_ns)

    def take(self, now_ns: int) -> Sample | None:
        """Return the row due at `now_ns` once per control step, else None; count the missed.

        Chunks may have different grids. A step is new if it starts at least half a step after
        the last one taken, so a change of grid neither doubles nor skips a command.
        """
        sample = self.sample(now_ns)
        if sample is None:
            return None
        if self._taken_ns is not None:
            steps = round((sample.stamp_ns - self._taken_ns) / self._dt_ns)
            if steps < 1:
                return None
            self.deadline_misses += steps - 1
        self._taken_ns = sample.stamp_ns
        return sample

    def interrupt(self) -> None:
        """Say that tracking ended: the steps until the next `take` are not missed deadlines."""
        self._taken_ns = None

    def next_step_ns(self, now_ns: int) -> int | None:
        """Return when the next row is due, on the grid of the chunk in play; None without one."""
        chunk = self._current or self._next
        if chunk is None:
            return None
        return chunk.stamp_ns + max(self._row(chunk, now_ns) + 1, 0) * self._dt_ns

    def steps_left(self, now_ns: int) -> int:
        """Count the rows after the one due now."""
        if self._current is None:
            return 0
        rows = len(self._current.actions)
        return min(max(rows - 1 - self._row(self._current, now_ns), 0), rows)

    def _row(self, chunk: ActionChunk, now_ns: int) -> int:
        return (now_ns - chunk.stamp_ns + self._jitter_ns) // self._dt_ns

    def _check_form(self, chunk: ActionChunk) -> None:
        shape = np.shape(chunk.actions)
        if len(shape) != 2 or shape[0] < 1 or shape[1] != self._action_dim:
            raise ShapeError(f'chunk {chunk.sequence} has actions {shape}, this robot needs '
                             f'(rows, {self._action_dim}) with at least one row')
        if not same_rate(chunk.dt_s, self._dt_s):
            raise PlanningError(f'chunk {chunk.sequence} has a control step of {chunk.dt_s} s, '
                                f'this robot has {self._dt_s} s')
        if not np.isfinite(chunk.actions).all():
            raise PlanningError(f'chunk {chunk.sequence} has non-finite actions')
