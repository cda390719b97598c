"""Goal pictures for demonstrations: frames of held-out episodes, one after the other in reach."""

from __future__ import annotations

from pathlib import Path

import cv2
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.held_out import HeldOut
import numpy as np
import yaml

GOALS_FILE = 'goals.yaml'
# How far two neighbouring goals are apart, largest joint [rad]: what 25 control steps of
# exploration typically cover, which is what the model was evaluated on.
NEAREST_RAD, FARTHEST_RAD = 0.4, 1.6


def write_goals(bundle: Bundle, data: EpisodeFile, folder: str | Path, *, count: int,
                seed: int) -> Path:
    """Write a start pose, `count` pictures and their true poses.

    Args:
        bundle: Says which episodes were held out.
        data: The set it was trained from.
        folder: Gets `goals.yaml` and `goal_00.png`, ...
        count: Pictures wanted.
        seed: Of the choice.

    Raises:
        DatasetError: If the data is not the bundle's, has no `qpos`, or too few frames in reach
            of each other.
    """
    if 'qpos' not in data.columns:
        raise DatasetError(f'{data.path} has no column qpos, the true pose of a goal picture')
    episodes = HeldOut(bundle, data).held_out
    rows = np.concatenate([np.arange(data.ep_offset[episode],
                                     data.ep_offset[episode] + data.ep_len[episode])
                           for episode in episodes])
    chain = choose_chain(data.columns['qpos'][rows], count + 1, np.random.default_rng(seed))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    goals = []
    for number, row in enumerate(rows[chain[1:]]):
        name = f'goal_{number:02d}.png'
        cv2.imwrite(str(folder / name), cv2.cvtColor(np.array(data.pixels[row]),
                                                     cv2.COLOR_RGB2BGR))
        episode = int(np.searchsorted(data.ep_offset, row, side='right')) - 1
        goals.append({'file': name, 'qpos': _rounded(data.columns['qpos'][row]),
                      'episode': data.ep_id[episode],
                      'row': int(row - data.ep_offset[episode])})
    content = {'task': bundle.task, 'seed': seed,
               'start': {'qpos': _rounded(data.columns['qpos'][rows[chain[0]]])}, 'goals': goals}
    path = folder / GOALS_FILE
    path.write_text('# Frames of episodes that training never saw; qpos [rad] is the truth, for '
                    'judging only.\n' + yaml.safe_dump(content, sort_keys=False),
                    encoding='utf-8')
    return path


def choose_chain(poses: np.ndarray, length: int, rng: np.random.Generator) -> list[int]:
    """Pick `length` poses (N, P), each in reach of the one before, none twice.

    Raises:
        DatasetError: If the chain breaks off.
    """
    chain = [int(rng.integers(len(poses)))]
    free = np.ones(len(poses), dtype=bool)
    while len(chain) < length:
        free[chain[-1]] = False
        distance = np.abs(poses - poses[chain[-1]]).max(axis=1)
        in_reach = np.flatnonzero(free & (distance > NEAREST_RAD) & (distance < FARTHEST_RAD))
        if not len(in_reach):
            raise DatasetError(f'only {len(chain)} of {length} goal frames lie {NEAREST_RAD} to '
                               f'{FARTHEST_RAD} rad from the one before; record more episodes')
        chain.append(int(rng.choice(in_reach)))
    return chain


def _rounded(qpos: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in qpos]
