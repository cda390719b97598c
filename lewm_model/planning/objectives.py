"""How far imagined latents are from a goal: a latent, or what some quantities shall be."""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.heads.readout import Readout
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


class ReadoutObjective:
    """The distance of quantities for goals that name some, that of latents for all others.

    Args:
        readout: Reads the quantities.
        cost: 'last' or 'all', as of latents.
    """

    def __init__(self, readout: Readout, cost: str) -> None:
        self._readout, self._whole, self._last = readout, _OBJECTIVES[cost], cost == 'last'

    def __call__(self, latents: Tensor, goal: Goal) -> Tensor:
        """Reduce (S, T, D) to costs (S,)."""
        if goal.target is None:
            return self._whole(latents, goal)
        if self._last:
            return self._readout.cost(latents[:, -1], goal.target)
        return self._readout.cost(latents, goal.target).mean(dim=-1)


def make_objective(cost: str, readout: Readout | None = None) -> Objective:
    """Return the objective that `PlanConfig.cost` names; with a readout, also for quantities.

    Raises:
        ConfigError: If there is none of that name.
    """
    if cost not in _OBJECTIVES:
        raise ConfigError(f'cost must be one of {", ".join(_OBJECTIVES)}, got {cost!r}')
    return _OBJECTIVES[cost] if readout is None else ReadoutObjective(readout, cost)
