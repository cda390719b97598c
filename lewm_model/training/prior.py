"""Train the prior of a bundle by hindsight: what was done in between leads from here to there.

Pairs of frames of one training episode, n control steps apart, with the block that left the first.
For n = K that block is exactly the answer; the larger n, the more ways there were, and the block
that happened to be taken is only a hint whose mean is learnt. So small n are drawn more often.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import time
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import Config, require
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import DatasetError, TrainingError
from lewm_model.held_out import HeldOut
from lewm_model.prior import InverseDynamicsPrior, PriorConfig
from lewm_model.training.stop import watch_for_stop
import numpy as np
import torch
from torch import Tensor

_WARMUP = 0.05          # share of the steps
_GRAD_CLIP = 1.0        # global norm
_JUDGED_PAIRS = 1000    # per offset
_CHUNK = 1024           # frames read at once


@dataclass(frozen=True)
class PriorTrainConfig(Config):
    """Training of a prior."""

    batch_size: int = 512
    steps: int = 4000
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 3072

    def __post_init__(self) -> None:
        for name in ('batch_size', 'steps'):
            require(getattr(self, name) >= 1, f'PriorTrainConfig.{name}', 'at least 1',
                    getattr(self, name))
        require(self.learning_rate > 0, 'PriorTrainConfig.learning_rate', 'positive',
                self.learning_rate)
        require(self.weight_decay >= 0, 'PriorTrainConfig.weight_decay', 'not negative',
                self.weight_decay)


@dataclass(frozen=True)
class PriorProgress:
    """Where training stands."""

    phase: str                # 'frame' while frames are encoded, then 'step'
    done: int
    total: int
    loss: float = math.nan    # of the last batch, normalised units squared


@dataclass(frozen=True)
class HindsightBatch:
    """B pairs of frames with what was done."""

    latents: Tensor       # (B, D)
    goals: Tensor         # (B, D), n control steps later
    steps_left: Tensor    # (B,), n
    blocks: Tensor        # (B, K*A), normalised, executed from `latents` on


def train_prior(bundle: Bundle, data: EpisodeFile, sizes: PriorConfig | None = None,
                config: PriorTrainConfig | None = None, *,
                report: Callable[[PriorProgress], None] = lambda progress: None
                ) -> tuple[InverseDynamicsPrior, dict[str, Any]]:
    """Train a prior for a bundle, whose model stays as it is.

    Args:
        bundle: Model, statistics and limits; its planning horizon is the longest n.
        data: What the bundle was trained from; held-out episodes are only used for judging.
        sizes: Of the network.
        config: Of the training.
        report: Called after every step and every batch of frames.

    Returns:
        The prior in eval mode, and what was measured on held-out episodes.

    Raises:
        BundleError: If the bundle does not say which episodes it never saw.
        DatasetError: If the data is not what the bundle was trained from, or has no episode that
            long.
        TrainingError: If the loss is no longer finite.
        KeyboardInterrupt: After the first SIGINT or SIGTERM.
    """
    sizes, config = sizes or PriorConfig(), config or PriorTrainConfig()
    subject = HeldOut(bundle, data)
    started = time.monotonic()
    with watch_for_stop() as stop:
        def tell(progress: PriorProgress) -> None:
            report(progress)
            if stop.wanted:
                raise KeyboardInterrupt

        latents = _encode_all(subject, tell)
        pairs = Hindsight(subject, latents, subject.kept, config.seed)
        prior = fit(bundle, pairs, sizes, config, tell)
    unseen = Hindsight(subject, latents, subject.held_out, config.seed)
    return prior, {
        'steps': config.steps, 'batch_size': config.batch_size, 'seed': config.seed,
        **Fingerprint.of(data).identity(),
        'parameters': sum(value.numel() for value in prior.parameters()),
        'minutes': round((time.monotonic() - started) / 60, 1),
        'held_out_error': {str(offset): judge(prior, unseen, offset)
                          for offset in (unseen.shortest, unseen.longest)}}


def _encode_all(subject: HeldOut, report: Callable[[PriorProgress], None]) -> Tensor:
    """Encode every frame of the data set, (N, D), without reading all pixels at once."""
    rows, parts = len(subject.data.pixels), []
    for first in range(0, rows, _CHUNK):
        last = min(first + _CHUNK, rows)
        parts.append(subject.encode_rows(np.arange(first, last)))
        report(PriorProgress('frame', last, rows))
    return torch.cat(parts)


class Hindsight:
    """Draws pairs of frames of one episode, with the block that left the first.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        episodes: Which of them to use.
        seed: Of the draw.

    Attributes:
        shortest: Smallest n, one block [control steps].
        longest: Largest n, the planning horizon [control steps].

    Raises:
        DatasetError: If no episode has a frame and another one a block later.
    """

    def __init__(self, subject: HeldOut, latents: Tensor, episodes: np.ndarray, seed: int) -> None:
        data, bundle = subject.data, subject.bundle
        self.shortest = bundle.model_config.frameskip
        self.longest = self.shortest * bundle.plan_config.horizon
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

    def draw(self, count: int, offset: int | None = None) -> HindsightBatch:
        """Draw pairs.

        Args:
            count: B.
            offset: n; None: between one block and the horizon, small ones more often. Where the
                episode ends before, its last frame is the goal.
        """
        chosen = self._rng.integers(len(self._starts), size=count)
        starts = self._starts[chosen]
        spread = self.longest - self.shortest + 1
        wanted = offset or self.shortest + (spread * self._rng.random(count) ** 2).astype(int)
        goals = np.minimum(starts + wanted, self._last[chosen])
        actions = self._actions[starts[:, None] + np.arange(self.shortest)]      # (B, K, A)
        return HindsightBatch(
            latents=self._latents[starts], goals=self._latents[goals],
            steps_left=torch.from_numpy(goals - starts),
            blocks=torch.from_numpy(actions.reshape(count, -1)))


def fit(bundle: Bundle, pairs: Hindsight, sizes: PriorConfig, config: PriorTrainConfig,
        report: Callable[[PriorProgress], None]) -> InverseDynamicsPrior:
    """Regress the executed blocks; see `train_prior`.

    Raises:
        TrainingError: If the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)     # initial weights
        prior = bundle.new_prior(sizes)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=config.learning_rate,
                                  weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, config.steps))
    for step in range(config.steps):
        batch = pairs.draw(config.batch_size)
        answers = prior(batch.latents, batch.goals, batch.steps_left)
        loss = (answers - batch.blocks).square().mean()
        if not loss.isfinite():
            raise TrainingError(f'the loss became {loss.item()} at step {step}; nothing was '
                                f'written: try a smaller learning rate, and look for broken '
                                f'frames with `lewm inspect`')
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), _GRAD_CLIP)
        optimizer.step()
        schedule.step()
        report(PriorProgress('step', step + 1, config.steps, loss.item()))
    return prior.eval().requires_grad_(False)


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: up linearly, then down to 0 along a cosine."""
    warmup = _WARMUP * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


@torch.inference_mode()
def judge(prior: InverseDynamicsPrior, pairs: Hindsight, offset: int) -> float:
    """Return how far answers are from what was done, as share of what zero answers would be.

    Root mean square over actions; frames lie `offset` control steps apart.
    """
    batch = pairs.draw(_JUDGED_PAIRS, offset)
    error = prior(batch.latents, batch.goals, batch.steps_left) - batch.blocks
    return math.sqrt(error.square().mean().item() / batch.blocks.square().mean().item())
