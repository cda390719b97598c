"""The reference's evaluation protocol: reach a frame that lies 25 control steps ahead.

Start and goal are rows t and t + 25 of one held-out episode; the simulator is put into the start
state, the goal is the stored picture, the budget is 50 control steps. No ROS, no wall clock: one
control step is exactly one action. Deviation from the reference: pairs come from episodes that
training never saw (the reference draws from the training file).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import math
from typing import Any

from lewm_model.assemble import make_policy
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, DatasetError, LewmError
from lewm_model.held_out import HeldOut
from lewm_model.planning.policy import Policy
from lewm_model.types import Observation
from lewm_sim.tasks import load_task, Outcome, Task, Tolerance
from lewm_sim.world import World
import numpy as np


@dataclass(frozen=True)
class Pair:
    """One start and one goal from the same episode."""

    episode: int               # index in the data set
    row: int                   # of the start, within the episode
    start: np.ndarray          # (n,) whole state of the simulator, velocities included
    goal: np.ndarray           # (q,) truth of the goal
    start_rgb: np.ndarray      # uint8 (H, W, 3), as recorded
    goal_rgb: np.ndarray       # uint8 (H, W, 3), as recorded


@dataclass(frozen=True)
class Trial:
    """What happened on one pair."""

    episode: int
    row: int
    outcomes: list[Outcome]       # at each of the budget + 1 instants
    plan_seconds: list[float]     # one per plan

    def reached(self, tolerance: Tolerance) -> bool:
        """Tell whether any step was within the tolerance: the reference's rule."""
        return any(outcome.solved(tolerance) for outcome in self.outcomes)

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


def sample_pairs(data: EpisodeFile, episodes: Sequence[int], task: Task, world: World, *,
                 count: int, goal_offset: int, seed: int) -> list[Pair]:
    """Draw pairs without replacement over all rows of `episodes` that leave room for the goal.

    Args:
        data: With states that the task understands, see `Task.recorded_state`.
        episodes: The held-out ones.
        task: What is measured of a goal.
        world: Is put into the goals to measure them.
        count: Pairs wanted.
        goal_offset: Control steps from start to goal.
        seed: Of the draw.

    Raises:
        DatasetError: If there are fewer than `count` valid rows, or no states.
    """
    rows = [(int(episode), row) for episode in episodes
            for row in range(int(data.ep_len[episode]) - goal_offset)]
    if len(rows) < count:
        raise DatasetError(f'{count} pairs asked for, but the {len(episodes)} held-out episodes '
                           f'of {data.path} have only {len(rows)} rows with a goal {goal_offset} '
                           f'steps later')
    chosen = np.random.default_rng(seed).choice(len(rows), size=count, replace=False)
    pairs = []
    for episode, row in (rows[index] for index in sorted(chosen)):
        start = int(data.ep_offset[episode]) + row
        goal = start + goal_offset
        try:
            world.reset(task.recorded_state(world, data.columns, goal))
            state = task.recorded_state(world, data.columns, start)
        except LewmError as error:
            raise DatasetError(f'{data.path}: {error}') from error
        pairs.append(Pair(episode, row, state, world.truth(), np.array(data.pixels[start]),
                          np.array(data.pixels[goal])))
    return pairs


def run_policy(policy: Policy, task: Task, world: World, pair: Pair, budget: int) -> Trial:
    """Plan and act for `budget` control steps."""
    dt_ns = round(task.control_dt_s * 1e9)
    policy.reset()
    policy.set_goal_image(pair.goal_rgb)
    world.reset(pair.start)
    outcomes = [task.outcome(world.truth(), pair.goal)]
    plan_seconds: list[float] = []
    actions: list[np.ndarray] = []
    for step in range(budget):
        # The first frame is the recorded one, as the reference has it; they agree anyway.
        rgb = pair.start_rgb if step == 0 else world.render()
        policy.observe(Observation(stamp_ns=step * dt_ns, rgb=rgb))
        if not actions:
            chunk = policy.plan(now_ns=step * dt_ns)
            actions = list(chunk.actions[:policy.steps_per_plan])
            plan_seconds.append(policy.last_plan.solve_time_s)
        action = actions.pop(0)
        world.apply(action)
        policy.executed(step * dt_ns, action)
        world.advance(task.control_dt_s)
        outcomes.append(task.outcome(world.truth(), pair.goal))
    return Trial(pair.episode, pair.row, outcomes, plan_seconds)


