"""Train what answers without search, by hindsight, on the latents of a bundle that stays as it is.

Pairs of frames of one training episode, n control steps apart, with the block that left the first.
For n = K that block is exactly the answer; the larger n, the more ways there were, and the block
that happened to be taken is only a hint whose mean is learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math
import time
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.networks import TRAINED
from lewm_model.config import Config, require
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import ConfigError, TrainingError
from lewm_model.heads.goal_policy import GoalPolicy, GoalPolicyConfig
from lewm_model.heads.memory import Memory, MemoryConfig
from lewm_model.heads.plan_prior import beta_nll, PlanPrior, PlanPriorConfig
from lewm_model.heads.prior import InverseDynamicsPrior, PriorConfig
from lewm_model.heads.quantity_prior import QuantityPrior, QuantityPriorConfig
from lewm_model.held_out import HeldOut
from lewm_model.training import decoder
from lewm_model.training.hindsight import Hindsight, HindsightBatch
from lewm_model.training.quantity_prior import Wanted
from lewm_model.training.reach import fit_reach
from lewm_model.training.readout import fit_readout
from lewm_model.training.stop import watch_for_stop
import numpy as np
import torch
from torch import nn, Tensor

_WARMUP = 0.05          # share of the steps
_GRAD_CLIP = 1.0        # global norm
_JUDGED_PAIRS = 1000    # per offset
_CHUNK = 1024           # frames read at once


@dataclass(frozen=True)
class PolicyTrainConfig(Config):
    """Training of a small network on frozen latents."""

    batch_size: int = 512
    steps: int = 4000
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 3072
    farthest: int | None = None     # goals to learn to act for are at most so many control steps
    #                                 away; None: as far as the bundle plans

    def __post_init__(self) -> None:
        for name in ('batch_size', 'steps'):
            require(getattr(self, name) >= 1, f'PolicyTrainConfig.{name}', 'at least 1',
                    getattr(self, name))
        require(self.learning_rate > 0, 'PolicyTrainConfig.learning_rate', 'positive',
                self.learning_rate)
        require(self.weight_decay >= 0, 'PolicyTrainConfig.weight_decay', 'not negative',
                self.weight_decay)


def usual_config(kind: str) -> PolicyTrainConfig:
    """Return how a kind is trained unless somebody says otherwise."""
    if kind == 'decoder':
        return PolicyTrainConfig(batch_size=decoder.BATCH_SIZE, steps=decoder.STEPS,
                                 learning_rate=decoder.LEARNING_RATE)
    return PolicyTrainConfig()


@dataclass(frozen=True)
class PolicyProgress:
    """Where training stands."""

    phase: str                # 'frame' while frames are encoded, then 'step'
    done: int
    total: int
    loss: float = math.nan    # of the last batch


Report = Callable[[PolicyProgress], None]


def train_policy(bundle: Bundle, data: EpisodeFile, kind: str, sizes: Config | None = None,
                 config: PolicyTrainConfig | None = None, *, subject: HeldOut | None = None,
                 report: Report = lambda progress: None, latents: Tensor | None = None
                 ) -> tuple[nn.Module, dict[str, Any]]:
    """Make one of the networks of `bundles.networks` for a bundle, whose model stays as it is.

    Args:
        bundle: Model, statistics and limits; its planning horizon is the longest n.
        data: What the bundle was trained from, unless `subject` says otherwise; held-out episodes
            are only used for judging.
        kind: Its name: 'prior', 'gcbc', 'quantity_prior', 'plan_prior', 'reach', 'readout',
            'decoder', or 'memory', which is not trained.
        sizes: Of the network; None: the usual ones. A memory and a readout have those of the
            data.
        config: Of the training; None: the usual one of the kind.
        subject: Bundle and data as they are divided; None: into what the bundle was trained on
            and the rest. New episodes: `divide.divide_new`.
        report: Called after every step and every batch of frames.
        latents: Of every frame of the data, (N, D), where they are known from `encode_all`.

    Returns:
        The network in eval mode, and what was measured on held-out episodes.

    Raises:
        BundleError: If the bundle does not say which episodes it never saw.
        ConfigError: If there is no such kind.
        DatasetError: If the data is not what the bundle was trained from, or has no episode that
            long.
        TrainingError: If the loss is no longer finite.
        KeyboardInterrupt: After the first SIGINT or SIGTERM.
    """
    config = config or usual_config(kind)
    require_trainable(kind, config)
    subject = subject or HeldOut(bundle, data)
    started = time.monotonic()
    with watch_for_stop() as stop:
        def tell(progress: PolicyProgress) -> None:
            report(progress)
            if stop.wanted:
                raise KeyboardInterrupt

        if latents is None:
            latents = encode_all(subject, tell)
        if kind == 'memory':
            network, errors = remember(subject, latents), {}
        elif kind in _OF_LATENTS:
            network, errors = _OF_LATENTS[kind](
                subject, latents, sizes, config.seed, config.batch_size,
                lambda build, loss: fit(build, loss, config, tell))
        else:
            pairs = Hindsight(subject, latents, subject.kept, config.seed, config.farthest)
            unseen = Hindsight(subject, latents, subject.held_out, config.seed, config.farthest)
            wanted = Wanted(subject, latents, config.seed) if kind == 'quantity_prior' else None
            network = (_FITS[kind](bundle, pairs, sizes, config, tell) if wanted is None else
                       fit_quantity_prior(bundle, pairs, wanted, sizes, config, tell))
            errors = {'held_out_error': {str(offset): judge(network, unseen, offset, wanted)
                                         for offset in (unseen.shortest, unseen.longest)}}
    return network, {
        **({} if kind == 'memory' else {'steps': config.steps, 'batch_size': config.batch_size,
                                        'seed': config.seed}),
        **({} if config.farthest is None else {'farthest': config.farthest}),
        **Fingerprint.of(data).identity(),
        'parameters': sum(value.numel() for value in network.state_dict().values()),
        'minutes': round((time.monotonic() - started) / 60, 1), **errors}


def require_trainable(kind: str, config: PolicyTrainConfig) -> None:
    """Refuse what cannot be trained, before any frame is read.

    Raises:
        ConfigError: The message says what can be.
    """
    if kind not in TRAINED:
        raise ConfigError(f'kind must be one of {", ".join(TRAINED)}, got {kind!r}')
    require(config.farthest is None or kind in _FARTHER, 'PolicyTrainConfig.farthest',
            f'absent for kind {kind!r} (only {", ".join(_FARTHER)} learn so)',
            config.farthest)


def encode_all(subject: HeldOut, report: Report = lambda progress: None) -> Tensor:
    """Encode every frame of the data set, (N, D), without reading all pixels at once."""
    rows, parts = len(subject.data.pixels), []
    for first in range(0, rows, _CHUNK):
        last = min(first + _CHUNK, rows)
        parts.append(subject.encode_rows(np.arange(first, last)))
        report(PolicyProgress('frame', last, rows))
    return torch.cat(parts)


def remember(subject: HeldOut, latents: Tensor) -> Memory:
    """Keep every K-th frame of the training episodes, with the blocks in between."""
    data, bundle = subject.data, subject.bundle
    skip = bundle.model_config.frameskip
    starts = [data.ep_offset[episode] + np.arange(0, data.ep_len[episode], skip)
              for episode in subject.kept]
    rows = np.concatenate(starts)
    left = np.concatenate([np.arange(len(one))[::-1] for one in starts])
    actions = bundle.action_normalizer.normalize(data.action)
    memory = bundle.new_network('memory', MemoryConfig(rows=len(rows)))
    memory.latents.copy_(latents[rows])
    memory.left.copy_(torch.from_numpy(left.copy()))
    whole = np.flatnonzero(left > 0)
    memory.blocks[whole] = torch.from_numpy(
        actions[rows[whole][:, None] + np.arange(skip)].reshape(len(whole), -1)).half()
    return memory.eval()


def fit_prior(bundle: Bundle, pairs: Hindsight, sizes: PriorConfig | None,
              config: PolicyTrainConfig, report: Report) -> InverseDynamicsPrior:
    """Regress the executed blocks from where, where to and when; small n are drawn more often."""
    def loss(prior: InverseDynamicsPrior) -> Tensor:
        batch = pairs.draw(config.batch_size)
        return (answer(prior, batch) - batch.blocks).square().mean()
    return fit(lambda: bundle.new_network('prior', sizes or PriorConfig()), loss, config, report)


def fit_gcbc(bundle: Bundle, pairs: Hindsight, sizes: GoalPolicyConfig | None,
             config: PolicyTrainConfig, report: Report) -> GoalPolicy:
    """Regress the executed blocks from where and where to; all n are drawn equally often.

    Where n may be larger than a plan is long, small ones are drawn more often: what leads to a far
    goal is known less well, and an answer that suits both would be worse for the near ones.
    """
    def loss(policy: GoalPolicy) -> Tensor:
        batch = pairs.draw(config.batch_size, evenly=config.farthest is None)
        return (answer(policy, batch) - batch.blocks).square().mean()
    return fit(lambda: bundle.new_network('gcbc', sizes or GoalPolicyConfig()), loss, config,
               report)


def fit_quantity_prior(bundle: Bundle, pairs: Hindsight, wanted: Wanted,
                       sizes: QuantityPriorConfig | None, config: PolicyTrainConfig,
                       report: Report) -> QuantityPrior:
    """Regress the executed blocks from where, what some quantities became, and when."""
    sizes = replace(sizes or QuantityPriorConfig(), columns=wanted.known.shape[1])

    def build() -> QuantityPrior:
        prior = bundle.new_network('quantity_prior', sizes)
        prior.mean.copy_(bundle.readout.mean)
        prior.std.copy_(bundle.readout.std)
        return prior

    def loss(prior: QuantityPrior) -> Tensor:
        batch = pairs.draw(config.batch_size)
        asked = wanted.asked(config.batch_size)
        return (answer(prior, batch, wanted, asked) - batch.blocks).square().mean()
    return fit(build, loss, config, report)


def fit_plan_prior(bundle: Bundle, pairs: Hindsight, sizes: PlanPriorConfig | None,
                   config: PolicyTrainConfig, report: Report) -> PlanPrior:
    """Fit a Gaussian to all that was done on the way, by its beta-weighted likelihood."""
    sizes = sizes or PlanPriorConfig(horizon=bundle.plan_config.horizon)

    def loss(prior: PlanPrior) -> Tensor:
        batch = pairs.draw_plans(config.batch_size)
        means, stds = prior(batch.latents, batch.goals)
        return beta_nll(means, stds, batch.blocks.view_as(means))
    return fit(lambda: bundle.new_network('plan_prior', sizes), loss, config, report)


_FARTHER = ('prior', 'gcbc', 'quantity_prior')     # answer with one block, however far the goal is
_FITS = {'prior': fit_prior, 'gcbc': fit_gcbc, 'plan_prior': fit_plan_prior}
_OF_LATENTS = {'reach': fit_reach, 'readout': fit_readout, 'decoder': decoder.fit_decoder}


def fit(build: Callable[[], nn.Module], loss_of: Callable[[Any], Tensor],
        config: PolicyTrainConfig, report: Report) -> nn.Module:
    """Minimise a loss that draws its own batches; see `train_policy`.

    Raises:
        TrainingError: If the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)     # initial weights
        network = build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate,
                                  weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, config.steps))
    for step in range(config.steps):
        loss = loss_of(network)
        if not loss.isfinite():
            raise TrainingError(f'the loss became {loss.item()} at step {step}; nothing was '
                                f'written: try a smaller learning rate, and look for broken '
                                f'frames with `lewm inspect`')
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _GRAD_CLIP)
        optimizer.step()
        schedule.step()
        report(PolicyProgress('step', step + 1, config.steps, loss.item()))
    return network.eval().requires_grad_(False)


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: up linearly, then down to 0 along a cosine."""
    warmup = _WARMUP * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def answer(network: nn.Module, batch: HindsightBatch, wanted: Wanted | None = None,
           asked: Tensor | None = None) -> Tensor:
    """Return the first block that a network answers with, (B, K*A); `asked` None: everything."""
    if isinstance(network, QuantityPrior):
        goals = wanted.known[batch.goal_rows]
        return network(batch.latents, wanted.read[batch.rows], goals,
                       torch.ones_like(goals, dtype=torch.bool) if asked is None else asked,
                       batch.steps_left)
    if isinstance(network, InverseDynamicsPrior):
        return network(batch.latents, batch.goals, batch.steps_left)
    if isinstance(network, PlanPrior):
        return network(batch.latents, batch.goals)[0][:, 0]
    return network(batch.latents, batch.goals)


@torch.inference_mode()
def judge(network: nn.Module, pairs: Hindsight, offset: int, wanted: Wanted | None = None
          ) -> float:
    """Return how far answers are from what was done, as share of what zero answers would be.

    Root mean square over actions; frames lie `offset` control steps apart.
    """
    batch = pairs.draw(_JUDGED_PAIRS, offset)
    error = answer(network, batch, wanted) - batch.blocks
    return math.sqrt(error.square().mean().item() / batch.blocks.square().mean().item())
