"""What happens on a pair: a fleet plans and acts, or a floor does that sees nothing.

No ROS, no wall clock: one control step is exactly one action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lewm_model.planning.action_rows import rows_then_rest
from lewm_model.planning.fleet import Fleet
from lewm_model.types import ActionChunk
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.evaluate.ways import Way
from lewm_sim.tasks import Outcome, Task, Tolerance
from lewm_sim.tasks.motions import uniform
from lewm_sim.world import World
import numpy as np

# What acts without a model and without the truth: every action anew within the limits; nothing at
# all; and the task's policy `random`.
FLOORS = ('uniform', 'still', 'exploration')


@dataclass(frozen=True)
class Trial:
    """What happened on one pair."""

    episode: int
    row: int
    outcomes: list[Outcome]       # at each of the budget + 1 instants, the first before any step
    plan_seconds: list[float]     # one per plan; of a batch, this robot's share

    def reached(self, tolerance: Tolerance) -> bool:
        """Tell whether any step led within the tolerance, as the reference counts."""
        return any(outcome.solved(tolerance) for outcome in self.outcomes[1:])

    def holds(self, tolerance: Tolerance) -> bool:
        """Tell whether the last step was within the tolerance."""
        return self.outcomes[-1].solved(tolerance)

    def solved_at_start(self, tolerance: Tolerance) -> bool:
        """Tell whether there was nothing to do."""
        return self.outcomes[0].solved(tolerance)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; every error over time."""
        return {'episode': self.episode, 'row': self.row, 'plan_seconds': self.plan_seconds,
                'errors': {name: [outcome.errors[name] for outcome in self.outcomes]
                           for name in self.outcomes[0].errors}}


def plain_trials(runs: Sequence[Sequence[Trial]], names: Mapping[int, str]
                 ) -> list[dict[str, Any]]:
    """Return the trials of all seeds for JSON, with the names of their episodes."""
    return [{'planner_seed': number, **trial.to_dict(), 'episode': names[trial.episode]}
            for number, trials in enumerate(runs) for trial in trials]


def frame_steps(budget: int, steps_per_plan: int, history: int, steps_per_block: int) -> set[int]:
    """Return the control steps whose frames a plan looks at: its own, and its history's."""
    return {step - past * steps_per_block for step in range(0, budget, steps_per_plan)
            for past in range(history) if step >= past * steps_per_block}


def run_fleet(fleet: Fleet, task: Task, worlds: Sequence[World], pairs: Sequence[Pair],
              budget: int, way: Way | None = None, late: int = 0) -> list[Trial]:
    """Plan and act for `budget` control steps, on all pairs in step.

    Frames are rendered and encoded only where a plan looks at them. With a single pair it does
    exactly what a `Policy` does that is shown every frame.

    A plan that is late counts from so many control steps after its frame on. Until then the robot
    does what the plan before said, before the first one nothing; each plan knows that, as the
    planner node's do.

    Args:
        fleet: Gets the goals.
        task: The judge.
        worlds: At least as many as pairs.
        pairs: Starts and goals.
        budget: Control steps.
        way: How the goals are given; None: as pictures.
        late: Control steps from a frame to when the plan made on it counts.
    """
    dt_ns, per_plan = round(task.control_dt_s * 1e9), fleet.steps_per_plan
    worlds = worlds[:len(pairs)]
    needed = frame_steps(budget, per_plan, fleet.config.history, fleet.steps_per_block)
    (way or Way()).give(fleet, task, pairs)
    for world, pair in zip(worlds, pairs, strict=True):
        if pair.look is not None:
            task.set_look(world, pair.look)
        world.reset(pair.start)
    outcomes = [[task.outcome(world.truth(), pair.goal)]
                for world, pair in zip(worlds, pairs, strict=True)]
    seconds: list[float] = []
    chunks: list[ActionChunk | None] = [None] * len(pairs)
    for step in range(budget):
        if step in needed:
            # The first frame is the recorded one, as the reference has it; they agree anyway.
            fleet.observe(step * dt_ns, [pair.start_rgb if step == 0 else world.render()
                                         for world, pair in zip(worlds, pairs, strict=True)])
        if step % per_plan == 0:
            chunks = fleet.plan(step * dt_ns, [
                _meanwhile(chunk, per_plan, late, task, world)
                for chunk, world in zip(chunks, worlds, strict=True)] if late else None)
            seconds.append(fleet.solve_time_s / len(pairs))
        actions = [chunk.actions[step % per_plan] for chunk in chunks]
        for world, action, pair, past in zip(worlds, actions, pairs, outcomes, strict=True):
            world.apply(action)
            world.advance(task.control_dt_s)
            past.append(task.outcome(world.truth(), pair.goal))
        fleet.executed(step * dt_ns, actions)
    return [Trial(pair.episode, pair.row, past, list(seconds))
            for pair, past in zip(pairs, outcomes, strict=True)]


def _meanwhile(chunk: ActionChunk | None, since: int, late: int, task: Task, world: World
               ) -> np.ndarray:
    """Return what a robot does until its next plan counts, (late, A).

    Rows of the plan in force, `since` control steps after its frame, as far as it reaches; then
    it stands still.
    """
    still = (world.sensed().positions[:task.robot.action_dim]
             if task.robot.interface == 'joint_position' else np.zeros(task.robot.action_dim))
    return rows_then_rest(chunk, since, late, still)


def run_floor(name: str, task: Task, world: World, pair: Pair, budget: int,
              rng: np.random.Generator) -> Trial:
    """Act without looking: what a planner has to beat."""
    world.reset(pair.start)
    outcomes = [task.outcome(world.truth(), pair.goal)]
    act = {'uniform': lambda: uniform(task.robot, rng), 'still': lambda: None,
           'exploration': lambda: task.policy('random', rng)}[name]()
    for _ in range(budget):
        if act is not None:      # after a reset the robot stands still until it is told more
            world.apply(act(world.truth()))
        world.advance(task.control_dt_s)
        outcomes.append(task.outcome(world.truth(), pair.goal))
    return Trial(pair.episode, pair.row, outcomes, [])
