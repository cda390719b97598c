"""Goal pictures for demonstrations: frames of held-out episodes, one after the other in reach."""

from __future__ import annotations

from pathlib import Path

import cv2
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError, LewmError
from lewm_model.held_out import HeldOut
from lewm_sim.task_of import task_of
from lewm_sim.tasks import Task
import numpy as np
import yaml

GOALS_FILE = 'goals.yaml'


def write_goals(bundle: Bundle, data: EpisodeFile, folder: str | Path, *, count: int,
                seed: int) -> Path:
    """Write a start state, `count` pictures and the truth about them.

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
    rows = np.concatenate([np.arange(data.ep_offset[episode],
                                     data.ep_offset[episode] + data.ep_len[episode])
                           for episode in episodes])
    world = task.make_world(data.pixels.shape[1])
    states, truths = [], []
    for row in rows:
        try:
            states.append(task.recorded_state(world, data.columns, row))
            world.reset(states[-1])
        except LewmError as error:
            raise DatasetError(f'{data.path}: {error}') from error
        truths.append(world.truth())
    chain = choose_chain(task, np.array(truths), count + 1, np.random.default_rng(seed))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    goals = []
    for number, place in enumerate(chain[1:]):
        row = rows[place]
        name = f'goal_{number:02d}.png'
        cv2.imwrite(str(folder / name), cv2.cvtColor(np.array(data.pixels[row]),
                                                     cv2.COLOR_RGB2BGR))
        episode = int(np.searchsorted(data.ep_offset, row, side='right')) - 1
        goals.append({'file': name, 'truth': _plain(task, truths[place]),
                      'episode': data.ep_id[episode],
                      'row': int(row - data.ep_offset[episode])})
    content = {'task': task.name, 'seed': seed,
               'start': {'state': states[chain[0]].tolist()}, 'goals': goals}
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
