"""Small data set files of known content, for tests of what a set is and who may judge by it."""

from collections.abc import Iterable
from pathlib import Path

from lewm_model.data.episodes import EpisodeFile
from lewm_model.ingest.episode_writer import Episode, write_episodes
from lewm_model.robot import RobotDescription
import numpy as np

ROWS = 30


def episode(number: int, name: str | None = None, sha256: str = '', px: int = 64) -> Episode:
    """Make an episode of noise; the number alone decides its content."""
    rng = np.random.default_rng([7, number])
    action = rng.uniform(-1, 1, (ROWS, 2))
    action[-1] = np.nan
    qpos = rng.normal(size=(ROWS, 2))
    return Episode(name or f'e{number}', 'bag', sha256,
                   rng.integers(0, 255, (ROWS, px, px, 3)).astype(np.uint8), action, qpos,
                   np.gradient(qpos, 0.05, axis=0), np.arange(ROWS) * 50_000_000)


def write_set(path: Path, episodes: Iterable[Episode], px: int = 64, robot: str = 'sim_reacher',
              **attributes) -> EpisodeFile:
    """Write a data set file and open it."""
    episodes = list(episodes)
    write_episodes(path, episodes, [ROWS] * len(episodes), RobotDescription.from_yaml(robot), px,
                   {'task': 'reacher', **attributes})
    return EpisodeFile.open(path)
