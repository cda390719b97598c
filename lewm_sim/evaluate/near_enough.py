"""Which latent distance is "reached": measured against the rule of success of a simulated task.

Training knows no task, so it calls a goal reached when the latents are as near as those of frames
one control step apart. Where a task says what success is, frames of recorded episodes tell which
latent distance keeps what is solved apart from what is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import DatasetError
from lewm_model.held_out import HeldOut
from lewm_model.ingest.episode_writer import TRUTH
from lewm_sim.tasks import Task, Tolerance
import numpy as np

PAIRS = 6000
_INSIDE = 0.5        # tolerances: pairs that are nearer shall be "reached",
_FOUND = 0.95        # so many of them at most,
_OUTSIDE = (1.0, 2.0)   # and of those just outside
_FALSE = 0.05        # so many at most
_FEWEST = 100        # pairs of either kind


@dataclass(frozen=True)
class NearEnough:
    """A squared latent distance, and how well it tells what is solved from what is not."""

    tolerance: float     # squared latent distance
    found: float         # share of the pairs within half the task's tolerance that are nearer
    false: float         # share of those between one and two tolerances that are nearer, too
    inside: int          # pairs of the first kind
    outside: int         # and of the second


def near_enough(squared: np.ndarray, errors: np.ndarray) -> NearEnough:
    """Choose the distance that 95 % of the pairs within half the tolerance fall below.

    It is less where more than 5 % of the pairs just outside the tolerance would fall below, too:
    who is told that a goal is reached shall be able to rely on it.

    Args:
        squared: (N,) squared latent distances of pairs of frames.
        errors: (N,) how far apart they are, as multiples of the task's tolerance.

    Raises:
        DatasetError: If there are too few pairs near the tolerance.
    """
    inside = squared[errors <= _INSIDE]
    outside = squared[(errors >= _OUTSIDE[0]) & (errors < _OUTSIDE[1])]
    if min(len(inside), len(outside)) < _FEWEST:
        raise DatasetError(
            f'of {len(errors)} pairs of frames {len(inside)} are within half the tolerance and '
            f'{len(outside)} between one and two of it, at least {_FEWEST} of either are needed '
            f'to say which latent distance is "reached"; record more')
    tolerance = float(min(np.quantile(inside, _FOUND), np.quantile(outside, _FALSE)))
    if not tolerance > 0:
        raise DatasetError('frames that are not solved have the same latents as the goal, so no '
                           'latent distance is "reached"; does the model see what the task is '
                           'judged by?')
    return NearEnough(tolerance, float((inside < tolerance).mean()),
                      float((outside < tolerance).mean()), len(inside), len(outside))


def measure_near_enough(subject: HeldOut, task: Task, tolerance: Tolerance, *,
                        pairs: int = PAIRS, seed: int = 0) -> NearEnough:
    """Measure it on pairs of frames of held-out episodes, both from the same episode.

    Args:
        subject: The bundle, and data with the truth of the task.
        task: Says how far two frames are apart.
        tolerance: What counts as solved.
        pairs: How many to draw; the steps between two frames are drawn evenly up to the task's
            budget, so that near and far ones are among them.
        seed: Of the draw.

    Raises:
        DatasetError: If the data has no truth, or too few frames near the tolerance.
    """
    data = subject.data
    if TRUTH not in data.columns:
        raise DatasetError(f'{data.path} has no column {TRUTH}, what is true in each frame; '
                           f'record it in simulation')
    rows = _draw(subject, task.facts.budget, pairs, np.random.default_rng(seed))
    frames, places = np.unique(rows, return_inverse=True)
    latents = subject.encode_rows(frames).cpu().numpy()[places.reshape(rows.shape)]
    truth = np.asarray(data.columns[TRUTH][frames])[places.reshape(rows.shape)]
    errors = [task.outcome(here, there).distance(tolerance) for here, there in truth]
    return near_enough(np.square(latents[:, 0] - latents[:, 1]).sum(axis=1), np.array(errors))


def _draw(subject: HeldOut, furthest: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows of the data set, (count, 2), of one held-out episode each."""
    data = subject.data
    lengths = data.ep_len[subject.held_out]
    episodes = subject.held_out[lengths >= 2]
    if not len(episodes):
        raise DatasetError(f'{data.path}: no held-out episode has two frames')
    chosen = rng.choice(episodes, size=count)
    length = data.ep_len[chosen]
    apart = rng.integers(1, np.minimum(furthest + 1, length))
    first = data.ep_offset[chosen] + rng.integers(0, length - apart)
    return np.stack([first, first + apart], axis=1)
