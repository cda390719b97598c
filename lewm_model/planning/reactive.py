"""A policy as a solver: it answers from where it is, and nothing is searched or compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
import time

from lewm_model.errors import PlanningError
from lewm_model.planning.contexts import join_contexts
from lewm_model.planning.protocols import Dynamics, Objective
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor

# latents (B, D), B goals and blocks left until arrival (B,) -> blocks (B, K*A)
Answer = Callable[[Tensor, Sequence[Goal], Tensor], Tensor]


class ReactiveSolver:
    """Answers with one block after the other; see `protocols.Solver`.

    The first block comes from what was seen alone. Only for later ones, T - 1 of them, the world
    model says where the policy would be then; with a horizon of 1 it is not asked at all.

    Args:
        answer: The policy, on the device of the latents.
        dynamics: Imagines one block at a time.
        objective: Gives the plan its cost: the distances of the latents that its blocks leave.
        horizon: T, blocks.
        arrival: Blocks in which the goal is to be reached, where nobody counts them; at most as
            many as the policy was trained for.
    """

    def __init__(self, answer: Answer, dynamics: Dynamics, objective: Objective, horizon: int,
                 arrival: int) -> None:
        self._answer, self._dynamics, self._objective = answer, dynamics, objective
        self._horizon, self._arrival = horizon, arrival

    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; there is no search, so `initial_mean` has no effect.

        Raises:
            PlanningError: If a block is not finite.
        """
        return self.solve_batch([context], [goal], committed=[committed])[0]

    @torch.inference_mode()
    def solve_batch(self, contexts: Sequence[Context], goals: Sequence[Goal], *,
                    initial_means: Sequence[Tensor | None] | None = None,
                    committed: Sequence[Tensor | None] | None = None) -> list[Plan]:
        """Plan for B robots at once; each gets what it would get alone.

        Raises:
            PlanningError: If a block is not finite.
            ShapeError: If the contexts do not have equally many frames.
        """
        started = time.perf_counter()
        joined = join_contexts(contexts, 1)
        latents, blocks = joined.latents, joined.past_blocks
        seen = latents.shape[1]
        left = torch.tensor([self._arrival if goal.blocks_left is None
                             else min(goal.blocks_left, self._arrival) for goal in goals],
                            device=latents.device)
        for elapsed in range(self._horizon):
            block = self._answer(latents[:, -1], goals, (left - elapsed).clamp(min=1))
            first = elapsed * block.shape[1]
            for robot, rows in enumerate(committed or []):
                if rows is not None:
                    part = rows.flatten()[first:first + block.shape[1]]
                    block[robot, :len(part)] = part
            if elapsed < self._horizon - 1:
                longer = replace(joined, latents=latents, past_blocks=blocks)
                latents = torch.cat([latents, self._dynamics.rollout(longer, block[:, None])],
                                    dim=1)
            blocks = torch.cat([blocks, block[:, None]], dim=1)
        plans = blocks[:, seen - 1:]
        if not plans.isfinite().all():
            raise PlanningError('the policy answers with numbers that are not finite; the '
                                'observation or the policy is broken')
        costs = [self._objective(latents[robot:robot + 1, seen - 1:], goal).item()
                 for robot, goal in enumerate(goals)]
        taken = time.perf_counter() - started
        return [Plan(blocks=plans[robot], cost=cost, start_cost=cost, elite_std=0.0,
                     solve_time_s=taken, iterations=0) for robot, cost in enumerate(costs)]
