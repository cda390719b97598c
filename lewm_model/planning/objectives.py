"""Distances from imagined latents to the goal latent."""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.planning.protocols import Objective
from lewm_model.types import Goal
from torch import Tensor


def last_step_distance(latents: Tensor, goal: Goal) -> Tensor:
    """Squared distance of the last imagined latent, summed over D: (S, T, D) -> (S,).

    The reference's cost. Says nothing about *when* the goal is reached, so it goes with executing
    the whole horizon; replanning every block with it procrastinates.
    """
    return (latents[:, -1] - goal.latent).square().sum(dim=-1)


def all_steps_distance(latents: Tensor, goal: Goal) -> Tensor:
    """Squared distance, summed over D, mean over all T steps: (S, T, D) -> (S,).

    Prefers reaching the goal early and staying; goes with replanning every block.
    """
    return (latents - goal.latent).square().sum(dim=-1).mean(dim=-1)


_OBJECTIVES = {'last': last_step_distance, 'all': all_steps_distance}


def make_objective(cost: str) -> Objective:
    """Return the objective that `PlanConfig.cost` names."""
    try:
        return _OBJECTIVES[cost]
    except KeyError:
        raise ConfigError(f'cost must be one of {", ".join(_OBJECTIVES)}, got {cost!r}') from None
