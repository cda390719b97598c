"""What a sampling solver learns from the costs of its candidates: CEM's rule and MPPI's."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.config import PlanConfig
import torch
from torch import Tensor

# (candidates (E, T, K*A) cheapest first, their costs (E,), old std) -> new mean and std
Refit = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def make_refit(config: PlanConfig) -> Refit:
    """Return the rule of `config.solver`."""
    def elites(candidates: Tensor, costs: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (ddof 1) of the elites, as the reference's CEM."""
        return candidates.mean(dim=0), candidates.std(dim=0)

    def softmax(candidates: Tensor, costs: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the elites weighted by exp(-cost / temperature), std as before (MPPI)."""
        weights = torch.softmax(-(costs - costs[0]) / config.temperature, dim=0)
        return (weights[:, None, None] * candidates).sum(dim=0), std

    return softmax if config.solver == 'mppi' else elites
