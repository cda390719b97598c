"""Measures what is ordinary: prediction errors as the planner sees them, and views.

Frames of one episode are no independent pieces: they overlap in what they show and in what the
model gets wrong. So the limit of surprise comes from one number per held-out episode, the highest
surprise in it, and its confidence interval from the order of these numbers alone. Which errors are
usual in which direction is learnt from the other episodes.
"""

from __future__ import annotations

from lewm_model.base.farthest import farthest_from
from lewm_model.base.quantile import quantile_with_interval
from lewm_model.errors import DatasetError
from lewm_model.heads.readout import Readout
from lewm_model.held_out import HeldOut, Progress, silent
from lewm_model.images.decode import resize_square
from lewm_model.ordinary import (
    EPISODE_QUANTILE,
    MARGIN,
    Ordinary,
    OrdinaryConfig,
    surprise_of,
    usual_errors,
)
import numpy as np
import torch
from torch import Tensor

PICTURES = 64
THUMBNAIL_PX = 48
VIEW_QUANTILE = 0.999     # of held-out frames' distances to the nearest training frame
VIEW_MARGIN = 1.5
_CANDIDATES = 3000        # training frames to choose the pictures from
_FEWEST = 5               # held-out episodes
_FOLDS = 5


@torch.inference_mode()
def episode_predictions(subject: HeldOut, episode: int) -> tuple[Tensor, Tensor]:
    """Return what is expected of all frames of an episode that a planner would judge, (N, D).

    And the latents of all its frames; the judged ones are the last N. Frame t is predicted from
    frames t-K, t-2K, ... and the actions between them.
    """
    data, bundle = subject.data, subject.bundle
    skip, history = bundle.model_config.frameskip, bundle.model_config.history
    first, length = int(data.ep_offset[episode]), int(data.ep_len[episode])
    latents = subject.encode_rows(np.arange(first, first + length))
    newest = np.arange(history * skip, length)
    if not len(newest):
        return latents[:0], latents
    actions = np.asarray(data.action[first:first + length])
    steps = newest[:, None] + np.arange(-history * skip, 0)
    frames = latents[newest[:, None] + np.arange(-history, 0) * skip]
    return bundle.model.predict(frames, subject.blocks(actions[steps]))[:, -1], latents


def farthest_points(latents: Tensor, count: int) -> list[int]:
    """Choose rows of (N, D) that are far from each other: each is the farthest from all before.

    The first is the one that is nearest to the mean.
    """
    first = int((latents - latents.mean(dim=0)).square().sum(dim=1).argmin())
    return farthest_from(latents.cpu().numpy(), first, count)


@torch.inference_mode()
def measure_ordinary(subject: HeldOut, *, pictures: int = PICTURES, seed: int = 0,
                     progress: Progress = silent) -> Ordinary:
    """Measure what is ordinary for a model on its data set.

    Raises:
        DatasetError: If there are too few held-out episodes that are long enough.
    """
    judged, latents = [], []       # of an episode: what was expected, and what was seen
    for done, episode in enumerate(subject.held_out):
        expected, seen = episode_predictions(subject, int(episode))
        latents.append(seen)
        if len(expected):
            judged.append((expected, seen[-len(expected):]))
        progress(done + 1, len(subject.held_out) + 1)
    if len(judged) < _FEWEST:
        raise DatasetError(f'{subject.data.path}: {len(judged)} held-out episodes are long enough '
                           f'to judge a prediction in, at least {_FEWEST} are needed; record more')
    limit = quantile_with_interval(_highest([seen - expected for expected, seen in judged]),
                                   EPISODE_QUANTILE)
    expected, seen = (torch.cat(part) for part in zip(*judged, strict=True))
    errors = seen - expected
    # Without kept episodes (a new set) pictures come from the same ones: the limit is then
    # measured on what is not among the pictures.
    source = subject.kept if len(subject.kept) else subject.held_out
    rows = subject.sample_rows(source, _CANDIDATES, np.random.default_rng(seed))
    candidates = subject.encode_rows(rows)
    chosen = farthest_points(candidates, pictures)
    bank = candidates[chosen]
    # Of held-out frames: the distance to the nearest picture
    nearest = torch.cdist(torch.cat(latents), bank).min(dim=1).values.square()
    scale = nearest.mean().item()
    view = VIEW_MARGIN * (nearest / scale).double().quantile(VIEW_QUANTILE).item()
    frames = np.asarray(subject.data.pixels[rows[chosen]])
    config = OrdinaryConfig(
        mean_error=errors.square().mean().item(), surprise_limit=MARGIN * limit.high,
        surprise_quantile=EPISODE_QUANTILE, surprise_low=limit.low, surprise_high=limit.high,
        episodes=len(judged), frames=len(errors), view_limit=view,
        view_scale=scale, pictures=len(chosen),
        thumbnail_px=min(THUMBNAIL_PX, frames.shape[1]),
        read_errors=_read_errors(subject.bundle.readout, expected, seen))
    ordinary = Ordinary(config, bank.shape[1])
    ordinary.whitening.copy_(usual_errors(errors))
    ordinary.latents.copy_(bank)
    ordinary.thumbnails.copy_(torch.from_numpy(np.stack(
        [resize_square(frame, config.thumbnail_px) for frame in frames])))
    progress(1, 1)
    return ordinary


def _highest(errors: list[Tensor]) -> np.ndarray:
    """Return the highest surprise of each episode, from its errors (N, D).

    What is usual is learnt from other episodes than the ones that are judged by it.
    """
    highest = np.empty(len(errors))
    for fold in range(_FOLDS):
        others = [one for number, one in enumerate(errors) if number % _FOLDS != fold]
        whitening = usual_errors(torch.cat(others))
        for number in range(fold, len(errors), _FOLDS):
            highest[number] = surprise_of(errors[number], whitening).max().item()
    return highest


def _read_errors(readout: Readout | None, expected: Tensor, seen: Tensor) -> dict[str, float]:
    """Return how far what is read of expected frames is from what is read of seen ones."""
    if readout is None:
        return {}
    apart = readout.moved(expected, seen)
    return {one.name: float(f'{np.sqrt((column ** 2).mean()):.6g}')
            for one, column in zip(readout.readable, apart.T, strict=True)}
