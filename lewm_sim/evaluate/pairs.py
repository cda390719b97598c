"""Starts and goals: two rows of one episode, with the states of the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, LewmError
from lewm_model.images.goal_correction import correct_goal
from lewm_model.images.tiles import Tile
from lewm_sim.evaluate.photograph import photograph
from lewm_sim.look import draw_look, Look
from lewm_sim.tasks import Task, Tolerance
from lewm_sim.world import World
import numpy as np


@dataclass(frozen=True, eq=False)
class Pair:
    """One start and one goal from the same episode."""

    episode: int               # index in the data set
    row: int                   # of the start, within the episode
    start: np.ndarray          # (n,) whole state of the simulator, velocities included
    start_truth: np.ndarray    # (q,) truth of the start
    goal: np.ndarray           # (q,) truth of the goal
    start_rgb: np.ndarray      # uint8 (H, W, 3), as recorded
    goal_rgb: np.ndarray       # uint8 (H, W, 3), as recorded
    goal_state: np.ndarray | None = None   # (n,) whole state of the simulator at the goal
    look: Look | None = None   # of the world, also of both pictures, which are then drawn anew


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
        if not task.outcome(pair.start_truth, pair.goal).solved(unsolved_by):
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
        goal_state = task.recorded_state(world, data.columns, goal)
        world.reset(goal_state)
        goal_truth = world.truth()
        state = task.recorded_state(world, data.columns, start)
        world.reset(state)
    except LewmError as error:
        raise DatasetError(f'{data.path}: {error}') from error
    return Pair(episode, row, state, world.truth(), goal_truth, np.array(data.pixels[start]),
                np.array(data.pixels[goal]), goal_state)


def varied(pairs: Sequence[Pair], task: Task, world: World, factors: Mapping[str, float],
           seed: int) -> list[Pair]:
    """Give every pair a look of its own: goal picture and trial are of one changed world.

    Args:
        pairs: Starts and goals.
        task: Whose they are.
        world: Draws the pictures.
        factors: Strengths, see `lewm_sim.look`.
        seed: Of the looks; the same pair looks alike for every model and planner.
    """
    found = []
    for pair in pairs:
        look = draw_look(factors, np.random.default_rng([seed, pair.episode, pair.row]))
        task.set_look(world, look)
        pictures = []
        for state in (pair.start, pair.goal_state):
            world.reset(state)
            pictures.append(world.render())
        found.append(replace(pair, look=look, start_rgb=pictures[0], goal_rgb=pictures[1]))
    return found


def photographed(pairs: Sequence[Pair], changes: Mapping[str, float], seed: int) -> list[Pair]:
    """Take every goal picture otherwise, see `photograph`; a shift has any direction.

    Args:
        pairs: Starts and goals.
        changes: What is different; the same for all pairs but for the direction.
        seed: Of the directions; that of a pair is the same for every model and planner.
    """
    return [replace(pair, goal_rgb=photograph(pair.goal_rgb, changes, np.random.default_rng(
        [seed, pair.episode, pair.row]).uniform(0, 2 * np.pi))) for pair in pairs]


def corrected(pairs: Sequence[Pair], which: str, tiles: Sequence[Tile] = ()
              ) -> tuple[list[Pair], dict[str, int]]:
    """Correct every goal picture by that of the start, as the planner does live.

    Args:
        pairs: Starts and goals.
        which: See `correct_goal`.
        tiles: Places of the cameras in the pictures.

    Returns:
        The pairs, and how many goal pictures were corrected and doubted.
    """
    found = [correct_goal(pair.goal_rgb, pair.start_rgb, which, tiles) for pair in pairs]
    return ([replace(pair, goal_rgb=one.rgb) for pair, one in zip(pairs, found, strict=True)],
            {'corrected': sum(bool(one.said) for one in found),
             'doubted': sum(bool(one.doubt) for one in found)})
