"""A bundle with the data set that it is judged on, held-out episodes apart, latents on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import logging

from lewm_model.base.rates import same_rate
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.clips import split_episodes
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import episode_digest, Fingerprint
from lewm_model.errors import ConfigError, DatasetError
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import Tensor

_log = logging.getLogger(__name__)
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


PARTS = ('all', 'choose', 'report')


class HeldOut:
    """A bundle and a data set that it can be judged on, what it never saw apart.

    The one check that everything goes through that judges a bundle by data.

    Args:
        bundle: Knows which episodes it was trained on; one made by an older version only knows
            how names were divided, which is said.
        data: The set it was trained from, also with other names or more episodes.
        new_data: The set is another one, of which the bundle has seen nothing: all of its
            episodes count as held out.

    Attributes:
        kept: Numbers of the episodes that were trained on.
        held_out: Numbers of the others, never empty.

    Raises:
        BundleError: If the bundle does not say what it was trained on.
        DatasetError: If the data is of another task, robot, rate, view or set, or everything in
            it was trained on.
    """

    def __init__(self, bundle: Bundle, data: EpisodeFile, *, new_data: bool = False) -> None:
        require_same_source(bundle, data)
        self.bundle, self.data = bundle, data
        self.kept, self.held_out = _divide(bundle, data, new_data)

    def part(self, name: str) -> np.ndarray:
        """Return some of the held-out episodes, see `part_of`."""
        return part_of(self.data, self.held_out, name)

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


def part_of(data: EpisodeFile, held_out: np.ndarray, name: str) -> np.ndarray:
    """Return some of the held-out episodes: 'choose' and 'report' are disjoint halves.

    What was chosen by its success on some episodes must be reported on others. Which half an
    episode is in depends on its content alone.

    Raises:
        ConfigError: If there is no such part.
        DatasetError: If there are too few held-out episodes to divide.
    """
    if name not in PARTS:
        raise ConfigError(f'part must be one of {", ".join(PARTS)}, got {name!r}')
    if name == 'all':
        return held_out
    if len(held_out) < 2:
        raise DatasetError(f'{data.path}: {len(held_out)} held-out episode cannot be divided into '
                           f'one part to choose by and one to report; record more episodes')
    marks = [int(episode_digest(data, number)[-8:], 16) for number in held_out]
    order = np.argsort(marks, kind='stable')
    first = np.array([mark % 2 == 0 for mark in marks])
    if first.all() or not first.any():     # a small set still has both
        first[order[0]] = not first[order[0]]
    return held_out[first if name == 'choose' else ~first]


def require_same_source(bundle: Bundle, data: EpisodeFile) -> None:
    """Refuse data of another task, robot, rate or view than the bundle's.

    What a set does not say (public ones name no robot) is not compared.

    Raises:
        DatasetError: The message names what differs.
    """
    said, sizes = data.attributes, bundle.model_config
    if data.action.shape[1] != sizes.action_dim:
        raise _foreign(data, f'{data.action.shape[1]} action dimensions',
                       f'{sizes.action_dim} ({", ".join(bundle.action_names)})')
    for name, theirs, ours in (
            ('task', said.get('task'), bundle.task), ('robot', said.get('robot'), bundle.robot),
            ('actions', ', '.join(said.get('action_names', ())), ', '.join(bundle.action_names))):
        if theirs and ours and theirs != ours:
            raise _foreign(data, f'{name} {theirs}', ours)
    if data.control_dt_s is not None and not same_rate(data.control_dt_s, bundle.control_dt_s):
        raise _foreign(data, f'a control step of {data.control_dt_s} s',
                       f'of {bundle.control_dt_s} s')
    if data.pixels.shape[1] != bundle.frame_px:
        raise _foreign(data, f'frames of {data.pixels.shape[1]} px', f'{bundle.frame_px} px')
    if bundle.view is not None and data.view is not None:
        difference = bundle.view.difference(data.view)
        if difference:
            raise _foreign(data, difference, f'{bundle.view}')


def _foreign(data: EpisodeFile, theirs: str, ours: str) -> DatasetError:
    return DatasetError(f'{data.path} has {theirs}, the bundle {ours}; give the data set it was '
                        f'trained from')


def _divide(bundle: Bundle, data: EpisodeFile, new_data: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the episodes that were trained on, and of the others."""
    trained = bundle.trained_on
    if trained is None:
        if new_data:
            _log.warning('model %s does not list what it was trained on (made by an older '
                         'version): nobody checks that %s is new to it', bundle.model_id,
                         data.path)
            return np.empty(0, dtype=np.int64), np.arange(len(data.ep_len))
        _log.warning('model %s does not list what it was trained on (made by an older version): '
                     'held out is what the names of the episodes in %s say, so that renamed bags '
                     'or another set would pass; train it again to be sure', bundle.model_id,
                     data.path)
        return split_episodes(data.ep_id, bundle.validation_split)
    seen = np.array([bool(marks & trained) for marks in Fingerprint.of(data).marks])
    if seen.all():
        raise DatasetError(f'all {len(seen)} episodes of {data.path} were trained on, under '
                           f'whatever name; give the whole set the bundle was trained from, or '
                           f'new recordings with --new-data')
    if new_data and seen.any():
        raise DatasetError(f'{seen.sum()} of {len(seen)} episodes of {data.path} were trained on '
                           f'(the first is {data.ep_id[int(seen.argmax())]}), so it is not new; '
                           f'leave --new-data away, then only the others are used')
    if not new_data and not seen.any():
        raise DatasetError(f'{data.path} is another set: the bundle was trained on none of its '
                           f'{len(seen)} episodes; give the data set it was trained from, or '
                           f'--new-data to judge it on all of this one')
    kept, held_out = np.flatnonzero(seen), np.flatnonzero(~seen)
    _say_if_renamed(bundle, data, kept)
    return kept, held_out


def _say_if_renamed(bundle: Bundle, data: EpisodeFile, kept: np.ndarray) -> None:
    split = bundle.provenance.get('validation_split')
    if split is None or 'split' in bundle.provenance or len(data.ep_len) < 2:
        return      # not divided by names
    wrong = np.intersect1d(split_episodes(data.ep_id, split)[1], kept)
    if len(wrong):
        _log.warning('%s: %d episodes that their names would hold out were trained on, under '
                     'other names (the first is %s): they are not used', data.path, len(wrong),
                     data.ep_id[int(wrong[0])])
