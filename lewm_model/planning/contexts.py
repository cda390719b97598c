"""Several robots in one search: their contexts joined, and solvers that can or cannot do it."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import ShapeError
from lewm_model.planning.protocols import Solver
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


def join_contexts(contexts: Sequence[Context], candidates: int) -> Context:
    """Return one context for all candidates of all robots; a single robot's stays as it is."""
    if len(contexts) == 1:
        return contexts[0]
    lengths = {context.latents.shape[1] for context in contexts}
    if len(lengths) > 1:
        raise ShapeError(f'robots planned for together need equally many context frames, got '
                         f'{sorted(lengths)}')
    return Context(
        latents=torch.cat([c.latents for c in contexts]).repeat_interleave(candidates, dim=0),
        past_blocks=torch.cat([c.past_blocks for c in contexts]).repeat_interleave(
            candidates, dim=0),
        stamps_ns=contexts[0].stamps_ns)


def solve_all(solver: Solver, contexts: Sequence[Context], goals: Sequence[Goal], *,
              initial_means: Sequence[Tensor | None] | None = None,
              committed: Sequence[Tensor | None] | None = None) -> list[Plan]:
    """Plan for B robots, at once where the solver can; see `SamplingSolver.solve_batch`."""
    nothing = [None] * len(contexts)
    if len(contexts) > 1 and hasattr(solver, 'solve_batch'):
        return solver.solve_batch(contexts, goals, initial_means=initial_means,
                                  committed=committed)
    return [solver.solve(context, goal, initial_mean=mean, committed=rows)
            for context, goal, mean, rows in zip(contexts, goals, initial_means or nothing,
                                                 committed or nothing, strict=True)]
