"""The recent past on the control grid: latents as seen, actions as executed."""

from __future__ import annotations

from collections import deque
import copy

from lewm_model.errors import PlanningError
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor

_SPARE_STEPS = 4        # kept beyond the oldest frame of a context
_MOST_ACTIONS = 10_000  # a bound for actions that come without frames


class History:
    """Remembers enough frames and executed actions to build a context of `length` frames.

    Args:
        length: L, frames in a full context.
        steps_per_block: K, control steps between two frames of a context.
        control_dt_s: Duration of a control step [s].
        action_dim: A.
        most: Frames in the longest context that is ever asked for; `length` when None.
    """

    def __init__(self, *, length: int, steps_per_block: int, control_dt_s: float,
                 action_dim: int, most: int | None = None) -> None:
        self._length = length
        self._k = steps_per_block
        self._dt_ns = round(control_dt_s * 1e9)
        self._action_dim = action_dim
        # By time, not by count: a camera may be much faster than the control rate, or slower.
        blocks = max(length, most or 0) - 1
        self._keep_ns = (blocks * steps_per_block + _SPARE_STEPS) * self._dt_ns
        self._latents: deque[tuple[int, Tensor]] = deque()
        self._actions: deque[tuple[int, np.ndarray]] = deque(maxlen=_MOST_ACTIONS)

    def clear(self) -> None:
        """Forget everything."""
        self._latents.clear()
        self._actions.clear()

    def empty(self) -> History:
        """Return a history of the same kind that remembers nothing."""
        other = copy.copy(self)
        other._latents, other._actions = deque(), deque(maxlen=_MOST_ACTIONS)
        return other

    def copy(self) -> History:
        """Return another one that remembers the same."""
        other = copy.copy(self)
        other._latents, other._actions = self._latents.copy(), self._actions.copy()
        return other

    @property
    def newest(self) -> tuple[int, Tensor] | None:
        """Stamp [ns] and latent (D,) of the newest frame."""
        return self._latents[-1] if self._latents else None

    def observe(self, stamp_ns: int, latent: Tensor) -> None:
        """Add a frame.

        Raises:
            PlanningError: If the stamp is not newer than the newest frame's.
        """
        if self._latents and stamp_ns <= self._latents[-1][0]:
            raise PlanningError(f'frame stamp {stamp_ns} ns is not newer than the last one, '
                                f'{self._latents[-1][0]} ns; reset after a clock jump')
        self._latents.append((stamp_ns, latent))
        for entries in (self._latents, self._actions):
            while entries and entries[0][0] < stamp_ns - self._keep_ns:
                entries.popleft()

    def executed(self, stamp_ns: int, action: np.ndarray) -> None:
        """Add a normalised action (A,) that was in force from `stamp_ns` on."""
        self._actions.append((stamp_ns, np.asarray(action, dtype=np.float32)))

    def context(self, length: int | None = None) -> Context:
        """Build the longest context the past supports, at least the newest frame.

        It has at most `length` frames, by default L.

        A frame K steps earlier counts if its stamp is within half a control step; the block in
        between needs an executed action for each of its steps. What is missing shortens the
        context, it is never made up.

        Raises:
            PlanningError: If there is no frame.
        """
        if not self._latents:
            raise PlanningError('no observation yet: is the camera running?')
        frames = [self._latents[-1]]
        blocks: list[np.ndarray] = []
        while len(frames) < (length or self._length):
            stamp_ns = frames[0][0] - self._k * self._dt_ns
            earlier = self._nearest(self._latents, stamp_ns)
            steps = [self._nearest(self._actions, stamp_ns + k * self._dt_ns)
                     for k in range(self._k)]
            if earlier is None or any(step is None for step in steps):
                break
            frames.insert(0, earlier)
            blocks.insert(0, np.concatenate([step[1] for step in steps]))
        latents = torch.stack([latent for _, latent in frames])[None]   # (1, L, D)
        past = np.stack(blocks) if blocks else np.zeros(
            (0, self._k * self._action_dim), dtype=np.float32)
        return Context(latents=latents, past_blocks=torch.from_numpy(past)[None].to(latents),
                       stamps_ns=tuple(stamp for stamp, _ in frames))

    def _nearest(self, entries: deque, stamp_ns: int) -> tuple | None:
        best = min(entries, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if best is None or abs(best[0] - stamp_ns) > self._dt_ns // 2:
            return None
        return best
