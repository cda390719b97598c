"""Goal pictures for demonstrations: frames of held-out episodes that are in reach.

Of the goal before, or where objects have to be moved, of a start of their own in the same episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, LewmError
from lewm_model.held_out import HeldOut
from lewm_sim.evaluate.pairs import sample_pairs
from lewm_sim.evaluate.protocols import PROTOCOLS
from lewm_sim.task_of import task_of
from lewm_sim.tasks import Task
from lewm_sim.world import World
import numpy as np
import yaml

GOALS_FILE = 'goals.yaml'

Goals = Sequence[tuple[int, int, np.ndarray, np.ndarray | None]]   # episode, row, truth, start


def write_goals(bundle: Bundle, data: EpisodeFile, folder: str | Path, *, count: int,
                seed: int) -> Path:
    """Write a start state, `count` pictures and the truth about them.

    With `own_starts` in task.yaml each picture has a start, as pairs of an evaluation do.

    Args:
        bundle: Says which episodes were held out.
        data: The set it was trained from.
        folder: Gets `goals.yaml` and `goal_00.png`, ...
        count: Pictures wanted.
        seed: Of the choice.

    Raises:
        ConfigError: If nothing simulates the bundle's task.
        DatasetError: If the data is not the bundle's, has no states, or too few frames in reach
            of each other.
    """
    task = task_of(bundle)
    episodes = HeldOut(bundle, data).held_out
    world = task.make_world(data.pixels.shape[1])
    if task.facts.own_starts:
        strict = PROTOCOLS['strict'].tolerances(task.facts)[0]
        pairs = sample_pairs(data, episodes, task, world, count=count, seed=seed,
                             goal_offset=task.facts.goal_offset, unsolved_by=strict)
        first, goals = pairs[0].start, [
            (pair.episode, pair.row + task.facts.goal_offset, pair.goal, pair.start)
            for pair in pairs]
    else:
        first, goals = _chain(task, world, data, episodes, count, np.random.default_rng(seed))
    return _write(Path(folder), task, data, seed, first, goals)


def _chain(task: Task, world: World, data: EpisodeFile, episodes: Sequence[int], count: int,
           rng: np.random.Generator) -> tuple[np.ndarray, Goals]:
    """Return a start and goals that follow each other; see `choose_chain`."""
    rows = np.concatenate([np.arange(data.ep_offset[episode],
                                     data.ep_offset[episode] + data.ep_len[episode])
                           for episode in episodes])
    states, truths = [], []
    for row in rows:
        try:
            states.append(task.recorded_state(world, data.columns, row))
            world.reset(states[-1])
        except LewmError as error:
            raise DatasetError(f'{data.path}: {error}') from error
        truths.append(world.truth())
    chain = choose_chain(task, np.array(truths), count + 1, rng)
    goals = []
    for place in chain[1:]:
        episode = int(np.searchsorted(data.ep_offset, rows[place], side='right')) - 1
        goals.append((episode, int(rows[place] - data.ep_offset[episode]), truths[place], None))
    return states[chain[0]], goals


def _write(folder: Path, task: Task, data: EpisodeFile, seed: int, first: np.ndarray,
           goals: Goals) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (episode, row, truth, start) in enumerate(goals):
        name = f'goal_{number:02d}.png'
        picture = np.array(data.pixels[int(data.ep_offset[episode]) + row])
        cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        entries.append({'file': name, 'truth': _plain(task, truth),
                        'episode': data.ep_name[episode], 'row': row,
                        **({} if start is None else {'start': {'state': start.tolist()}})})
    content = {'task': task.name, 'seed': seed, 'start': {'state': first.tolist()},
               'goals': entries}
    path = folder / GOALS_FILE
    path.write_text('# Frames of episodes that training never saw; `truth` is for judging only, '
                    '`state` for the\n# simulator.\n' + yaml.safe_dump(content, sort_keys=False),
                    encoding='utf-8')
    return path


def choose_chain(task: Task, truths: np.ndarray, length: int, rng: np.random.Generator
                 ) -> list[int]:
    """Pick `length` of N states, each in reach of the one before, none twice.

    In reach is what task.yaml says: about what the control steps between start and goal of an
    evaluation cover.

    Args:
        task: Judges how far apart two states are.
        truths: (N, q).
        length: Of the chain.
        rng: Of the choice.

    Raises:
        DatasetError: If the chain breaks off.
    """
    tolerance, (nearest, farthest) = task.facts.tolerance(), task.facts.goal_chain
    chain = [int(rng.integers(len(truths)))]
    free = np.ones(len(truths), dtype=bool)
    while len(chain) < length:
        free[chain[-1]] = False
        here = truths[chain[-1]]
        distance = np.array([task.outcome(one, here).distance(tolerance) for one in truths])
        in_reach = np.flatnonzero(free & (distance > nearest) & (distance < farthest))
        if not len(in_reach):
            raise DatasetError(f'only {len(chain)} of {length} goal frames lie {nearest:g} to '
                               f'{farthest:g} times the tolerance of task {task.name!r} '
                               f'({tolerance}) from the one before; record more episodes, or '
                               f'change goal_chain in task.yaml')
        chain.append(int(rng.choice(in_reach)))
    return chain


def _plain(task: Task, truth: np.ndarray) -> dict[str, float | list[float]]:
    """Return the values of each quantity for YAML: one number, or a list."""
    return {name: (values.round(5).tolist() if len(values) > 1 else round(float(values[0]), 5))
            for name, values in task.named(truth).items()}
