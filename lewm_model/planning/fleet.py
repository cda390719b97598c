"""One model drives many robots in step: frames encoded, and plans searched, in one batch."""

from __future__ import annotations

from collections.abc import Sequence
import time

from lewm_model.config import PlanConfig
from lewm_model.errors import NotFinite, PlanningError
from lewm_model.planning.contexts import solve_all
from lewm_model.planning.policy import Policy
from lewm_model.planning.surprise import Expectation
from lewm_model.types import ActionChunk, Goal
import numpy as np


class Fleet:
    """As many robots as have a goal, each with a `Policy` of its own, on one engine.

    With one robot it does exactly what that policy does. With several the random numbers of a
    search are divided among them, so that a robot's plans depend on how many there are.

    Args:
        lead: The policy of the first robot; the others share its model and engine.

    Attributes:
        policies: Of the robots, in the order of the goals.
        solve_time_s: What the last plans took, all together.
    """

    def __init__(self, lead: Policy) -> None:
        self._lead = lead
        self._spare = [self._lead]
        self.policies: list[Policy] = []
        self.solve_time_s = 0.0

    @property
    def backend(self) -> str:
        """What runs the model, in one line."""
        return self._lead.backend

    @property
    def config(self) -> PlanConfig:
        """The planner settings."""
        return self._lead.config

    @property
    def steps_per_plan(self) -> int:
        """Control steps executed before replanning."""
        return self._lead.steps_per_plan

    @property
    def steps_per_block(self) -> int:
        """Control steps between two frames of a context, K."""
        return self._lead.bundle.model_config.frameskip

    def reseed(self, seed: int) -> None:
        """Begin the random numbers of the search anew."""
        self._lead.reseed(seed)

    def set_goals(self, frames: Sequence[np.ndarray], names: Sequence[str] = ()) -> None:
        """Begin anew with one robot per goal picture; all histories are empty.

        With names of quantities only these of what the pictures show count.
        """
        self._begin(len(frames))
        for policy, latent, frame in zip(self.policies, self._lead.encode_all(frames), frames,
                                         strict=True):
            policy.set_goal(policy.aim.some_of(Goal(latent=latent, image=frame), names)
                            if names else Goal(latent=latent, image=frame))

    def set_goal_quantities(self, names: Sequence[str], values: Sequence[Sequence[float]]) -> None:
        """Begin anew with one robot per row of values, which the named quantities shall have."""
        self._begin(len(values))
        for policy, row in zip(self.policies, values, strict=True):
            policy.set_goal_quantities(names, row)

    def _begin(self, count: int) -> None:
        while len(self._spare) < count:
            self._spare.append(self._lead.twin())
        self.policies = self._spare[:count]
        for policy in self.policies:
            policy.reset()

    def observe(self, stamp_ns: int, frames: Sequence[np.ndarray]) -> None:
        """Encode one frame of each robot, taken at the same time, into its history."""
        for policy, latent in zip(self.policies, self._lead.encode_all(frames), strict=True):
            policy.observe_latent(stamp_ns, latent)

    def executed(self, stamp_ns: int, actions: Sequence[np.ndarray]) -> None:
        """Tell what each robot really did from `stamp_ns` on, (A,) in robot units each."""
        for policy, action in zip(self.policies, actions, strict=True):
            policy.executed(stamp_ns, action)

    def expectations(self) -> list[Expectation | None]:
        """Return what the model expected of each robot's newest frame; None: nothing."""
        return self._lead.expectations_of(self.policies)

    def plan(self, now_ns: int, committed: Sequence[np.ndarray] | None = None
             ) -> list[ActionChunk]:
        """Plan for all robots; see `Policy.plan`.

        Args:
            now_ns: As there.
            committed: What each robot does before the plan can count, (d, A); None: nothing.
        """
        started = time.perf_counter()
        requests = [policy.request(now_ns, rows) for policy, rows
                    in zip(self.policies, committed or [None] * len(self.policies), strict=True)]
        try:
            plans = solve_all(self._lead.solver, [one.context for one in requests],
                              [one.goal for one in requests],
                              initial_means=[one.initial_mean for one in requests],
                              committed=[one.committed_rows for one in requests])
        except PlanningError as error:
            raise NotFinite(f'engine {self.backend}: {error}') from error
        chunks = [policy.accept(request, plan) for policy, request, plan
                  in zip(self.policies, requests, plans, strict=True)]
        self.solve_time_s = time.perf_counter() - started
        return chunks
