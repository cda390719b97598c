"""The goals of the demo: held-out pictures that ship with a bundle, and when one is reached.

`models/<bundle>/goals/goals.yaml` has the start, and for each picture the joint positions at
which it was taken. Only the judge of the demo reads the positions; the planner sees pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from lewm_model import resources
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError
import numpy as np

GOALS_FILE = 'goals.yaml'


@dataclass(frozen=True)
class GoalPicture:
    """One goal."""

    file: Path
    qpos: np.ndarray      # (P,) [rad], where the picture was taken
    episode: str          # held-out episode and row it comes from
    row: int


@dataclass(frozen=True)
class GoalSet:
    """Where the demo starts and where it goes."""

    start_qpos: np.ndarray             # (P,) [rad]
    goals: tuple[GoalPicture, ...]

    @classmethod
    def load(cls, folder: Path) -> GoalSet:
        """Read `goals.yaml` and check that every picture is there.

        Raises:
            ConfigError: The message names the file and what is missing.
        """
        path = folder / GOALS_FILE
        values = load_yaml(path)
        try:
            start = _positions(values['start']['qpos'])
            goals = tuple(GoalPicture(folder / str(item['file']), _positions(item['qpos']),
                                      str(item['episode']), int(item['row']))
                          for item in values['goals'])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f'{path}: malformed entry ({type(error).__name__}: {error}); it '
                              f'has `start: {{qpos}}` and `goals:`, a list of '
                              f'{{file, qpos, episode, row}}') from error
        outside = [str(goal.file) for goal in goals
                   if not goal.file.resolve().is_relative_to(folder.resolve())]
        if outside:
            raise ConfigError(f'{path}: pictures must lie in {folder}, not at '
                              f'{", ".join(outside)}')
        missing = [str(goal.file) for goal in goals if not goal.file.is_file()]
        if missing or not goals:
            raise ConfigError(f'{path}: missing pictures: {", ".join(missing) or "all"}')
        return cls(start, goals)


def _positions(value: Any) -> np.ndarray:
    positions = np.array(value, dtype=np.float64)
    if positions.ndim != 1 or not np.isfinite(positions).all():
        raise ValueError(f'qpos must be a list of finite numbers, got {value!r}')
    return positions


class Judge:
    """Decides from the true joint positions whether a goal is reached.

    Every joint must be within `tolerance_rad` of the goal for `dwell_s`. There is no angle
    wrapping (the rule of DM-Control), except for joints that turn without end: they look the
    same after a full turn, so their error is taken modulo 2 pi.

    Args:
        tolerance_rad: Largest error of any joint [rad].
        dwell_s: How long the robot must stay there [s].
        free: True for joints that turn without end, (P,).
    """

    def __init__(self, *, tolerance_rad: float, dwell_s: float, free: np.ndarray) -> None:
        self.tolerance_rad = tolerance_rad
        self._dwell_ns = round(dwell_s * 1e9)
        self._free = np.asarray(free, bool)
        self._goal: np.ndarray | None = None
        self._within_since_ns: int | None = None

    @classmethod
    def for_task(cls, name: str, joint_names: tuple[str, ...], dwell_s: float) -> Judge:
        """Build the judge of a task from `config/tasks`."""
        facts = load_yaml(resources.find(f'config/tasks/{name}.yaml'))
        free = facts.get('free_joints', [])
        return cls(tolerance_rad=float(facts['tolerance_rad']), dwell_s=dwell_s,
                   free=np.array([joint in free for joint in joint_names]))

    def start(self, goal_qpos: np.ndarray) -> None:
        """Begin judging a new goal."""
        self._goal = np.asarray(goal_qpos, np.float64)
        self._within_since_ns = None

    def errors(self, qpos: np.ndarray) -> np.ndarray:
        """Return the error of each joint, (P,) [rad], not negative."""
        difference = np.asarray(qpos, np.float64) - self._goal
        wrapped = (difference + math.pi) % (2 * math.pi) - math.pi
        return np.abs(np.where(self._free, wrapped, difference))

    def reached(self, stamp_ns: int, qpos: np.ndarray) -> bool:
        """Look at the newest positions; True once the robot has stayed long enough."""
        if not (self.errors(qpos) < self.tolerance_rad).all():
            self._within_since_ns = None
            return False
        if self._within_since_ns is None:
            self._within_since_ns = stamp_ns
        return stamp_ns - self._within_since_ns >= self._dwell_ns
