"""Does a backend compute what the model computes? Latents, order of costs, quality of choices.

The last is what planning is about. Backend and eager fp32 see the same candidates, each picks its
elites, and eager fp32 says what both choices cost: the backend's regret. Candidates of nearly
equal cost may change places freely. Regret counts in units of the spread of the candidates'
costs, so that it means the same for a model whose costs hardly depend on the actions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.parity_cases import Case, Cases, make_cases
from lewm_model.errors import EngineError
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.protocols import Engine
import numpy as np
import torch
from torch import Tensor

_NO_EFFECT = 1e-5   # spread of the places reached, relative to where they are: rounding alone


class ParityError(EngineError):
    """A backend does not agree with eager fp32; it will not the next time either."""


@dataclass(frozen=True)
class Parity:
    """How far a backend is from eager fp32, worst over the situations tried."""

    encode_error: float       # norm of the difference over the norm of the latent
    rollout_error: float      # the same, over all imagined latents
    rank_correlation: float   # Spearman's, of the candidates' costs
    regret: float             # extra cost of the elites, in units of the spread of the costs

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ParityLimits:
    """What is still the same model."""

    error: float
    rank_correlation: float
    regret: float


# fp32 differs by rounding alone. bf16 keeps 8 bits, fp16 keeps 11: docs/engines.md has what was
# measured, also in closed loop, and what planted faults come to.
LIMITS = {'fp32': ParityLimits(1e-4, 0.9999, 1e-3), 'fp16': ParityLimits(1e-2, 0.99, 0.03),
          'bf16': ParityLimits(5e-2, 0.99, 0.03)}


@torch.inference_mode()
def measure_parity(engine: Engine, bundle: Bundle, config: PlanConfig,
                   frame_size: tuple[int, int] | None = None, *,
                   cases: Cases | None = None) -> Parity:
    """Compare an engine with eager fp32 on made-up situations, always the same.

    Args:
        engine: What is checked, at context lengths 1 to `config.history`.
        bundle: The model.
        config: Says the candidates, the elites, the horizon, the cost and the history.
        frame_size: Height and width of the frames [px]; the model's when None.
        cases: From `make_cases` with these arguments, if there are several engines to check.
    """
    cases = cases or make_cases(bundle, config, frame_size)
    encoded = torch.stack([engine.encode(frame) for frame in cases.frames])
    rollout_errors, correlations, regrets = [], [], []
    for case in cases.rollouts:
        imagined = torch.cat([engine.rollout(case.context, blocks) for blocks in case.batches])
        single = engine.rollout(case.context, case.batches[0][:1])   # as plans are scored
        rollout_errors += [_relative_error(imagined, case.expected),
                           _relative_error(single, case.single)]
        if not _actions_matter(case):
            continue   # an untrained model: there is no order to keep
        for correlation, regret in _choices(case, imagined, config):
            correlations.append(correlation)
            regrets.append(regret)
    return Parity(encode_error=_relative_error(encoded, cases.latents),   # np: a NaN stays
                  rollout_error=float(np.max(rollout_errors)),
                  rank_correlation=float(np.min(correlations, initial=1.0)),
                  regret=float(np.max(regrets, initial=0.0)))


def check_parity(engine: Engine, bundle: Bundle, config: PlanConfig,
                 frame_size: tuple[int, int] | None = None, *,
                 cases: Cases | None = None) -> Parity:
    """Refuse an engine that is too far from the model; arguments as for `measure_parity`.

    Raises:
        ParityError: The message says what was measured and what is allowed.
    """
    parity = measure_parity(engine, bundle, config, frame_size, cases=cases)
    limits = LIMITS[engine.precision]
    misses = [f'{name} {value:.3g} (at most {limit:g})' for name, value, limit in (
        ('encode error', parity.encode_error, limits.error),
        ('rollout error', parity.rollout_error, limits.error),
        ('regret', parity.regret, limits.regret)) if not value <= limit]
    if not parity.rank_correlation >= limits.rank_correlation:
        misses.append(f'cost rank correlation {parity.rank_correlation:.5f} '
                      f'(at least {limits.rank_correlation:g})')
    if misses:
        raise ParityError(f'backend {engine.name}:{engine.precision} does not agree with eager '
                          f'fp32: {", ".join(misses)}; use backend torch')
    return parity


def _choices(case: Case, imagined: Tensor, config: PlanConfig) -> list[tuple[float, float]]:
    """Return rank correlation and regret for each goal."""
    objective, found = make_objective(config.cost), []
    elites = config.num_elites * len(case.batches)
    for goal in case.goals:
        theirs, ours = (objective(latents, goal).cpu().double().numpy()
                        for latents in (case.expected, imagined))
        chosen, best = (np.argsort(costs, kind='stable')[:elites] for costs in (ours, theirs))
        regret = (theirs[chosen].mean() - theirs[best].mean()) / theirs.std()
        finite = np.isfinite(ours).all()
        found.append((_rank_correlation(theirs, ours) if finite else float('nan'),
                      float(regret) if finite else float('nan')))
    return found


def _actions_matter(case: Case) -> bool:
    """Tell whether the candidates end in places that differ by more than rounding."""
    ends = case.expected[:, -1]
    return (ends.std(dim=0).norm() > _NO_EFFECT * ends.mean(dim=0).norm()).item()


def _relative_error(values: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference over the norm; not finite stays not finite."""
    return ((values.float() - expected).norm() / expected.norm()).item()


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(costs, kind='stable'), kind='stable')
             for costs in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
