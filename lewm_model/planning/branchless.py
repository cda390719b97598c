"""The search of `planning.sampling` for one robot, without a decision on the host.

It gives the plans of `SamplingSolver` from the same noise. What is an `if` there is a mask here:
a candidate whose cost is not finite costs infinity and has no weight in the refit, a place among
the candidates that nothing occupies yet keeps its noise. So every call runs the same operations
on the same tensors, which is what a CUDA graph can hold. It runs on the CPU just as well.
"""

from __future__ import annotations

from lewm_model.config import PlanConfig
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.goal_copies import copy_goal, put_goal
from lewm_model.planning.protocols import Dynamics, Objective
from lewm_model.planning.refit import make_refit
from lewm_model.types import Context, Goal
import torch
from torch import Tensor


class BranchlessSearch:
    """The state of a search and its three parts: `start`, then `step` many times, then `finish`.

    `load` takes what to plan for and may be called from anywhere; the parts read and write only
    tensors that are made here.

    Args:
        config: Options; the number of steps is the caller's.
        dynamics: Imagines the candidates.
        objective: Scores them.
        candidates: Draws and constrains them.
        context: For the number of frames, which is fixed then.
        goal: For the size of a latent, and whether there is a target for quantities.
    """

    def __init__(self, config: PlanConfig, dynamics: Dynamics, objective: Objective,
                 candidates: Candidates, context: Context, goal: Goal) -> None:
        self._config, self._dynamics, self._objective = config, dynamics, objective
        self._candidates = candidates
        self._refit = make_refit(config) if config.solver == 'mppi' else _masked_elites
        self._context = Context(latents=torch.zeros_like(context.latents),
                                past_blocks=torch.zeros_like(context.past_blocks),
                                stamps_ns=context.stamps_ns)
        self._goal = copy_goal(goal)
        zeros = goal.latent.new_zeros(candidates.shape)
        self._initial, self._committed = zeros.clone(), zeros.clone()      # (T, K*A)
        self._is_committed = torch.zeros_like(zeros, dtype=torch.bool)
        self._mean, self._std, self._best = zeros.clone(), zeros.clone(), zeros.clone()
        number = zeros.new_zeros(())
        self._best_cost, self._start_cost = number.clone(), number.clone()
        self._is_first = torch.zeros_like(number, dtype=torch.bool)
        self._fewest_finite = torch.zeros_like(number, dtype=torch.int64)
        staying = config.keep_elites
        if config.answer == 'best':
            staying = max(1, staying)
        self._stay = zeros.new_zeros(staying, *candidates.shape)
        self._stays = torch.zeros(staying, dtype=torch.bool, device=zeros.device)
        self.blocks = zeros.clone()             # (T, K*A), the answer
        self.numbers = zeros.new_zeros(4)       # its cost; start cost; spread; fewest finite
        # What people are shown of the newest steps, the newest last.
        self._tried = candidates.shown(zeros.expand(
            config.iterations, config.num_candidates, *candidates.shape)).flatten(0, 1)

    def load(self, context: Context, goal: Goal, initial_mean: Tensor | None,
             committed: Tensor | None) -> None:
        """Say what to plan for; the arguments of `Solver.solve`."""
        self._context.latents.copy_(context.latents)
        self._context.past_blocks.copy_(context.past_blocks)
        put_goal(self._goal, goal)
        if initial_mean is None:
            self._initial.zero_()
        else:
            self._initial.copy_(initial_mean)
        self._is_committed.zero_()
        if committed is not None and len(committed):
            count = committed.numel()
            self._committed.view(-1)[:count] = committed.flatten()
            self._is_committed.view(-1)[:count] = True

    def start(self) -> None:
        """Begin at the initial mean."""
        self._mean.copy_(self._constrain(self._initial[None])[0])
        self._best.copy_(self._mean)
        self._std.fill_(self._config.sample_std)
        self._best_cost.fill_(torch.inf)
        self._start_cost.fill_(torch.nan)
        self._is_first.fill_(True)
        self._fewest_finite.fill_(self._config.num_candidates)
        self._stays.fill_(False)

    def step(self) -> None:
        """Sample, score, keep the elites, refit."""
        config = self._config
        samples = self._candidates.noise(1)[0] * self._std + self._mean    # (S, T, K*A)
        samples[0] = self._mean
        places = samples[1:1 + len(self._stay)]   # the mean comes first, then what stays
        places.copy_(torch.where(self._stays[:, None, None], self._stay, places))
        samples = self._constrain(samples)
        shown = self._candidates.shown(samples)
        self._tried.copy_(torch.cat([self._tried[len(shown):], shown]))
        costs = self._costs(samples)                                       # (S,)
        self._start_cost.copy_(torch.where(self._is_first, costs[0], self._start_cost))
        self._is_first.fill_(False)
        finite = costs.isfinite()
        self._fewest_finite.copy_(torch.where(   # what breaks first is what is told
            self._fewest_finite < 2, self._fewest_finite,
            torch.minimum(self._fewest_finite, finite.sum())))
        costs, order = torch.where(finite, costs, torch.inf).topk(config.num_elites,
                                                                  largest=False)
        elites = samples[order]                                            # (E, T, K*A)
        better = costs[0] < self._best_cost
        self._best.copy_(torch.where(better, elites[0], self._best))
        self._best_cost.copy_(torch.where(better, costs[0], self._best_cost))
        count = len(self._stay)
        self._stay.copy_(elites[:count])
        self._stays.copy_(costs[:count].isfinite())
        if config.answer == 'best':
            self._stay[0] = self._best
        mean, std = self._refit(elites, costs, self._std)
        self._mean.lerp_(mean, 1 - config.momentum)
        self._std.lerp_(std, 1 - config.momentum).clamp_(min=config.min_std)

    def finish(self) -> None:
        """Put the answer into `blocks` and `numbers`."""
        answer = self._constrain(self._mean[None])
        cost = self._costs(answer)[0]
        if self._config.answer == 'best':
            better = self._best_cost < cost
            answer = torch.where(better, self._best, answer)
            cost = torch.where(better, self._best_cost, cost)
        self.blocks.copy_(answer[0])
        self.numbers.copy_(torch.stack([cost, self._start_cost, self._std.mean(),
                                        self._fewest_finite.to(cost)]))

    def considered(self, steps: int) -> Tensor:
        """Return what people are shown of the newest steps, (N, T, K*A), the newest last."""
        few = len(self._tried) // self._config.iterations
        return self._tried[len(self._tried) - few * steps:]

    def _constrain(self, blocks: Tensor) -> Tensor:
        """Keep (N, T, K*A) in bounds and put what is committed in front."""
        inside = self._candidates.constrain(blocks[None], [None])[0]
        return torch.where(self._is_committed, self._committed, inside)

    def _costs(self, samples: Tensor) -> Tensor:
        return self._objective(self._dynamics.rollout(self._context, samples), self._goal)


def _masked_elites(candidates: Tensor, costs: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (ddof 1) of the elites that have a finite cost; see `refit`."""
    weights = costs.isfinite()[:, None, None].to(candidates)
    count = weights.sum()
    mean = (weights * candidates).sum(dim=0) / count
    squares = (weights * (candidates - mean).square()).sum(dim=0)
    return mean, (squares / (count - 1)).sqrt()
