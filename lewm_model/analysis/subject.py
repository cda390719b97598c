"""What is analysed: a bundle with its data set, held-out episodes apart, latents on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lewm_model.bundle import Bundle
from lewm_model.data.clips import split_episodes
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.rates import same_rate
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import Tensor

Progress = Callable[[int, int], None]   # done, total
_CHUNK = 256                            # frames encoded at once


def silent(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Windows:
    """B stretches of T frames at model-step spacing, with the blocks between them."""

    latents: Tensor     # (B, T, D)
    blocks: Tensor      # (B, T-1, K*A) normalised; block t leaves frame t
    rows: np.ndarray    # (B, T) rows of the data set


class Subject:
    """A bundle and the data it was trained from.

    Args:
        bundle: Its split decides which episodes count as held out.
        data: The data set.

    Raises:
        BundleError: If the bundle does not say how its data was split.
        DatasetError: If the data was recorded with other actions or at another rate.
    """

    def __init__(self, bundle: Bundle, data: EpisodeFile) -> None:
        if data.action.shape[1] != bundle.model_config.action_dim:
            raise DatasetError(f'{data.path} has {data.action.shape[1]} action dimensions, the '
                               f'bundle {bundle.model_config.action_dim} '
                               f'({", ".join(bundle.action_names)}); give the data set it was '
                               f'trained from')
        if data.control_dt_s is not None and not same_rate(data.control_dt_s, bundle.control_dt_s):
            raise DatasetError(f'{data.path} has a control step of {data.control_dt_s} s, the '
                               f'bundle of {bundle.control_dt_s} s; give the data set it was '
                               f'trained from')
        self.bundle, self.data = bundle, data
        self.kept, self.held_out = split_episodes(data.ep_id, bundle.validation_split)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray, model: LeWorldModel | None = None,
               progress: Progress = silent) -> Tensor:
        """Encode pictures, uint8 (..., H, W, 3), to latents (..., D); another model if given."""
        model = model or self.bundle.model
        flat = frames.reshape(-1, *frames.shape[-3:])
        latents = []
        for first in range(0, len(flat), _CHUNK):
            part = torch.from_numpy(np.ascontiguousarray(flat[first:first + _CHUNK]))
            latents.append(model.encode(self.bundle.frame_transform(part)[None])[0])
            progress(min(first + _CHUNK, len(flat)), len(flat))
        return torch.cat(latents).reshape(*frames.shape[:-3], -1)

    def encode_rows(self, rows: np.ndarray, progress: Progress = silent) -> Tensor:
        """Encode rows of the data set, (...,) to (..., D)."""
        return self.encode(self.data.pixels[rows], progress=progress)

    def sample_rows(self, episodes: np.ndarray, count: int, rng: np.random.Generator,
                    first: int = 0) -> np.ndarray:
        """Draw up to `count` rows of some episodes, none of their first `first` rows, sorted."""
        rows = np.concatenate([np.arange(self.data.ep_offset[episode] + first,
                                         self.data.ep_offset[episode] + self.data.ep_len[episode])
                               for episode in episodes])
        return np.sort(rng.choice(rows, size=min(count, len(rows)), replace=False))

    def held_out_windows(self, num_frames: int, count: int, rng: np.random.Generator) -> Windows:
        """Draw up to `count` windows of held-out episodes.

        Args:
            num_frames: T.
            count: B at most.
            rng: Of the draw.

        Raises:
            DatasetError: If no held-out episode is that long.
        """
        skip = self.bundle.model_config.frameskip
        span = (num_frames - 1) * skip + 1
        starts = [start for episode in self.held_out
                  for start in self.data.ep_offset[episode]
                  + np.arange(self.data.ep_len[episode] - span + 1)]
        if not starts:
            raise DatasetError(
                f'{self.data.path}: none of {len(self.held_out)} held-out episodes has the {span} '
                f'rows of {num_frames} frames {skip} control steps apart; record longer episodes')
        chosen = np.sort(rng.choice(starts, size=min(count, len(starts)), replace=False))
        rows = chosen[:, None] + np.arange(num_frames) * skip
        actions = self.data.action[chosen[:, None] + np.arange(span - 1)]
        return Windows(latents=self.encode_rows(rows), blocks=self.blocks(actions), rows=rows)

    def blocks(self, actions: np.ndarray) -> Tensor:
        """Turn actions in robot units, (B, N*K, A), into normalised blocks (B, N, K*A)."""
        normalized = self.bundle.action_normalizer.normalize(actions)
        block_dim = self.bundle.model_config.block_dim
        return torch.from_numpy(normalized.reshape(len(actions), -1, block_dim))

    @property
    def longest_held_out(self) -> int:
        """Frames at model-step spacing in the longest held-out episode."""
        skip = self.bundle.model_config.frameskip
        return int((self.data.ep_len[self.held_out].max() - 1) // skip + 1)
