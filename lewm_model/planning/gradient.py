"""Planning by gradient: many starts follow the slope of the imagined cost at once.

Source: stable-worldmodel's gradient solver: AdamW, start 0 is the initial mean, the others have
noise, the best wins. Here the best of all steps, not of the last one.
"""

from __future__ import annotations

import time

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.goal_copies import copy_goal
from lewm_model.planning.protocols import Objective, Solver
from lewm_model.types import Context, Goal, Plan
from lewm_model.world_model import LeWorldModel
import torch
from torch import Tensor


class ModelDynamics:
    """Imagines with gradients, which compiled engines cannot give; see `protocols.Dynamics`."""

    def __init__(self, model: LeWorldModel) -> None:
        self._model = model

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D)."""
        # Latents come out of inference mode; only a copy may take part in a graph.
        return self._model.rollout(context.latents.clone(), context.past_blocks.clone(), blocks)


class GradientSolver:
    """Descends from `num_candidates` starts for `iterations` steps; see `protocols.Solver`.

    Args:
        config: Budget; `learning_rate` is of AdamW, in normalised units per step.
        dynamics: Imagines with gradients, such as `ModelDynamics`.
        objective: Scores.
        candidates: Draws and constrains the starts.
        start: Plans start 0, in the place of what the caller gives.
    """

    def __init__(self, config: PlanConfig, dynamics: ModelDynamics, objective: Objective,
                 candidates: Candidates, start: Solver | None = None) -> None:
        self._config, self._dynamics, self._objective = config, dynamics, objective
        self._candidates, self._start = candidates, start

    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks.

        Raises:
            PlanningError: If no start ever has a finite cost.
        """
        started = time.perf_counter()
        config = self._config
        if self._start is not None:
            initial_mean = self._start.solve(context, goal, committed=committed).blocks
        with torch.inference_mode(False), torch.enable_grad():
            goal = copy_goal(goal)     # what comes out of inference mode cannot take part
            blocks = config.sample_std * self._candidates.noise(1)[0]
            blocks[0] = 0
            if initial_mean is not None:
                blocks = blocks + initial_mean.clone()
            blocks = self._candidates.constrain(blocks[None], [committed])[0].requires_grad_()
            optimizer = torch.optim.AdamW([blocks], lr=config.learning_rate)
            best, best_cost, start_cost, steps = blocks[0].detach(), torch.inf, torch.nan, 0
            while True:
                costs = self._objective(self._dynamics.rollout(context, blocks), goal)   # (S,)
                finite = costs.isfinite()
                if steps == 0:
                    start_cost = costs[0].item()
                if finite.any():
                    cheapest = torch.where(finite, costs, torch.inf).argmin()
                    if costs[cheapest] < best_cost:
                        best, best_cost = blocks[cheapest].detach().clone(), costs[cheapest].item()
                if steps == config.iterations or not self._has_time(started, steps):
                    break
                gradient, = torch.autograd.grad(torch.where(finite, costs, 0).sum(), blocks)
                # A start whose slope is broken stays where it is, and may still be the best.
                blocks.grad = torch.where(gradient.isfinite(), gradient, 0)
                optimizer.step()
                with torch.no_grad():
                    blocks.copy_(self._candidates.constrain(blocks[None], [committed])[0])
                steps += 1
        if best_cost == torch.inf:
            raise PlanningError(f'none of {config.num_candidates} starts has a finite cost; the '
                                f'observation or the model is broken')
        blocks, order = blocks.detach(), torch.where(finite, costs, torch.inf).argsort()
        return Plan(blocks=best, cost=best_cost, start_cost=start_cost,
                    elite_std=blocks.std(dim=0).mean().item() if len(blocks) > 1 else 0.0,
                    solve_time_s=time.perf_counter() - started, iterations=steps,
                    considered=blocks[order])

    def _has_time(self, started: float, steps: int) -> bool:
        budget_ms = self._config.budget_ms
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return budget_ms is None or elapsed_ms * (1 + 1 / (steps + 1)) <= budget_ms
