"""Does a backend compute what the model computes? Latents, order of costs, chosen action."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lewm_model.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.torch_engine import TorchEngine
from lewm_model.errors import EngineError
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.protocols import Engine
from lewm_model.types import Context, Goal
import numpy as np
import torch
from torch import Tensor

_CANDIDATES = 64   # enough to rank; a check stays far below the time of one plan
_ELITES = 16     # one that changes places with the next moves their mean little
_SEED = 20
_EQUAL_COSTS = 1e-5   # relative spread that is rounding alone


@dataclass(frozen=True)
class Parity:
    """How far a backend is from eager fp32, worst over the frames and context lengths tried."""

    encode_error: float       # norm of the difference over the norm of the latent
    rollout_error: float      # the same, over all imagined latents
    rank_correlation: float   # Spearman's, of the candidates' costs
    action_error: float       # of the elites' mean first block, in units of the sampling spread

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ParityLimits:
    """What is still the same model."""

    error: float
    rank_correlation: float
    action_error: float


# fp32 differs by rounding alone. bf16 keeps 8 bits: its errors are measured in docs/engines.md.
LIMITS = {'fp32': ParityLimits(1e-4, 0.9999, 1e-2), 'bf16': ParityLimits(5e-2, 0.99, 0.5)}


def measure_parity(engine: Engine, bundle: Bundle, config: PlanConfig,
                   frame_size: tuple[int, int] | None = None) -> Parity:
    """Compare an engine with eager fp32 on made-up frames, blocks and goals, always the same.

    Args:
        engine: What is checked, at context lengths 1 to `config.history`.
        bundle: The model.
        config: Says the horizon, the cost and the history.
        frame_size: Height and width of the frames [px]; the model's when None.
    """
    reference = TorchEngine(bundle)
    objective = make_objective(config.cost)
    sizes = bundle.model_config
    frames = _frames(frame_size or (sizes.image_size, sizes.image_size), sizes.history + 1)
    expected = torch.stack([reference.encode(frame) for frame in frames])    # (L + 1, D)
    encoded = torch.stack([engine.encode(frame) for frame in frames])
    generator = torch.Generator().manual_seed(_SEED)
    past = torch.randn(1, sizes.history - 1, sizes.block_dim, generator=generator)
    blocks = torch.randn(_CANDIDATES, config.horizon, sizes.block_dim,
                         generator=generator).to(expected)
    goal = Goal(latent=expected[-1])
    rollout_errors, correlations, action_errors = [], [], []
    for length in range(1, config.history + 1):
        context = Context(latents=expected[None, sizes.history - length:sizes.history],
                          past_blocks=past[:, sizes.history - length:].to(expected),
                          stamps_ns=tuple(range(length)))
        theirs, ours = (some.rollout(context, blocks) for some in (reference, engine))
        rollout_errors.append(_relative_error(ours, theirs))
        costs = [objective(latents, goal).cpu().numpy() for latents in (theirs, ours)]
        if np.ptp(costs[0]) <= _EQUAL_COSTS * np.abs(costs[0]).max():
            continue   # an untrained model ignores actions: there is no order to keep
        correlations.append(_rank_correlation(*costs))
        chosen = [blocks[np.argsort(cost, kind='stable')[:_ELITES], 0].mean(dim=0)
                  for cost in costs]
        action_errors.append((chosen[0] - chosen[1]).abs().max().item())
    return Parity(encode_error=_relative_error(encoded, expected),   # np: a NaN stays
                  rollout_error=float(np.max(rollout_errors)),
                  rank_correlation=float(np.min(correlations, initial=1.0)),
                  action_error=float(np.max(action_errors, initial=0.0)))


def check_parity(engine: Engine, bundle: Bundle, config: PlanConfig,
                 frame_size: tuple[int, int] | None = None) -> Parity:
    """Refuse an engine that is too far from the model.

    Raises:
        EngineError: The message says what was measured and what is allowed.
    """
    parity = measure_parity(engine, bundle, config, frame_size)
    limits = LIMITS[engine.precision]
    misses = [f'{name} {value:.3g} (at most {limit:g})' for name, value, limit in (
        ('encode error', parity.encode_error, limits.error),
        ('rollout error', parity.rollout_error, limits.error),
        ('action error', parity.action_error, limits.action_error)) if not value <= limit]
    if not parity.rank_correlation >= limits.rank_correlation:
        misses.append(f'cost rank correlation {parity.rank_correlation:.5f} '
                      f'(at least {limits.rank_correlation:g})')
    if misses:
        raise EngineError(f'backend {engine.name}:{engine.precision} does not agree with eager '
                          f'fp32: {", ".join(misses)}; use backend torch')
    return parity


def _frames(frame_size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Make pictures with coarse and fine structure, uint8 (H, W, 3)."""
    random = np.random.default_rng(_SEED)
    coarse = random.integers(0, 256, (count, 8, 8, 3))
    rows, columns = (np.arange(size) * 8 // size for size in frame_size)
    fine = random.integers(-20, 21, (count, *frame_size, 3))
    return list(np.clip(coarse[:, rows][:, :, columns] + fine, 0, 255).astype(np.uint8))


def _relative_error(values: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference over the norm; not finite stays not finite."""
    return ((values.float() - expected).norm() / expected.norm()).item()


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return float('nan')
    ranks = [np.argsort(np.argsort(costs, kind='stable'), kind='stable')
             for costs in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
