"""Cross-entropy method over action blocks, in the reference's order of operations.

Source: stable-worldmodel `planning/solver/cem.py`. Kept: candidate 0 is the mean, elites refit
mean and standard deviation (ddof 1), the answer is the mean of the last iteration, no momentum.
Options beyond it: noise held over a block and shared by late blocks, a floor for the spread,
clipping, committed actions, a time budget, another solver's plan as the start.
"""

from __future__ import annotations

import time

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.planning.protocols import Dynamics, Objective, Solver
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


class CemSolver:
    """Sample, score, keep the elites, refit; repeat.

    Args:
        config: Budget and options.
        dynamics: Imagines the candidates.
        objective: Scores them.
        action_dim: A, needed to hold noise over a block and to place committed actions.
        block_dim: K*A.
        generator: Source of all randomness, on the device of the latents; it runs on across
            solves, as the reference's.
        bounds: Lowest and highest action, each (A,) normalised; used when `config.clip`.
        start: Plans the initial mean, in the place of what the caller gives.
    """

    def __init__(self, config: PlanConfig, dynamics: Dynamics, objective: Objective, *,
                 action_dim: int, block_dim: int, generator: torch.Generator,
                 bounds: tuple[Tensor, Tensor] | None = None,
                 start: Solver | None = None) -> None:
        self._config = config
        self._dynamics = dynamics
        self._objective = objective
        self._action_dim = action_dim
        self._steps_per_block = block_dim // action_dim
        self._generator = generator
        self._start = start
        self._bounds = None
        if config.clip:
            if bounds is None:
                raise PlanningError('PlanConfig.clip is on, but no action bounds were given')
            self._bounds = tuple(bound.repeat(self._steps_per_block) for bound in bounds)

    @torch.inference_mode()
    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; see `protocols.Solver`.

        Raises:
            PlanningError: If too few candidates have a finite cost to refit from.
        """
        started = time.perf_counter()
        config = self._config
        device = context.latents.device
        shape = (config.horizon, self._steps_per_block * self._action_dim)
        if self._start is not None:
            initial_mean = self._start.solve(context, goal, committed=committed).blocks
        mean = torch.zeros(shape, device=device) if initial_mean is None else initial_mean.clone()
        if mean.shape != shape:
            raise ShapeError(f'initial_mean must be {shape}, got {tuple(mean.shape)}')
        mean = self._constrain(mean[None], committed)[0]
        std = torch.full(shape, config.sample_std, device=device)
        start_cost = float('nan')
        iterations = 0
        for iteration in range(config.iterations):
            candidates = self._noise(device) * std + mean       # (S, T, K*A)
            candidates[0] = mean
            candidates = self._constrain(candidates, committed)
            costs = self._costs(context, goal, candidates)      # (S,)
            if iteration == 0:
                start_cost = costs[0].item()
            elites = candidates[self._elite_indices(costs)]     # (E, T, K*A)
            mean = elites.mean(dim=0)
            std = elites.std(dim=0).clamp(min=config.min_std)   # ddof 1, as the reference
            iterations += 1
            elapsed_ms = (time.perf_counter() - started) * 1e3
            if config.budget_ms is not None and \
                    elapsed_ms * (1 + 1 / iterations) > config.budget_ms:
                break
        cost = self._costs(context, goal, mean[None]).item()
        return Plan(blocks=mean, cost=cost, start_cost=start_cost, elite_std=std.mean().item(),
                    solve_time_s=time.perf_counter() - started, iterations=iterations)

    def _noise(self, device: torch.device) -> Tensor:
        config, k = self._config, self._steps_per_block
        rows = 1 if config.noise == 'held' else k
        blocks = config.free_blocks or config.horizon
        noise = torch.randn(config.num_candidates, blocks, rows * self._action_dim,
                            generator=self._generator, device=device)
        tail = noise[:, -1:].expand(-1, config.horizon - blocks, -1)
        return torch.cat([noise, tail], dim=1).repeat(1, 1, k // rows)

    def _constrain(self, candidates: Tensor, committed: Tensor | None) -> Tensor:
        """Keep candidates (S, T, K*A) in bounds and put the committed actions in front."""
        if self._bounds is not None:
            candidates = candidates.clamp(*self._bounds)
        if committed is not None and len(committed):
            candidates = candidates.clone()
            candidates.flatten(1)[:, :committed.numel()] = committed.flatten()
        return candidates

    def _costs(self, context: Context, goal: Goal, candidates: Tensor) -> Tensor:
        return self._objective(self._dynamics.rollout(context, candidates), goal)

    def _elite_indices(self, costs: Tensor) -> Tensor:
        """Pick the cheapest candidates; a non-finite cost can never be an elite."""
        finite = int(costs.isfinite().sum())
        if finite < 2:
            raise PlanningError(f'only {finite} of {len(costs)} candidates have a finite cost; '
                                f'the observation or the model is broken')
        costs = torch.where(costs.isfinite(), costs, torch.inf)
        return costs.topk(min(self._config.num_elites, finite), largest=False).indices
