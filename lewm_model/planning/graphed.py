"""Planning by sampling, with the whole search as one CUDA graph."""

from __future__ import annotations

from collections.abc import Sequence
import time

from lewm_model.base.cuda_graph import CapturedFunction
from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.planning.branchless import BranchlessSearch
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.protocols import Dynamics, Objective, Solver
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.types import Context, Goal, Plan
import torch
from torch import Tensor


class GraphedSolver:
    """`SamplingSolver`, captured: sampling, rollouts, top-k, refits, all iterations.

    The search is captured once per number of context frames and kind of goal; a solve then copies
    its inputs and replays. With a time budget one iteration is the unit, and the clock is read in
    between. On other devices than CUDA it runs the same operations uncaptured. The same seed gives
    the same plans; they are not bit by bit those of `SamplingSolver`, which sums in another order.

    Not for use by several threads at once.

    Args:
        config: Budget and options.
        dynamics: Imagines the candidates; its kernels must not depend on values.
        objective: Scores them.
        candidates: Draws and constrains them.
        generator: What `candidates` draws from.
        start: Plans the initial mean, in the place of what the caller gives.
    """

    def __init__(self, config: PlanConfig, dynamics: Dynamics, objective: Objective,
                 candidates: Candidates, generator: torch.Generator,
                 start: Solver | None = None) -> None:
        self._parts = (config, dynamics, objective, candidates)
        self._config, self._candidates, self._start = config, candidates, start
        self._generator = generator
        self._several = SamplingSolver(*self._parts, start)
        self._searches: dict[tuple[int, bool], _Captured] = {}   # by frames and kind of goal

    @torch.inference_mode()
    def solve(self, context: Context, goal: Goal, *, initial_mean: Tensor | None = None,
              committed: Tensor | None = None) -> Plan:
        """Plan T blocks; see `protocols.Solver`.

        Raises:
            PlanningError: If too few candidates have a finite cost to refit from.
            ShapeError: If `initial_mean` does not fit.
        """
        started = time.perf_counter()
        if self._start is not None:
            initial_mean = self._start.solve(context, goal, committed=committed).blocks
        if initial_mean is not None and initial_mean.shape != self._candidates.shape:
            raise ShapeError(f'initial_mean must be {self._candidates.shape}, '
                             f'got {tuple(initial_mean.shape)}')
        kind = (context.latents.shape[1], goal.target is not None)
        if kind not in self._searches:
            self._searches[kind] = _Captured(
                BranchlessSearch(*self._parts, context, goal), self._config, self._generator)
        captured = self._searches[kind]
        captured.search.load(context, goal, initial_mean, committed)
        iterations = captured.run(started, answered=self._start is not None)
        blocks = captured.search.blocks.clone()
        cost, start_cost, elite_std, finite = captured.search.numbers.tolist()   # waits
        if finite < 2:
            raise PlanningError(f'only {finite:.0f} of {self._config.num_candidates} candidates '
                                f'have a finite cost; the observation or the model is broken')
        return Plan(blocks=blocks, cost=cost, start_cost=start_cost if iterations else cost,
                    elite_std=elite_std, solve_time_s=time.perf_counter() - started,
                    iterations=iterations,
                    considered=captured.search.considered(iterations) if iterations else None)

    def solve_batch(self, contexts: Sequence[Context], goals: Sequence[Goal], **options) -> list:
        """Plan for several robots at once, not captured; see `SamplingSolver.solve_batch`."""
        return self._several.solve_batch(contexts, goals, **options)


class _Captured:
    """One search as graphs: whole, or in pieces where there is a time budget."""

    def __init__(self, search: BranchlessSearch, config: PlanConfig,
                 generator: torch.Generator) -> None:
        self.search, self._config, self._device = search, config, generator.device

        def whole() -> None:
            search.start()
            for _ in range(config.iterations):
                search.step()
            search.finish()

        def capture(function, name: str, *generators: torch.Generator) -> CapturedFunction:
            return CapturedFunction(function, generator.device, generators=generators,
                                    name=f'the search ({name})')

        self._whole = capture(whole, 'whole', generator)
        self._begin = capture(search.start, 'start')
        self._step = capture(search.step, 'iteration', generator)
        self._finish = capture(search.finish, 'end')

    def run(self, started: float, *, answered: bool) -> int:
        """Search; return the number of iterations. `answered`: the initial mean is an answer."""
        budget_ms, done = self._config.budget_ms, 0
        if budget_ms is None:
            self._whole()
            return self._config.iterations
        self._begin()
        while done < self._config.iterations:
            elapsed_ms = (time.perf_counter() - started) * 1e3
            if (done or answered) and elapsed_ms * (1 + 1 / max(done, 1)) > budget_ms:
                break
            self._step()
            done += 1
            if self._device.type == 'cuda':
                torch.cuda.synchronize(self._device)   # the clock shall see the work
        self._finish()
        return done
