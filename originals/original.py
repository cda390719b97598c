"""What the originals share: a Gymnasium environment of stable-worldmodel as one of our tasks.

Needs `pip install "lewm_ros[reference]"`; tried with stable-worldmodel 0.1.1. Nothing about an
environment is changed. Ours are, in all of them:

- A world goes on where an episode would end, after a success or a time limit.
- Pictures are averaged down from the 224 px that the environment draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
import os
from typing import Any

import cv2
from lewm_model.errors import MissingPackageError, SimulationError
from lewm_sim.tasks import Task
from lewm_sim.tasks.task import SIM_STATE
from lewm_sim.world import Sensed
import numpy as np

_DRAWN_PX = 224


def load(path: str) -> type:
    """Return a class of another package by its full name.

    Raises:
        MissingPackageError: If that package, or one that it needs, is not installed.
    """
    # Rendering off screen; must be chosen before MuJoCo is imported. A user's choice wins.
    os.environ.setdefault('MUJOCO_GL', 'egl')
    module, _, name = path.rpartition('.')
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(error.name, 'reference',
                                  'running an original environment') from error


class OriginalWorld(ABC):
    """An environment behind the verbs of `World`.

    Attributes:
        environment: Full name of its class.
        options: Of its constructor.

    Args:
        task: Its rate and its actions.
        image_size: Height and width of pictures [px].
    """

    environment: str
    options: Mapping[str, Any] = {}
    camera_fovy_rad = 1.0     # of camera infos, which these robots do not have

    def __init__(self, task: Task, image_size: int) -> None:
        if not 8 <= image_size <= _DRAWN_PX:
            raise SimulationError(f'image_size must be in [8, {_DRAWN_PX}], got {image_size}')
        self.image_size, self.timestep_s, self.time_s = image_size, task.control_dt_s, 0.0
        self._actions = len(task.action_names)
        self.env = load(self.environment)(**self.options)
        self.env.reset(seed=0)
        self._states = len(self.state())
        self.start(np.random.default_rng(0))

    # What an environment has to say ------------------------------------------------------------

    @abstractmethod
    def begin(self, rng: np.random.Generator) -> None:
        """Put the environment where its own reset may put it."""

    @abstractmethod
    def put(self, state: np.ndarray) -> None:
        """Put the environment into a state, as `state` returned it."""

    @abstractmethod
    def state(self) -> np.ndarray:
        """Return the state, as the published files have it."""

    @abstractmethod
    def sensed(self) -> Sensed:
        """Return what the robot measures of itself, see `World`."""

    @abstractmethod
    def truth(self) -> np.ndarray:
        """Return the values of the task's quantities, see `World`."""

    def step(self, action: np.ndarray) -> None:
        """Make one step of the environment."""
        self.env.step(action)

    # What follows ------------------------------------------------------------------------------

    def start(self, rng: np.random.Generator) -> None:
        """Begin anew, see `World`."""
        self.begin(rng)
        self._action = np.zeros(self._actions)

    def reset(self, state: np.ndarray) -> None:
        """Go on from a state, see `World`."""
        self.put(_numbers('a state', state, self._states))
        self._action = np.zeros(self._actions)

    def apply(self, action: np.ndarray) -> None:
        """Keep the action, see `World`."""
        self._action = _numbers('an action', action, self._actions)

    def advance(self, seconds: float) -> None:
        """Make whole steps, see `World`."""
        for _ in range(round(seconds / self.timestep_s)):
            self.step(self._action)
            self.time_s += self.timestep_s

    def render(self) -> np.ndarray:
        """Return the picture, see `World`."""
        return cv2.resize(self.env.render(), (self.image_size, self.image_size),
                          interpolation=cv2.INTER_AREA)

    def close(self) -> None:  # noqa: B027 - most have nothing to free
        """Free what rendering holds, see `World`."""


class OriginalTask(Task):
    """A task in such an environment.

    Attributes:
        world: Its class.
        published: Columns of the published files that side by side are a state.
    """

    world: type[OriginalWorld]
    published: tuple[str, ...]

    def make_world(self, image_size: int = 64) -> OriginalWorld:
        """Return a world, see `Task`."""
        return self.world(self, image_size)

    def recorded_state(self, world: OriginalWorld, columns: Mapping[str, Any], row: int
                       ) -> np.ndarray:
        """Return the state of a row, also from the columns of the published files."""
        if SIM_STATE in columns or not set(self.published) <= set(columns):
            return super().recorded_state(world, columns, row)
        return np.concatenate([columns[name][row] for name in self.published], dtype=np.float64)


def _numbers(what: str, values: np.ndarray, count: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise SimulationError(f'{what} of this environment is {count} finite numbers, got '
                              f'{values.tolist()}')
    return values
