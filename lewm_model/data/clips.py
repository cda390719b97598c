"""Training clips from a data set: the split, the index, and batches in a resumable order.

A clip is T frames, K control steps apart, with all T * K actions: frame t goes with the block of
K actions leaving it. Turning uint8 into normalised floats is `lewm_model.preprocess`, later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import copy
from dataclasses import dataclass
import hashlib

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.preprocess import ActionNormalizer
import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames."""

    frames: Tensor      # uint8 (B, T, H, W, 3), oldest first
    actions: Tensor     # float32 (B, T, K*A), normalised, oldest action of a block first
    rows: np.ndarray    # int64 (B, T), rows of the frames in the data set: for other columns


def split_episodes(episode_ids: Sequence[str], validation_split: float
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Divide episodes into training and validation, by a hash of their names.

    Episodes keep their side when others are added, and no clip of one side shares a frame with
    the other (the reference splits clips, so its validation loss is optimistic).

    Args:
        episode_ids: `EpisodeFile.ep_id`.
        validation_split: Share held out, in (0, 1), met on average.

    Returns:
        Indices of training and of validation episodes, both never empty.

    Raises:
        DatasetError: If there are fewer than two episodes.
    """
    if len(episode_ids) < 2:
        raise DatasetError(f'{len(episode_ids)} episodes cannot be divided into training and '
                           f'validation; record at least 2')
    points = np.array([int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big') / 2 ** 64
                       for name in episode_ids])
    held_out = points < validation_split
    if not held_out.any():  # a small set still needs one to be watched with
        held_out[points.argmin()] = True
    if held_out.all():
        held_out[points.argmax()] = False
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


class Clips:
    """All clips of some episodes; an episode of n rows has max(0, n - T * K + 1) of them.

    Args:
        file: The data set; `EpisodeFile.in_memory()` reads a little faster if it fits.
        normalizer: For actions; NaN (the last row of an episode) becomes 0 after it.
        episodes: Indices of the episodes to use; None: all.
        num_frames: T, frames per clip.
        frameskip: K, control steps per block.

    Raises:
        DatasetError: If no episode is as long as one clip.
    """

    def __init__(self, file: EpisodeFile, normalizer: ActionNormalizer,
                 episodes: Sequence[int] | None = None, *, num_frames: int = 4,
                 frameskip: int = 5) -> None:
        self.file = file
        self.num_frames, self.frameskip = num_frames, frameskip
        chosen = np.arange(file.num_episodes) if episodes is None else np.asarray(episodes, int)
        span = num_frames * frameskip  # all T * K actions lie inside the episode, as the reference
        counts = np.maximum(file.ep_len[chosen] - span + 1, 0)
        if not counts.sum():
            raise DatasetError(
                f'{file.path}: none of {len(chosen)} episodes has the {span} rows of one clip '
                f'({num_frames} frames, {frameskip} control steps apart), the longest has '
                f'{file.ep_len[chosen].max(initial=0)}; record longer episodes')
        # Two numbers per episode say where all of its clips start; none are kept per clip.
        self._ends = np.cumsum(counts)
        self._shifts = file.ep_offset[chosen] - (self._ends - counts)
        self._subset: np.ndarray | None = None   # positions among all clips, if only some are used
        self._normalizer = normalizer
        self._frame_steps = np.arange(num_frames) * frameskip
        self._action_steps = np.arange(span)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._subset is None else len(self._subset)

    @property
    def starts(self) -> np.ndarray:
        """Row of the first frame of each clip, int64 (len,), computed anew at every use."""
        return self._starts(np.arange(len(self)))

    def subset(self, indices: np.ndarray) -> Clips:
        """Return only some of these clips, by position; everything else is shared."""
        chosen = copy.copy(self)
        chosen._subset = indices if self._subset is None else self._subset[indices]
        return chosen

    def batch(self, indices: np.ndarray) -> ClipBatch:
        """Gather clips.

        Args:
            indices: Positions in [0, len(self)), (B,).
        """
        starts = self._starts(indices)[:, None]
        rows = starts + self._frame_steps                     # (B, T)
        actions = self._normalizer.normalize(
            self.file.action[starts + self._action_steps]).astype(np.float32, copy=False)
        return ClipBatch(
            frames=torch.from_numpy(self.file.pixels[rows]), rows=rows,
            actions=torch.from_numpy(actions.reshape(len(rows), self.num_frames, -1)))

    def _starts(self, indices: np.ndarray) -> np.ndarray:
        clips = indices if self._subset is None else self._subset[indices]
        return clips + self._shifts[np.searchsorted(self._ends, clips, side='right')]


def divide_clips(clips: Clips, validation_split: float, seed: int) -> tuple[Clips, Clips]:
    """Divide clips at random, as the reference does, instead of whole episodes.

    Args:
        clips: All of them.
        validation_split: Share held out, in (0, 1), rounded to at least one clip.
        seed: Of the choice.

    Returns:
        Training and validation clips; neighbours share frames across the two.

    Raises:
        DatasetError: If there are fewer than two clips.
    """
    if len(clips) < 2:
        raise DatasetError(f'{clips.file.path} has {len(clips)} clip, which cannot be divided '
                           f'into training and validation; record longer episodes')
    order = np.random.default_rng(seed).permutation(len(clips))
    count = min(max(1, round(validation_split * len(clips))), len(clips) - 1)
    return clips.subset(np.sort(order[count:])), clips.subset(np.sort(order[:count]))


class ClipLoader:
    """Shuffled batches for ever; the order is a pure function of (seed, epoch).

    `position` and `restore` make a resumed run see exactly the batches it would have seen.

    Args:
        clips: What to draw from; every clip once per epoch, an incomplete last batch is left out.
        batch_size: B.
        seed: Of the order.
        rank: Which part of every batch to give, [0, processes); the parts are disjoint.
        processes: Into how many equal parts a batch is divided; `position` does not depend on it.

    Raises:
        DatasetError: If there are fewer clips than one batch, or it cannot be divided.
    """

    def __init__(self, clips: Clips, batch_size: int, seed: int, *, rank: int = 0,
                 processes: int = 1) -> None:
        if len(clips) < batch_size:
            raise DatasetError(f'{clips.file.path} has {len(clips)} clips, fewer than one batch '
                               f'of {batch_size}; record more or lower batch_size')
        if batch_size % processes:
            raise DatasetError(f'batch_size must be a multiple of the {processes} processes that '
                               f'share a batch, got {batch_size}')
        self.clips, self.batch_size, self.seed = clips, batch_size, seed
        self._part = slice(rank, None, processes)
        self._epoch = self._batch = 0
        self._order = self._draw()

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in one pass."""
        return len(self.clips) // self.batch_size

    @property
    def position(self) -> dict[str, int]:
        """Where the next batch comes from, and what it depends on; plain numbers."""
        return {'seed': self.seed, 'clips': len(self.clips), 'batch_size': self.batch_size,
                'epoch': self._epoch, 'batch': self._batch}

    def restore(self, position: dict[str, int]) -> None:
        """Go on from a saved `position`.

        Raises:
            DatasetError: If it belongs to other data, another batch size or another seed.
        """
        changed = [f'{name}: {position.get(name)} then, {self.position[name]} now'
                   for name in ('seed', 'clips', 'batch_size')
                   if position.get(name) != self.position[name]]
        if changed:
            raise DatasetError(f'the run cannot go on with other data ({"; ".join(changed)}); '
                               f'resume with the same data set and settings, or start a new run')
        self._epoch, self._batch = int(position['epoch']), int(position['batch'])
        self._order = self._draw()

    def __iter__(self) -> Iterator[ClipBatch]:
        return self

    def __next__(self) -> ClipBatch:
        if self._batch == self.batches_per_epoch:
            self._epoch, self._batch = self._epoch + 1, 0
            self._order = self._draw()
        first = self._batch * self.batch_size
        self._batch += 1
        places = np.arange(first, first + self.batch_size)[self._part]
        return self.clips.batch(self._order[places])

    def _draw(self) -> np.ndarray:
        """Return the order of the epoch, int64 (clips,), 8 bytes per clip."""
        return np.random.default_rng([self.seed, self._epoch]).permutation(len(self.clips))
