"""What a decision costs: floating-point operations; settings at several budgets of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
import re
from typing import Any

from lewm_model.assemble import make_policy
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.types import Goal, Observation
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

SEARCHES = ('cem', 'mppi', 'gradient')      # solvers whose budget is candidates x iterations


@dataclass(frozen=True)
class Effort:
    """Operations of one decision, in eager torch; a multiplication and its addition are two."""

    encode_flops: int        # one frame
    plan_flops: int          # one plan: prior or other networks, rollouts, gradients
    control_steps: int       # executed before the next decision

    @property
    def flops_per_step(self) -> float:
        """Operations for each executed control step, with one new frame per plan."""
        return (self.encode_flops + self.plan_flops) / self.control_steps

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and YAML."""
        return {**asdict(self), 'flops_per_step': self.flops_per_step}


def count_effort(bundle: Bundle, config: PlanConfig, names: Sequence[str] = ()) -> Effort:
    """Count the matrix products and convolutions of one decision, by doing it once.

    The search runs with all its iterations, whatever `budget_ms` says, and with a full history.
    Goals are encoded once, not for each decision, and do not count. With names of quantities it
    is a decision to a goal that names them, which are read from all that is imagined.
    """
    policy = make_policy(bundle, replace(config, budget_ms=None), backend='torch')
    side, sizes = bundle.frame_px, bundle.model_config
    frame = np.zeros((side, side, 3), np.uint8)
    step_ns = round(bundle.control_dt_s * 1e9)
    for step in range((config.history - 1) * sizes.frameskip + 1):
        if step % sizes.frameskip == 0:
            with FlopCounterMode(display=False) as encoding:
                policy.observe(Observation(stamp_ns=step * step_ns, rgb=frame))
        policy.executed(step * step_ns, bundle.action_normalizer.mean)
    device = next(bundle.model.parameters()).device
    if names:
        policy.set_goal_quantities(names, [0.0] * len(names))
    else:
        policy.set_goal(Goal(latent=torch.zeros(sizes.latent_dim, device=device)))
    with FlopCounterMode(display=False) as planning:
        policy.plan(step * step_ns)
    return Effort(encoding.get_total_flops(), planning.get_total_flops(), policy.steps_per_plan)


def parse_budgets(text: str) -> list[tuple[int, int]]:
    """Read budgets such as '30x3,100x5': candidates and iterations.

    Raises:
        ConfigError: If a part is not of this form.
    """
    found = [re.fullmatch(r'\s*(\d+)\s*x\s*(\d+)\s*', part) for part in text.split(',')]
    if not all(found):
        raise ConfigError(f'budgets are candidates x iterations, such as 30x3,100x5, got {text!r}')
    return [(int(one[1]), int(one[2])) for one in found]


def at_budgets(plans: Mapping[str, PlanConfig], budgets: list[tuple[int, int]]
               ) -> dict[str, PlanConfig]:
    """Return every search at every budget, called `<name> <S>x<I>`, and the others as they are.

    A tenth of the candidates are elites, two at least.
    """
    found = {}
    for name, config in plans.items():
        if config.solver not in SEARCHES:
            found[name] = config
            continue
        for count, iterations in budgets:
            elites = max(2, count // 10)
            found[f'{name} {count}x{iterations}'] = replace(
                config, num_candidates=count, iterations=iterations, num_elites=elites,
                keep_elites=min(config.keep_elites, elites, count - 1),
                recalled=min(config.recalled, count - 1))
    return found
