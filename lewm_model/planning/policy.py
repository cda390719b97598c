"""Receding horizon: observe, remember, plan, hand out a chunk. Owns all state of planning.

The same object drives the offline evaluation and the planner node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import dataclass, replace

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, PlanningError
from lewm_model.planning.action_rows import ActionRows
from lewm_model.planning.aim import Aim, NOTHING
from lewm_model.planning.engine_failures import engine_failures
from lewm_model.planning.heard import heard
from lewm_model.planning.history import History
from lewm_model.planning.imagined import imagine
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.protocols import Engine, Solver
from lewm_model.planning.registry import make_solver
from lewm_model.planning.surprise import Expectation, expectations
from lewm_model.types import ActionChunk, Context, Goal, Imagined, Observation, Plan
import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Request:
    """What one plan is to be made from."""

    context: Context
    goal: Goal
    initial_mean: Tensor | None          # (T, K*A) normalised
    committed: np.ndarray | None         # (d, A) robot units
    committed_rows: Tensor | None        # the same, normalised


class Policy:
    """Turns frames and a goal into action chunks.

    Args:
        bundle: The model and what belongs to it.
        engine: Runs the model, built for these settings; `lewm_model.assemble.make_policy`
            makes both.
        plan_config: Planner settings; the bundle's recommendation when None.

    Attributes:
        steps_per_plan: Control steps executed before replanning.
        aim: The goal, and how far it is.
        backend: What runs the model, in one line.
        on_progress: Called during a search, whenever the model has answered; not if a whole
            search is one graph of a GPU, nor by the gradient solver. It may raise Interrupted.
    """

    def __init__(self, bundle: Bundle, engine: Engine,
                 plan_config: PlanConfig | None = None) -> None:
        config = plan_config or bundle.plan_config
        sizes = bundle.model_config
        if config.history > sizes.history:
            raise BundleError(f'PlanConfig.history {config.history} is longer than the '
                              f'{sizes.history} frames the model was trained with')
        self.bundle = bundle
        self.config = config
        self.steps_per_plan = config.steps_per_plan(sizes.frameskip)
        self.epoch = 0
        self.last_plan: Plan | None = None
        self._engine = engine
        self.backend = self._engine.describe()   # asked once: a dead device cannot answer
        self.aim = Aim(bundle, config)
        self._rows = ActionRows(bundle, config.horizon)
        self.on_progress: Callable[[], None] = lambda: None
        self._solver = self._make_solver()
        self._history = History(length=config.history, steps_per_block=sizes.frameskip,
                                control_dt_s=bundle.control_dt_s, action_dim=sizes.action_dim,
                                most=sizes.history + 1)   # a prediction and what came of it
        self._request: Request | None = None     # of the last plan
        self._plan_stamp_ns = 0
        self._sequence = 0

    def reset(self) -> None:
        """Forget the past, the goal and the last plan; older chunks become invalid."""
        self._history.clear()
        self.clear_goal()

    def set_goal_image(self, rgb: np.ndarray, goal_id: str = '', source: str = 'image', *,
                       names: Sequence[str] = (), weights: Sequence[float] | None = None,
                       tolerances: Sequence[float] | None = None) -> Goal:
        """Go where the camera would see `rgb`, uint8 (H, W, 3); older chunks become invalid.

        With names of quantities only these of what the picture shows count.

        Raises:
            ConfigError: If the bundle does not read these quantities; the goal stays as it was.
        """
        goal = Goal(latent=self._encode(rgb), goal_id=goal_id, source=source, image=rgb)
        if len(names):
            goal = self.aim.some_of(goal, names, weights, tolerances)
        self.set_goal(goal)
        return goal

    def set_goal_quantities(self, names: Sequence[str], values: Sequence[float],
                            weights: Sequence[float] | None = None,
                            tolerances: Sequence[float] | None = None, goal_id: str = '',
                            source: str = 'quantities') -> Goal:
        """Go where some quantities have some values, without a picture; see `Readout.target`.

        Raises:
            ConfigError: If the bundle does not read these quantities; the goal stays as it was.
        """
        goal = self.aim.quantities(names, values, weights, tolerances, goal_id=goal_id,
                                   source=source)
        self.set_goal(goal)
        return goal

    def set_goal(self, goal: Goal | None) -> None:
        """Go to `goal`, or nowhere when None; older chunks become invalid."""
        self.aim.set(goal)
        self.last_plan = None  # a plan to another goal is no start for the next search
        self.epoch += 1

    def clear_goal(self) -> None:
        """Have no goal; planning is an error until there is one."""
        self.set_goal(None)

    @property
    def goal(self) -> Goal | None:
        """The goal, if any."""
        return self.aim.goal

    def observe(self, observation: Observation) -> None:
        """Encode a frame into the history.

        Raises:
            PlanningError: If its stamp is not newer than the last one's.
            EngineFailure: If the engine raises, or the latent is not finite.
        """
        self.observe_latent(observation.stamp_ns, self._encode(observation.rgb))

    def observe_latent(self, stamp_ns: int, latent: Tensor) -> None:
        """Take a frame that was encoded elsewhere, (D,), into the history; see `observe`."""
        self._history.observe(stamp_ns, latent)

    def executed(self, stamp_ns: int, action: np.ndarray) -> None:
        """Tell what the robot really did from `stamp_ns` on: (A,) in robot units."""
        self._history.executed(stamp_ns, self._rows.normalized(action))

    @property
    def goal_distance(self) -> float | None:
        """How far the newest frame is from the goal, see `Aim.distance`, if there are both."""
        newest = self._history.newest
        return None if newest is None or self.goal is None else self.aim.distance(newest[1])

    @property
    def goal_errors(self) -> np.ndarray:
        """Error of the newest frame in each quantity that the goal names; (0,): none."""
        newest = self._history.newest
        return NOTHING if newest is None or self.goal is None else self.aim.errors(newest[1])

    @property
    def newest_stamp_ns(self) -> int | None:
        """Stamp of the newest frame, if there is one."""
        newest = self._history.newest
        return None if newest is None else newest[0]

    @property
    def newest_latent(self) -> Tensor | None:
        """Latent (D,) of the newest frame, if there is one."""
        newest = self._history.newest
        return None if newest is None else newest[1]

    def expectation(self) -> Expectation | None:
        """Return the newest frame and what the model expected of it; None: nothing.

        See `planning.surprise`. It costs one answer of the model for one robot.
        """
        return self.expectations_of([self])[0]

    def expectations_of(self, policies: Sequence[Policy]) -> list[Expectation | None]:
        """Return `expectation` of several robots of this model, in one batch."""
        with engine_failures(self.backend):
            return expectations(self.bundle.model, [one._history for one in policies])

    def prediction_error(self) -> float:
        """Return the error of `expectation`, NaN where there is none."""
        found = self.expectation()
        return float('nan') if found is None else found.error

    def set_budget_ms(self, budget_ms: float | None) -> None:
        """Change the time budget of a search [ms]; None: no limit. The solver begins anew."""
        if budget_ms != self.config.budget_ms:
            self.config = replace(self.config, budget_ms=budget_ms)
            self._solver = self._make_solver()

    def reseed(self, seed: int) -> None:
        """Begin the random numbers of the search anew. The solver begins anew."""
        self.config = replace(self.config, seed=seed)
        self._solver = self._make_solver()

    def plan(self, now_ns: int, committed: np.ndarray | None = None,
             rest: np.ndarray | None = None) -> ActionChunk:
        """Find the actions to take from the newest frame on.

        Args:
            now_ns: Present time on the stamps' clock; bounds how old the frame may be.
            committed: Actions already scheduled from the newest frame's stamp on, (d, A) robot
                units. They are imagined, not optimised: the plan is for when it arrives.
            rest: The action that stands still, (A,) robot units, where that is not the mean of
                the data: a search that has no other start begins there.

        Returns:
            All T*K rows, starting at the newest frame's stamp, within the robot's limits. The
            first `committed` rows repeat what was given.

        Raises:
            PlanningError: If there is no goal or no frame, or the frame is from the future.
            EngineFailure: If the engine raises, or no finite plan was found.
            ShapeError: If `committed` does not fit the horizon.
        """
        request = self.request(now_ns, committed, rest)
        with engine_failures(self.backend):
            plan = self._solver.solve(request.context, request.goal,
                                      initial_mean=request.initial_mean,
                                      committed=request.committed_rows)
        return self.accept(request, plan)

    def request(self, now_ns: int, committed: np.ndarray | None = None,
                rest: np.ndarray | None = None) -> Request:
        """Say what a solver needs to know; the first half of `plan`, which see."""
        if self.goal is None:
            raise PlanningError('no goal is set')
        context = self._history.context()
        stamp_ns = context.stamps_ns[-1]
        if stamp_ns > now_ns + round(self.bundle.control_dt_s * 1e9):
            raise PlanningError(f'the newest frame is {(stamp_ns - now_ns) / 1e9:.3f} s in the '
                                f'future; do camera and planner use the same clock?')
        with engine_failures(self.backend):
            goal = self.aim.from_here(context.latents[0, -1], stamp_ns)
        start = self._rows.warm_start(self.last_plan if self.config.warm_start else None,
                                      stamp_ns - self._plan_stamp_ns, rest)
        return Request(context, goal, start, committed, self._rows.committed(committed))

    def accept(self, request: Request, plan: Plan) -> ActionChunk:
        """Turn a solver's plan into actions and remember it; the second half of `plan`."""
        with engine_failures(self.backend):
            if not plan.blocks.isfinite().all():
                raise PlanningError('the plan is not finite')
        stamp_ns = request.context.stamps_ns[-1]
        self.last_plan, self._plan_stamp_ns = plan, stamp_ns
        self._request = request
        self._sequence += 1
        return ActionChunk(stamp_ns=stamp_ns, dt_s=self.bundle.control_dt_s,
                           actions=self._rows.actions(plan, request.committed), epoch=self.epoch,
                           sequence=self._sequence, observation_stamp_ns=stamp_ns)

    def imagine(self, most: int) -> Imagined | None:
        """Return what the last plan and at most `most` others would lead to; None: no plan.

        One more rollout, of the bundle's own model in PyTorch, whatever engine plans. To be asked
        before the next search, which may overwrite what the last one considered.
        """
        if self.last_plan is None or self.goal is None:
            return None
        objective = make_objective(self.config.cost, self.bundle.readout)
        return imagine(self.bundle.model, objective, self._request.context, self._request.goal,
                       self.last_plan, most, sequence=self._sequence, wanted=self.goal)

    def twin(self) -> Policy:
        """Return a policy for another robot of the same kind: same engine and solver, no past."""
        other = copy.copy(self)
        other._history = self._history.empty()
        other.aim = self.aim.empty()
        other.epoch = 0
        other.reset()
        return other

    def aside(self) -> Policy:
        """Return a policy that knows what this one knows, for a question in between.

        Whatever it is asked or told, this one goes on as if nothing had been; only the random
        numbers of the search run on, which both share with engine, solver and `on_progress`.
        """
        other = copy.copy(self)
        other._history, other.aim = self._history.copy(), self.aim.copy()
        return other

    def _make_solver(self) -> Solver:
        return make_solver(self.config, self.bundle,
                           heard(self._engine, lambda: self.on_progress()))

    @property
    def solver(self) -> Solver:
        """What searches; several policies may share one."""
        return self._solver

    def encode_all(self, frames: Sequence[np.ndarray]) -> list[Tensor]:
        """Encode frames uint8 (H, W, 3) of one size to latents (D,), together if that works.

        Raises:
            EngineFailure: If the engine raises, or a latent is not finite.
        """
        together = getattr(self._engine, 'encode_batch', None)
        if together is None or len(frames) == 1:
            return [self._encode(frame) for frame in frames]
        with engine_failures(self.backend):
            latents = together(np.stack(frames))
            if not latents.isfinite().all():
                raise PlanningError('the latent of a frame is not finite')
        return list(latents)

    def _encode(self, rgb: np.ndarray) -> Tensor:
        with engine_failures(self.backend):
            latent = self._engine.encode(rgb)
            if not latent.isfinite().all():
                raise PlanningError('the latent of a frame is not finite')
        return latent
