"""The goals of the demo: held-out pictures that ship with a bundle, and when one is reached.

`models/<bundle>/goals/goals.yaml` has the start state, and for each picture the truth about the
scene it was taken of. Only the judge of the demo reads the truth; the planner sees pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError, LewmError
from lewm_sim.tasks import Outcome, Task, Tolerance
import numpy as np

GOALS_FILE = 'goals.yaml'


@dataclass(frozen=True)
class GoalPicture:
    """One goal."""

    file: Path
    truth: np.ndarray     # (q,), where the picture was taken
    episode: str          # held-out episode and row it comes from
    row: int
    start: np.ndarray | None = None    # (n,) whole state that it begins from; None: from where
    #                                    the goal before has ended


@dataclass(frozen=True)
class GoalSet:
    """Where the demo starts and where it goes."""

    start: np.ndarray                  # (n,) whole state of the simulator
    goals: tuple[GoalPicture, ...]

    @classmethod
    def load(cls, folder: Path, task: Task) -> GoalSet:
        """Read `goals.yaml` and check that every picture is there.

        Args:
            folder: Of the pictures.
            task: Whose goals they are.

        Raises:
            ConfigError: The message names the file and what is missing.
        """
        path = folder / GOALS_FILE
        values = load_yaml(path)
        reader = _Reader(task)
        try:
            start = reader.state(values['start'])
            goals = tuple(GoalPicture(folder / str(item['file']), reader.truth(item),
                                      str(item['episode']), int(item['row']),
                                      reader.state(item['start']) if 'start' in item else None)
                          for item in values['goals'])
        except (KeyError, TypeError, ValueError, OverflowError, LewmError) as error:
            raise ConfigError(f'{path}: malformed entry ({type(error).__name__}: {error}); it '
                              f'has `start: {{state}}` and `goals:`, a list of '
                              f'{{file, truth, episode, row}}, as `lewm goals` writes it for task '
                              f'{task.name!r}') from error
        outside = [str(goal.file) for goal in goals
                   if not goal.file.resolve().is_relative_to(folder.resolve())]
        if outside:
            raise ConfigError(f'{path}: pictures must lie in {folder}, not at '
                              f'{", ".join(outside)}')
        missing = [str(goal.file) for goal in goals if not goal.file.is_file()]
        if missing or not goals:
            raise ConfigError(f'{path}: missing pictures: {", ".join(missing) or "all"}')
        return cls(start, goals)

    def first(self, count: int | None) -> GoalSet:
        """Return the set with its first goals alone; None: all of them.

        Raises:
            ConfigError: If there are not so many.
        """
        if count is not None and not 1 <= count <= len(self.goals):
            raise ConfigError(f'count must be in [1, {len(self.goals)}], the goals that there '
                              f'are, got {count}')
        return replace(self, goals=self.goals[:count])


class _Reader:
    """Reads states and truths; sets of earlier versions have `qpos` instead of both."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._world: Any = None

    def state(self, item: Mapping[str, Any]) -> np.ndarray:
        """Return the whole state of an entry."""
        if 'state' not in item and 'qpos' in item:
            return self._state_at(item['qpos'])
        return _numbers('state', item['state'])

    def truth(self, item: Mapping[str, Any]) -> np.ndarray:
        """Return the truth of an entry, in the order of the task's quantities."""
        if 'truth' not in item and 'qpos' in item:
            state = self._state_at(item['qpos'])
            self._world.reset(state)
            return self._world.truth()
        said = item['truth']
        return np.concatenate([_numbers(one.name, np.atleast_1d(said[one.name]), one.width)
                               for one in self._task.quantities])

    def _state_at(self, qpos: Any) -> np.ndarray:
        self._world = self._world or self._task.make_world()
        return self._task.recorded_state(self._world, {'qpos': [_numbers('qpos', qpos)]}, 0)


def _numbers(name: str, value: Any, length: int | None = None) -> np.ndarray:
    numbers = np.array(value, dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all() or (
            length is not None and len(numbers) != length):
        raise ValueError(f'{name} must be a list of {length or ""} finite numbers, got {value!r}')
    return numbers


class Judge:
    """Decides from the truth whether a goal is reached.

    The task's own rule, which evaluations use, too, and that the scene stays so for `dwell_s`.

    Args:
        task: Says how far two truths are apart.
        dwell_s: How long it must stay at a goal [s].
        tolerance: How near that is; None: the task's for demos.
    """

    def __init__(self, task: Task, dwell_s: float, tolerance: Tolerance | None = None) -> None:
        self.tolerance = tolerance or task.facts.demo_tolerance()
        self._task = task
        self._dwell_ns = round(dwell_s * 1e9)
        self._goal: np.ndarray | None = None
        self._within_since_ns: int | None = None

    def start(self, goal: np.ndarray) -> None:
        """Begin judging a new goal, by its truth (q,)."""
        self._goal = np.asarray(goal, np.float64)
        self._within_since_ns = None

    def outcome(self, truth: np.ndarray) -> Outcome:
        """Return how far a truth (q,) is from the goal."""
        return self._task.outcome(truth, self._goal)

    def reached(self, stamp_ns: int, truth: np.ndarray) -> bool:
        """Look at the newest truth; True once the scene has stayed long enough."""
        if not self.outcome(truth).solved(self.tolerance):
            self._within_since_ns = None
            return False
        if self._within_since_ns is None:
            self._within_since_ns = stamp_ns
        return stamp_ns - self._within_since_ns >= self._dwell_ns
