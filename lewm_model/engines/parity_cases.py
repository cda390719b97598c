"""Situations to compare backends in, made from the model alone, with eager fp32's answers.

Contexts and goals are places that the model imagines: a made-up frame is encoded and left by a
walk of imagined blocks. Candidates are drawn as the planner draws them, inside the robot's limits,
in its own number, so that the very graphs that will plan are the ones that are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.planning.candidates import Candidates
from lewm_model.types import Context, Goal
import numpy as np
import torch
from torch import Tensor

_SEED = 20
_CANDIDATES = 64      # at least, in as many batches of the planner's number as it takes
_CONTEXTS = 2         # of each length
_GOALS = 4            # of each context, every other one off the reachable places
_GOAL_NOISE = 0.5     # how far off, in units of the spread of the places that are reached


@dataclass(frozen=True)
class Case:
    """One context, candidates from it, and several goals."""

    context: Context
    batches: tuple[Tensor, ...]    # candidates, (S, T, K*A) each
    goals: tuple[Goal, ...]
    expected: Tensor               # eager's latents of all batches, (N, T, D)
    single: Tensor                 # and of the first candidate alone, (1, T, D)


@dataclass(frozen=True)
class Cases:
    """Frames with their latents, and rollouts, as eager fp32 computes them."""

    frames: tuple[np.ndarray, ...]    # uint8 (H, W, 3)
    latents: Tensor                   # (N, D)
    rollouts: tuple[Case, ...]        # of every context length


@torch.inference_mode()
def make_cases(bundle: Bundle, config: PlanConfig,
               frame_size: tuple[int, int] | None = None) -> Cases:
    """Make situations for a model and its planner's settings, always the same.

    Args:
        bundle: The model.
        config: Says the candidates, the horizon and the longest context.
        frame_size: Height and width of the frames [px]; the model's when None.
    """
    eager, sizes = TorchEngine(bundle), bundle.model_config
    frames = _frames(frame_size or (sizes.image_size, sizes.image_size), _CONTEXTS + 1)
    latents = torch.stack([eager.encode(frame) for frame in frames])
    candidates = Candidates(config, action_dim=sizes.action_dim, block_dim=sizes.block_dim,
                            generator=torch.Generator().manual_seed(_SEED),
                            bounds=bundle.normalized_limits)

    def draw() -> Tensor:
        samples = candidates.noise(1) * config.sample_std
        return candidates.constrain(samples, [None])[0].to(latents)

    return Cases(tuple(frames), latents, tuple(
        _case(eager, start, length, draw, config) for length in range(1, config.history + 1)
        for start in latents[:_CONTEXTS]))


def _case(eager: TorchEngine, start: Tensor, length: int,
          draw: Callable[[], Tensor], config: PlanConfig) -> Case:
    """Walk `length` blocks away from a latent (D,), then draw goals and candidates from there."""
    plans = torch.cat([draw()[0] for _ in range(math.ceil(length / config.horizon))])
    walk = plans[:length]                                                  # (L, K*A)
    seen = eager.rollout(Context(start[None, None], walk[None, :0], (0,)), walk[None])
    context = Context(seen, walk[None, 1:], tuple(range(length)))
    count = max(1, math.ceil(_CANDIDATES / config.num_candidates))
    batches = tuple(draw() for _ in range(count))
    expected = torch.cat([eager.rollout(context, blocks) for blocks in batches])
    reached = eager.rollout(context, torch.cat([draw() for _ in range(
        math.ceil(_GOALS / config.num_candidates))])[:_GOALS])[:, -1]      # (_GOALS, D)
    spread = expected[:, -1].std(dim=0)
    noise = torch.randn(reached.shape, generator=torch.Generator().manual_seed(_SEED))
    reached[1::2] += _GOAL_NOISE * spread * noise.to(reached)[1::2]
    return Case(context, batches, tuple(Goal(latent=latent) for latent in reached), expected,
                eager.rollout(context, batches[0][:1]))


def _frames(frame_size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Make pictures with coarse and fine structure, uint8 (H, W, 3)."""
    random = np.random.default_rng(_SEED)
    coarse = random.integers(0, 256, (count, 8, 8, 3))
    rows, columns = (np.arange(size) * 8 // size for size in frame_size)
    fine = random.integers(-20, 21, (count, *frame_size, 3))
    return list(np.clip(coarse[:, rows][:, :, columns] + fine, 0, 255).astype(np.uint8))
