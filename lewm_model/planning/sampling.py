"""Planning by sampling: CEM in the reference's order of operations, iCEM and MPPI by options.

Source: stable-worldmodel `planning/solver`. Kept by default: candidate 0 is the mean, elites
refit mean and standard deviation (ddof 1), the answer is the mean of the last iteration, no
momentum. Options beyond it: shaped noise, momentum, elites that stay, the best candidate as the
answer, a floor for the spread, clipping, committed actions, a time budget, another solver's plan
as the start, that start fused with a Gaussian over plans, candidates from a memory of the training
set, several robots or goals in one search.
"""

from __future__ import annotations

from collections.abc import Sequence
import time

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.heads.memory import Memory
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.contexts import join_contexts, solve_all
from lewm_model.planning.protocols import Dynamics, Objective, Solver
from lewm_model.planning.refit import make_refit
from lewm_model.planning.starts import FusedStart
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


class SamplingSolver:
    """Sample, score, keep the elites, refit; repeat.

    Args:
        config: Budget and options.
        dynamics: Imagines the candidates.
        objective: Scores them.
        candidates: Draws and constrains them; its generator runs on across solves, as the
            reference's.
        start: Plans the initial mean, in the place of what the caller gives. With a budget its
            answer is the answer when there is no time for more.
        fused: What mean and spread of the start are fused with, if anything.
        memory: Where `config.recalled` of the first candidates come from.
    """

    def __init__(self, config: PlanConfig, dynamics: Dynamics, objective: Objective,
                 candidates: Candidates, start: Solver | None = None, *,
                 fused: FusedStart | None = None, memory: Memory | None = None) -> None:
        self._config, self._dynamics, self._objective = config, dynamics, objective
        self._candidates, self._start = candidates, start
        self._fused, self._memory = fused, memory
        self._refit = make_refit(config)

    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; see `protocols.Solver`.

        Raises:
            PlanningError: If too few candidates have a finite cost to refit from.
        """
        return self.solve_batch([context], [goal], initial_means=[initial_mean],
                                committed=[committed])[0]

    @torch.inference_mode()
    def solve_batch(self, contexts: Sequence[Context], goals: Sequence[Goal], *,
                    initial_means: Sequence[Tensor | None] | None = None,
                    committed: Sequence[Tensor | None] | None = None) -> list[Plan]:
        """Plan for B robots at once, each with its own context and goal.

        The candidates of all are imagined in one batch; nothing else is shared. The order of the
        random numbers depends on B, so a batch does not repeat what single solves would answer.

        Args:
            contexts: B, with equally many frames.
            goals: B.
            initial_means: B starts as in `solve`; None: zero for all.
            committed: B as in `solve`; None: nothing for all.

        Raises:
            PlanningError: If too few candidates of a robot have a finite cost.
            ShapeError: If contexts or starts do not fit.
        """
        started = time.perf_counter()
        config, robots = self._config, range(len(contexts))
        committed = committed or [None] * len(contexts)
        means, stds = self._initial(contexts, goals, initial_means or [None] * len(contexts),
                                    committed)
        joined = join_contexts(contexts, config.num_candidates)
        best, best_costs = means.clone(), torch.full_like(means[:, 0, 0], torch.inf)
        start_costs = [float('nan')] * len(contexts)
        stay = self._recalled(contexts, goals, means)                   # (n, T, K*A) each
        tried: list[Tensor] = []                                        # (B, n, T, K*A) each
        iterations = 0
        while iterations < config.iterations and self._has_time(started, iterations):
            samples = self._candidates.noise(len(contexts)) * stds[:, None] + means[:, None]
            samples[:, 0] = means
            for robot in robots:
                samples[robot, 1:1 + len(stay[robot])] = stay[robot]
            samples = self._candidates.constrain(samples, committed)    # (B, S, T, K*A)
            tried.append(self._candidates.shown(samples))
            costs = self._costs(joined, goals, samples)                 # B times (S,)
            for robot in robots:
                if iterations == 0:
                    start_costs[robot] = costs[robot][0].item()
                order = self._cheapest(costs[robot])
                elites = samples[robot][order]                          # (E, T, K*A)
                if costs[robot][order[0]] < best_costs[robot]:
                    best[robot], best_costs[robot] = elites[0], costs[robot][order[0]]
                stay[robot] = self._staying(elites, best[robot])
                mean, std = self._refit(elites, costs[robot][order], stds[robot])
                means[robot] = means[robot].lerp(mean, 1 - config.momentum)
                stds[robot] = stds[robot].lerp(std, 1 - config.momentum).clamp(min=config.min_std)
            iterations += 1
        answers = self._candidates.constrain(means[:, None], committed)
        final = self._costs(join_contexts(contexts, 1), goals, answers)
        considered = torch.cat(tried, dim=1) if tried else [None] * len(contexts)
        plans = []
        for robot in robots:
            blocks, cost = answers[robot, 0], final[robot][0].item()
            if config.answer == 'best' and best_costs[robot] < cost:
                blocks, cost = best[robot], best_costs[robot].item()
            plans.append(Plan(
                blocks=blocks, cost=cost, elite_std=stds[robot].mean().item(),
                start_cost=start_costs[robot] if iterations else cost,
                solve_time_s=time.perf_counter() - started, iterations=iterations,
                considered=considered[robot]))
        return plans

    def _initial(self, contexts: Sequence[Context], goals: Sequence[Goal],
                 given: Sequence[Tensor | None], committed: Sequence[Tensor | None]
                 ) -> tuple[Tensor, Tensor]:
        """Return where the search starts, means and standard deviations (B, T, K*A)."""
        shape, device = self._candidates.shape, contexts[0].latents.device
        if self._start is not None:
            given = [plan.blocks for plan in solve_all(self._start, contexts, goals,
                                                       committed=committed)]
        for mean in given:
            if mean is not None and mean.shape != shape:
                raise ShapeError(f'initial_mean must be {shape}, got {tuple(mean.shape)}')
        means = torch.stack([torch.zeros(shape, device=device) if mean is None else mean
                             for mean in given])
        stds = torch.full_like(means, self._config.sample_std)
        if self._fused is not None:
            means, stds = self._fused(
                torch.cat([context.latents[:, -1] for context in contexts]),
                torch.stack([goal.latent for goal in goals]), means, stds)
        return self._candidates.constrain(means[:, None], committed)[:, 0], stds

    def _recalled(self, contexts: Sequence[Context], goals: Sequence[Goal], means: Tensor
                  ) -> list[Tensor]:
        """Return what of the first candidates is not drawn, (n, T, K*A) each."""
        if self._memory is None or not self._config.recalled:
            return [means[:0] for _ in contexts]
        return [self._memory.recall(context.latents[0, -1], goal.latent, self._config.horizon,
                                    self._config.recalled)
                for context, goal in zip(contexts, goals, strict=True)]

    def _has_time(self, started: float, iterations: int) -> bool:
        """Tell whether another iteration fits; without a first answer there always is time."""
        budget_ms = self._config.budget_ms
        if budget_ms is None or (iterations == 0 and self._start is None):
            return True
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return elapsed_ms * (1 + 1 / max(iterations, 1)) <= budget_ms

    def _costs(self, joined: Context, goals: Sequence[Goal], samples: Tensor) -> list[Tensor]:
        """Score (B, N, T, K*A), N each."""
        latents = self._dynamics.rollout(joined, samples.flatten(0, 1))
        return [self._objective(part, goal) for part, goal in zip(
            latents.unflatten(0, samples.shape[:2]), goals, strict=True)]

    def _cheapest(self, costs: Tensor) -> Tensor:
        """Pick the elites, cheapest first; a non-finite cost can never be one."""
        finite = int(costs.isfinite().sum())
        if finite < 2:
            raise PlanningError(f'only {finite} of {len(costs)} candidates have a finite cost; '
                                f'the observation or the model is broken')
        costs = torch.where(costs.isfinite(), costs, torch.inf)
        return costs.topk(min(self._config.num_elites, finite), largest=False).indices

    def _staying(self, elites: Tensor, best: Tensor) -> Tensor:
        """Return what is a candidate again in the next iteration."""
        kept = elites[:self._config.keep_elites]
        return torch.cat([best[None], kept[1:]]) if self._config.answer == 'best' else kept
