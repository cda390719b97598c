"""The prior as a solver: a few attempts in the imagined world, no search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import time

from lewm_model.errors import PlanningError
from lewm_model.heads.prior import imagine, InverseDynamicsPrior
from lewm_model.planning.contexts import join_contexts
from lewm_model.planning.protocols import Dynamics, Objective
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


class PriorSolver:
    """Answers with the cheapest of the prior's imagined attempts; see `protocols.Solver`.

    Args:
        prior: What acts, in eval mode, on the device of the latents.
        dynamics: Imagines one block at a time.
        objective: Says which attempt is best: one per block in which to arrive.
        horizon: T, blocks.
    """

    def __init__(self, prior: InverseDynamicsPrior, dynamics: Dynamics, objective: Objective,
                 horizon: int) -> None:
        self._prior = prior
        self._dynamics = dynamics
        self._objective = objective
        self._horizon = horizon

    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; there is no search, so `initial_mean` has no effect.

        Raises:
            PlanningError: If no attempt has a finite cost.
        """
        return self.solve_batch([context], [goal], committed=[committed])[0]

    @torch.inference_mode()
    def solve_batch(self, contexts: Sequence[Context], goals: Sequence[Goal], *,
                    initial_means: Sequence[Tensor | None] | None = None,
                    committed: Sequence[Tensor | None] | None = None) -> list[Plan]:
        """Plan for B robots at once; each gets what it would get alone.

        Raises:
            PlanningError: If no attempt for a robot has a finite cost.
            ShapeError: If the contexts do not have equally many frames.
        """
        started = time.perf_counter()
        joined = join_contexts(contexts, self._horizon)

        def rollout(latents: Tensor, past_blocks: Tensor, blocks: Tensor) -> Tensor:
            longer = replace(joined, latents=latents, past_blocks=past_blocks)
            return self._dynamics.rollout(longer, blocks)

        blocks, latents = imagine(
            self._prior, rollout, joined.latents, joined.past_blocks,
            torch.stack([goal.latent for goal in goals]), self._horizon, committed)
        plans = []
        for robot, goal in enumerate(goals):
            costs = self._objective(latents[robot], goal)                  # (T,)
            costs = torch.where(costs.isfinite(), costs, torch.inf)
            best = int(costs.argmin())
            cost = costs[best].item()
            if cost == float('inf'):
                raise PlanningError('no attempt of the prior has a finite cost; the observation, '
                                    'the prior or the model is broken')
            plans.append(Plan(
                blocks=blocks[robot, best], cost=cost, start_cost=cost, elite_std=0.0,
                solve_time_s=time.perf_counter() - started, iterations=0,
                considered=blocks[robot, costs.argsort()]))
        return plans
