"""Small data set files of known content, for tests of what a set is and who may judge by it."""

from collections.abc import Callable, Iterable
from pathlib import Path

from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.make_goal_bank import make_goal_bank
from lewm_model.images.view import CameraView, View
from lewm_model.ingest.episode_writer import Episode, write_episodes
from lewm_model.robots.robot import RobotDescription
import numpy as np

ROWS = 30
SQUARES, SQUARE_ROWS = 12, 41     # of a `square_set`: its episodes, and the rows of each


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
    write_episodes(path, episodes, [len(one.qpos) for one in episodes],
                   RobotDescription.from_yaml(robot), px, {'task': 'reacher', **attributes})
    return EpisodeFile.open(path)


def square_set(path: Path, actions: Callable[[int], np.ndarray] | None = None) -> Path:
    """Write episodes of a bright square that goes its way, another one in each; return the path.

    Args:
        path: The file.
        actions: Returns those of the episode of a number, (SQUARE_ROWS, 2); None: normal noise.
    """
    walk, noise = np.random.default_rng(0), np.random.default_rng(1)
    episodes = []
    for number in range(SQUARES):
        qpos = np.cumsum(walk.normal(size=(SQUARE_ROWS, 2)) * 0.15, axis=0)
        pixels = np.full((SQUARE_ROWS, 64, 64, 3), 40, np.uint8)
        for frame, (x, y) in zip(pixels, (24 + 10 * np.sin(qpos)).astype(int), strict=True):
            frame[y:y + 16, x:x + 16] = 220
        action = (noise.normal(size=(SQUARE_ROWS, 2)) if actions is None
                  else actions(number)).astype(np.float32)
        action[-1] = np.nan
        episodes.append(Episode(
            f'episode {number}', 'bag', '', pixels, action, qpos,
            np.gradient(qpos, 0.05, axis=0), np.arange(SQUARE_ROWS) * 50_000_000))
    write_set(path, episodes)
    return path


def arm_bank(folder: Path, count: int) -> Path:
    """Make a goal bank in a folder and return its own, `bank`.

    Its frames show noise; the shoulder goes from -3 to 3 rad, the wrist from 0 to 0.3 rad.
    """
    one = episode(0)
    one.qpos[:] = np.stack([np.linspace(-3.0, 3.0, ROWS), np.linspace(0.0, 0.3, ROWS)], axis=1)
    view = View(64, (CameraView(64, 64),)).to_json()
    make_goal_bank(write_set(folder / 'set.h5', [one], view=view), folder / 'bank', count=count)
    return folder / 'bank'
