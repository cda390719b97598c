"""Receding horizon: observe, remember, plan, hand out a chunk. Owns all state of planning.

The same object drives the offline evaluation and the planner node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import copy
from dataclasses import dataclass, replace

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, EngineFailure, NotFinite, PlanningError, ShapeError
from lewm_model.planning.aim import Aim, NOTHING
from lewm_model.planning.heard import heard
from lewm_model.planning.history import History
from lewm_model.planning.protocols import Engine, Solver
from lewm_model.planning.registry import make_solver
from lewm_model.planning.surprise import prediction_error
from lewm_model.types import ActionChunk, Context, Goal, Observation, Plan
import numpy as np
import torch
from torch import Tensor

_MOST_DEVIATIONS = 10.0   # normalised actions beyond it are far outside any data: cut off


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
        aim: The goal, and how far it is.
        backend: What runs the model, in one line.
        on_progress: Called during a search, whenever the model has answered; not if a whole
            search is one graph of a GPU, nor by the gradient solver.
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
        self.epoch = 0
        self.last_plan: Plan | None = None
        self._engine = engine
        self.backend = self._engine.describe()   # asked once: a dead device cannot answer
        self._device = next(bundle.model.parameters()).device
        self.aim = Aim(bundle, config)
        self.on_progress: Callable[[], None] = lambda: None
        self._solver = self._make_solver()
        self._history = History(length=config.history, steps_per_block=sizes.frameskip,
                                control_dt_s=bundle.control_dt_s, action_dim=sizes.action_dim,
                                most=sizes.history + 1)   # a prediction and what came of it
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
        self._history.executed(stamp_ns, self._model_units(action))

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
    def newest_latent(self) -> Tensor | None:
        """Latent (D,) of the newest frame, if there is one."""
        newest = self._history.newest
        return None if newest is None else newest[1]

    def prediction_error(self) -> float:
        """Return how far the newest frame is from what the model expected of it.

        Mean squared error per number of the latent, see `planning.surprise`; NaN where there is
        no expectation. It costs one answer of the model for one robot.
        """
        with self._failures():
            return prediction_error(self.bundle.model, self._history)

    def surprise(self) -> float:
        """Return `prediction_error` relative to its mean on held-out data: 1 is ordinary.

        NaN if it cannot be known, or the bundle does not say what is ordinary.
        """
        ordinary = self.bundle.ordinary
        return self.prediction_error() / ordinary.config.mean_error if ordinary else float('nan')

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
        with self._failures():
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
        with self._failures():
            goal = self.aim.from_here(context.latents[0, -1], stamp_ns)
        return Request(context, goal, self._warm_start(stamp_ns, rest), committed,
                       self._committed_rows(committed))

    def accept(self, request: Request, plan: Plan) -> ActionChunk:
        """Turn a solver's plan into actions and remember it; the second half of `plan`."""
        with self._failures():
            if not plan.blocks.isfinite().all():
                raise PlanningError('the plan is not finite')
        stamp_ns = request.context.stamps_ns[-1]
        self.last_plan, self._plan_stamp_ns = plan, stamp_ns
        self._sequence += 1
        rows = plan.blocks.reshape(-1, self._action_dim).cpu().numpy()    # (T*K, A)
        actions = np.clip(self.bundle.action_normalizer.denormalize(rows),
                          self.bundle.action_min, self.bundle.action_max)
        if request.committed is not None:   # as given, not as the model sees them
            actions[:len(request.committed)] = request.committed
        return ActionChunk(stamp_ns=stamp_ns, dt_s=self.bundle.control_dt_s, actions=actions,
                           epoch=self.epoch, sequence=self._sequence,
                           observation_stamp_ns=stamp_ns)

    def twin(self) -> Policy:
        """Return a policy for another robot of the same kind: same engine and solver, no past."""
        other = copy.copy(self)
        other._history = self._history.empty()
        other.aim = self.aim.empty()
        other.epoch = 0
        other.reset()
        return other

    @property
    def steps_per_plan(self) -> int:
        """Control steps executed before replanning, R*K."""
        return self.config.receding_horizon * self.bundle.model_config.frameskip

    def _make_solver(self) -> Solver:
        return make_solver(self.config, self.bundle,
                           heard(self._engine, lambda: self.on_progress()))

    @property
    def _action_dim(self) -> int:
        return self.bundle.model_config.action_dim

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self._device)

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
        with self._failures():
            latents = together(np.stack(frames))
            if not latents.isfinite().all():
                raise PlanningError('the latent of a frame is not finite')
        return list(latents)

    def _encode(self, rgb: np.ndarray) -> Tensor:
        with self._failures():
            latent = self._engine.encode(rgb)
            if not latent.isfinite().all():
                raise PlanningError('the latent of a frame is not finite')
        return latent

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn whatever an engine raises (out of memory, a CUDA error) into EngineFailure."""
        try:
            yield
        except ShapeError:
            raise   # the caller's mistake
        except PlanningError as error:   # of a search too: no cost to choose by
            raise NotFinite(f'engine {self.backend}: {error}') from error
        except Exception as error:
            raise EngineFailure(f'engine {self.backend}: {type(error).__name__}: {error}'
                                ) from error

    def _model_units(self, actions: np.ndarray) -> np.ndarray:
        return np.clip(self.bundle.action_normalizer.normalize(actions),
                       -_MOST_DEVIATIONS, _MOST_DEVIATIONS)

    def _warm_start(self, stamp_ns: int, rest: np.ndarray | None) -> Tensor | None:
        """Shift the last plan to the new start on the control grid.

        The end is filled with the mean of the data, or with the last row if that is no rest.
        """
        if self.last_plan is None or not self.config.warm_start:
            return None if rest is None else self._held(rest)
        elapsed = round((stamp_ns - self._plan_stamp_ns) / (self.bundle.control_dt_s * 1e9))
        rows = self.last_plan.blocks.reshape(-1, self._action_dim)
        if not 0 <= elapsed < len(rows):
            return None if rest is None else self._held(rest)
        shifted = (torch.zeros_like(rows) if rest is None
                   else rows[-1:].expand_as(rows).clone())
        shifted[:len(rows) - elapsed] = rows[elapsed:]
        return shifted.reshape(self.last_plan.blocks.shape)

    def _held(self, action: np.ndarray) -> Tensor:
        """Return one action for all steps, (T, K*A) normalised."""
        row = self._tensor(self._model_units(action))
        return row.repeat(self.config.horizon, self.bundle.model_config.frameskip)

    def _committed_rows(self, committed: np.ndarray | None) -> Tensor | None:
        if committed is None or len(committed) == 0:
            return None
        rows = self.config.horizon * self.bundle.model_config.frameskip
        if committed.ndim != 2 or committed.shape[1] != self._action_dim or len(committed) >= rows:
            raise ShapeError(f'committed actions must be (d < {rows}, {self._action_dim}), '
                             f'got {committed.shape}')
        return self._tensor(self._model_units(committed))
