"""Pairs of frames of one training episode: what was done in between leads from here to there."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.config import require
from lewm_model.errors import DatasetError
from lewm_model.held_out import HeldOut
import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class HindsightBatch:
    """B pairs of frames with what was done."""

    latents: Tensor       # (B, D)
    goals: Tensor         # (B, D), n control steps later
    steps_left: Tensor    # (B,), n
    blocks: Tensor        # (B, K*A) or (B, T*K*A), normalised, executed from `latents` on
    rows: np.ndarray      # (B,), of `latents` in the data set
    goal_rows: np.ndarray     # (B,), of `goals`


class Hindsight:
    """Draws pairs of frames of one episode, with the block that left the first.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        episodes: Which of them to use.
        seed: Of the draw.
        farthest: Largest n [control steps]; None: the planning horizon.

    Attributes:
        shortest: Smallest n, one block [control steps].
        longest: Largest n [control steps].

    Raises:
        DatasetError: If no episode has a frame and another one a block later.
    """

    def __init__(self, subject: HeldOut, latents: Tensor, episodes: np.ndarray, seed: int,
                 farthest: int | None = None) -> None:
        data, bundle = subject.data, subject.bundle
        self.shortest = bundle.model_config.frameskip
        self.longest = farthest or self.shortest * bundle.plan_config.horizon
        require(self.longest >= self.shortest, 'PolicyTrainConfig.farthest',
                f'at least a block, {self.shortest} control steps', self.longest)
        counts = np.maximum(data.ep_len[episodes] - self.shortest, 0)
        if not counts.sum():
            raise DatasetError(
                f'{data.path}: none of {len(episodes)} episodes has the {self.shortest + 1} rows '
                f'of two frames one block apart; record longer episodes')
        offsets = data.ep_offset[episodes]
        self._starts = np.concatenate([offset + np.arange(count) for offset, count
                                       in zip(offsets, counts, strict=True)])
        self._last = np.repeat(offsets + data.ep_len[episodes] - 1, counts)
        self._actions = bundle.action_normalizer.normalize(data.action)
        self._latents = latents
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int, offset: int | None = None, *, evenly: bool = False
             ) -> HindsightBatch:
        """Draw pairs.

        Args:
            count: B.
            offset: n; None: between one block and `longest`, small ones more often. Where the
                episode ends before, its last frame is the goal.
            evenly: Small n as often as large ones.
        """
        starts, goals = self._pairs(count, offset, 1 if evenly else 2)
        actions = self._actions[starts[:, None] + np.arange(self.shortest)]      # (B, K, A)
        return self._batch(starts, goals, actions)

    def draw_plans(self, count: int, offset: int | None = None) -> HindsightBatch:
        """Draw pairs, n evenly, with all that was done in between: blocks (B, T*K*A).

        After the goal anything may follow: there stand random numbers of unit variance.
        """
        starts, goals = self._pairs(count, offset, 1)
        steps = np.arange(self.longest)
        rows = np.minimum(starts[:, None] + steps, goals[:, None] - 1)           # (B, T*K)
        actions = self._actions[rows]
        free = starts[:, None] + steps >= goals[:, None]
        actions[free] = self._rng.standard_normal((free.sum(), actions.shape[-1]))
        return self._batch(starts, goals, actions)

    def _pairs(self, count: int, offset: int | None, power: float
               ) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._rng.integers(len(self._starts), size=count)
        starts = self._starts[chosen]
        spread = self.longest - self.shortest + 1
        wanted = offset or self.shortest + (spread * self._rng.random(count) ** power).astype(int)
        return starts, np.minimum(starts + wanted, self._last[chosen])

    def _batch(self, starts: np.ndarray, goals: np.ndarray, actions: np.ndarray
               ) -> HindsightBatch:
        return HindsightBatch(
            latents=self._latents[starts], goals=self._latents[goals],
            steps_left=torch.from_numpy(goals - starts),
            blocks=torch.from_numpy(actions.reshape(len(starts), -1)),
            rows=starts, goal_rows=goals)
