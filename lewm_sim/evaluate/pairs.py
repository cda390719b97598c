"""Starts and goals: two rows of one episode, with the states of the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, LewmError
from lewm_sim.tasks import Task, Tolerance
from lewm_sim.world import World
import numpy as np


@dataclass(frozen=True, eq=False)
class Pair:
    """One start and one goal from the same episode."""

    episode: int               # index in the data set
    row: int                   # of the start, within the episode
    start: np.ndarray          # (n,) whole state of the simulator, velocities included
    goal: np.ndarray           # (q,) truth of the goal
    start_rgb: np.ndarray      # uint8 (H, W, 3), as recorded
    goal_rgb: np.ndarray       # uint8 (H, W, 3), as recorded


def sample_pairs(data: EpisodeFile, episodes: Sequence[int], task: Task, world: World, *,
                 count: int, goal_offset: int, seed: int,
                 unsolved_by: Tolerance | None = None) -> list[Pair]:
    """Draw pairs without replacement over all rows of `episodes` that leave room for the goal.

    Args:
        data: With states that the task understands, see `Task.recorded_state`.
        episodes: Which to draw from.
        task: What is measured of a goal.
        world: Is put into the states to measure them.
        count: Pairs wanted.
        goal_offset: Control steps from start to goal.
        seed: Of the draw.
        unsolved_by: Leave out pairs whose start is within this tolerance of the goal.

    Returns:
        The pairs in the order of their rows.

    Raises:
        DatasetError: If there are fewer than `count` valid rows, or no states.
    """
    rows = [(int(episode), row) for episode in episodes
            for row in range(int(data.ep_len[episode]) - goal_offset)]
    if len(rows) < count:
        raise DatasetError(f'{count} pairs asked for, but the {len(episodes)} episodes of '
                           f'{data.path} to draw from have only {len(rows)} rows with a goal '
                           f'{goal_offset} steps later')
    rng = np.random.default_rng(seed)
    if unsolved_by is None:
        chosen = sorted(rng.choice(len(rows), size=count, replace=False))
        return [_pair(data, task, world, *rows[place], goal_offset) for place in chosen]
    pairs = []
    for place in rng.permutation(len(rows)):
        pair = _pair(data, task, world, *rows[place], goal_offset)
        world.reset(pair.start)
        if not task.outcome(world.truth(), pair.goal).solved(unsolved_by):
            pairs.append(pair)
        if len(pairs) == count:
            return sorted(pairs, key=lambda pair: (pair.episode, pair.row))
    raise DatasetError(f'{count} pairs asked for, but only {len(pairs)} of {len(rows)} in the '
                       f'{len(episodes)} episodes of {data.path} are not solved at the start '
                       f'({unsolved_by}); ask for fewer, or for a longer --goal-offset')


def _pair(data: EpisodeFile, task: Task, world: World, episode: int, row: int, goal_offset: int
          ) -> Pair:
    start = int(data.ep_offset[episode]) + row
    goal = start + goal_offset
    try:
        world.reset(task.recorded_state(world, data.columns, goal))
        state = task.recorded_state(world, data.columns, start)
    except LewmError as error:
        raise DatasetError(f'{data.path}: {error}') from error
    return Pair(episode, row, state, world.truth(), np.array(data.pixels[start]),
                np.array(data.pixels[goal]))