def run_random(task: Task, world: World, pair: Pair, budget: int, rng: np.random.Generator
               ) -> Trial:
    """Act with the task's random policy: the floor a planner has to beat."""
    world.reset(pair.start)
    outcomes = [task.outcome(world.truth(), pair.goal)]
    act = task.policy('random', rng)
    for _ in range(budget):
        world.apply(act(world.truth()))
        world.advance(task.control_dt_s)
        outcomes.append(task.outcome(world.truth(), pair.goal))
    return Trial(pair.episode, pair.row, outcomes, [])


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True)
class Score:
    """Success of one policy at one tolerance; rates in [0, 1] with 95 % intervals."""

    policy: str
    tolerance: str                          # as people read it, such as '0.05 rad'
    pairs: int
    reached: float                          # any step: the reference's rule
    reached_interval: tuple[float, float]
    final: float                            # at the end of the budget
    final_interval: tuple[float, float]
    solved_at_start: float

    def to_dict(self) -> dict:
        """Return plain values for JSON and YAML."""
        values = asdict(self)
        return {**values, 'reached_interval': list(self.reached_interval),
                'final_interval': list(self.final_interval)}


def score(policy: str, trials: Sequence[Trial], tolerance: Tolerance) -> Score:
    """Count successes of `trials`."""
    count = len(trials)
    reached = sum(trial.reached(tolerance) for trial in trials)
    final = sum(trial.holds(tolerance) for trial in trials)
    started = sum(trial.solved_at_start(tolerance) for trial in trials)
    return Score(policy, str(tolerance), count, reached / count, wilson_interval(reached, count),
                 final / count, wilson_interval(final, count), started / count)


def evaluate(bundle: Bundle, data: EpisodeFile, plan_config: PlanConfig | None = None, *,
             count: int = 50, goal_offset: int = 25, budget: int = 50, seed: int = 42,
             backend: str = 'torch', new_data: bool = False,
             report: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run the protocol with the planner and with random exploration.

    Args:
        bundle: What is judged; its own planner settings are used when `plan_config` is None.
        data: The set it was trained from; only episodes held out from training are used.
        plan_config: Planner settings.
        count: Pairs.
        goal_offset: Control steps from start to goal.
        budget: Control steps allowed.
        seed: Of pairs and random exploration.
        new_data: The set is one of which the bundle has seen nothing, see `HeldOut`.
        backend: Engine that runs the model, see `engines.registry`.
        report: Called after every pair.

    Returns:
        Plain values: protocol, one score per policy and tolerance, plan times, every trial.

    Raises:
        DatasetError: If the data cannot serve.
        LewmError: If the backend cannot run here or does not agree with the model.
    """
    if not bundle.task:
        raise ConfigError(f'model {bundle.model_id} has no simulated task, it was trained on '
                          f'recordings of robot {bundle.robot}: closed-loop success can only be '
                          f'measured in a simulation; see what it knows with lewm analyse, or '
                          f'drive the robot')
    episodes = HeldOut(bundle, data, new_data=new_data).held_out
    task = load_task(bundle.task)
    world = task.make_world(data.pixels.shape[1])
    pairs = sample_pairs(data, episodes, task, world, count=count, goal_offset=goal_offset,
                         seed=seed)
    policy = make_policy(bundle, plan_config, backend=backend)
    rng = np.random.default_rng(seed)
    trials: dict[str, list[Trial]] = {'planner': [], 'random': []}
    for pair in pairs:
        trials['planner'].append(run_policy(policy, task, world, pair, budget))
        trials['random'].append(run_random(task, world, pair, budget, rng))
        report()
    world.close()
    seconds = np.concatenate([trial.plan_seconds for trial in trials['planner']])
    return {
        'task': task.name, 'model_id': bundle.model_id, 'pairs': count,
        'goal_offset': goal_offset, 'budget': budget, 'seed': seed, 'backend': policy.backend,
        'plan': policy.config.to_dict(),
        'plan_seconds_median': float(np.median(seconds)),
        'plan_seconds_p95': float(np.quantile(seconds, 0.95)),
        'scores': [score(name, trials[name], tolerance).to_dict()
                   for name in trials for tolerance in task.facts.all_tolerances()],
        'trials': {name: [trial.to_dict() for trial in runs] for name, runs in trials.items()},
    }
