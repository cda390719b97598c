"""Where a search may start beside the last plan: what the training set did, and a fused prior."""

from __future__ import annotations

import time

from lewm_model.errors import PlanningError
from lewm_model.heads.memory import Memory
from lewm_model.heads.plan_prior import fuse, PlanPrior
from lewm_model.planning.protocols import Objective
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


class MemorySolver:
    """Answers with what was done in the likest situation; see `protocols.Solver`.

    Args:
        memory: Of the training set.
        objective: Gives the plan a cost: the distance of the newest frame, nothing is imagined.
        horizon: T, blocks.
    """

    def __init__(self, memory: Memory, objective: Objective, horizon: int) -> None:
        self._memory, self._objective, self._horizon = memory, objective, horizon

    @torch.inference_mode()
    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; `initial_mean` has no effect, what is committed heads the plan.

        Raises:
            PlanningError: If the memory is too short for a single block.
        """
        started = time.perf_counter()
        newest = context.latents[0, -1]
        found = self._memory.recall(newest, goal.latent, self._horizon, 1)
        if not len(found):
            raise PlanningError('the memory of the bundle has no two frames of one episode; make '
                                'it again with `lewm train-policy --kind memory`')
        blocks = found[0]
        if committed is not None:
            blocks.view(-1)[:committed.numel()] = committed.flatten()
        cost = self._objective(newest[None, None], goal).item()
        return Plan(blocks=blocks, cost=cost, start_cost=cost, elite_std=0.0,
                    solve_time_s=time.perf_counter() - started, iterations=0)


class FusedStart:
    """Where plans to a goal lie, fused by precision with where the search would start anyway.

    Args:
        prior: The Gaussian over plans.
        horizon: T of the search; blocks beyond the prior's are left as they are.
    """

    def __init__(self, prior: PlanPrior, horizon: int) -> None:
        self._prior, self._horizon = prior, horizon

    def __call__(self, latents: Tensor, goals: Tensor, means: Tensor, stds: Tensor
                 ) -> tuple[Tensor, Tensor]:
        """Return means and standard deviations to start with.

        Args:
            latents: Where the robots are, (B, D).
            goals: (B, D).
            means: (B, T, K*A).
            stds: (B, T, K*A).
        """
        told = min(self._horizon, self._prior.config.horizon)
        said = tuple(part[:, :told] for part in self._prior(latents, goals))
        mean, std = fuse(said, (means[:, :told], stds[:, :told]))
        return (torch.cat([mean, means[:, told:]], dim=1),
                torch.cat([std, stds[:, told:]], dim=1))
