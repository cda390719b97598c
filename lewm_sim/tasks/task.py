"""What a task is: facts, a world, what is measured in it, when a goal is reached, who acts.

One folder holds it: `task.yaml` (facts), `task.py` (a class derived from `MujocoTask`, or from
`Task` for worlds that are not MuJoCo's), the scene. No mujoco and no torch here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lewm_model.errors import ConfigError, DatasetError, SimulationError
from lewm_model.quantities import places, Quantity
from lewm_model.robots.robot import RobotDescription
from lewm_sim.links import Link
from lewm_sim.look import Look
from lewm_sim.tasks.facts import FACTS_FILE, TaskFacts, Tolerance
from lewm_sim.tasks.motions import Act, MakePolicy, uniform
from lewm_sim.world import World
import numpy as np

SIM_STATE = 'sim_state'    # column of a data set: whole states, (N, n)


@dataclass(frozen=True)
class Outcome:
    """How far a state is from a goal: named errors, >= 0, in the units of `TaskFacts.errors`."""

    errors: Mapping[str, float]

    def distance(self, tolerance: Tolerance) -> float:
        """Return the largest error as a multiple of its limit; below 1: solved."""
        return max(self.errors[name] / limit for name, limit in tolerance.limits.items())

    def solved(self, tolerance: Tolerance) -> bool:
        """Tell whether every error that the tolerance names is below its limit."""
        return all(self.errors[name] < limit for name, limit in tolerance.limits.items())


@dataclass(frozen=True)
class Impossible:
    """Something that cannot happen, to see whether a model is surprised.

    `happen(world, elsewhere)` does it; `elsewhere` is a second start state, to take from it what
    is needed. What it returns, if anything, is called to undo what the next `reset` would not.
    """

    text: str
    happen: Callable[[Any, np.ndarray], Callable[[], None] | None]


class Task(ABC):
    """One task; stateless, everything that changes is in its worlds.

    Attributes:
        quantities: What `World.truth` measures, in its order.
        name: The name of the folder.
        folder: Where the task lies.
        facts: What task.yaml says.

    Args:
        folder: With task.yaml.
    """

    quantities: tuple[Quantity, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = Path(folder), Path(folder).name
        self.facts = TaskFacts.from_yaml(self.folder / FACTS_FILE)

    # What a task has to say -------------------------------------------------------------------

    @abstractmethod
    def make_world(self, image_size: int = 64) -> World:
        """Return a world of this task in a start state, with pictures of `image_size` px."""

    def make_worlds(self, count: int, image_size: int = 64) -> list[World]:
        """Return worlds that are stepped side by side in one process."""
        return [self.make_world(image_size) for _ in range(count)]

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """Return the errors that task.yaml names, from truth (q,) and that of the goal (q,).

        The default suits errors that bear the names of quantities: angles around the turn,
        everything else as a difference.
        """
        here, there = self.named(truth), self.named(goal)
        kinds = {one.name: one for one in self.quantities}
        if not set(self.facts.errors) <= set(kinds):
            raise ConfigError(f'task {self.name!r} is judged by {", ".join(self.facts.errors)}, '
                              f'which are not all among its quantities ({", ".join(kinds)}); '
                              f'write `errors` in its task.py')
        return {name: float(kinds[name].error(here[name], there[name]))
                for name in self.facts.errors}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Who can act when data is collected, by name; 'random' never looks at the truth.

        By default 'random' is uniform; override it with `smooth` where things have inertia,
        and add 'expert' and 'noisy_expert'.
        """
        return {'random': lambda rng: uniform(self.robot, rng)}

    def impossible(self) -> dict[str, Impossible]:
        """Return what cannot happen, by name."""
        return {'teleport': Impossible('everything is suddenly in another start state, and goes '
                                       'on from there',
                                       lambda world, elsewhere: world.reset(elsewhere))}

    def recorded_state(self, world: World, columns: Mapping[str, Any], row: int) -> np.ndarray:
        """Return the whole state of a row of a data set; override it for files by others.

        Raises:
            DatasetError: If the columns do not tell.
        """
        if SIM_STATE not in columns:
            raise DatasetError(f'it has no column {SIM_STATE}, the whole state of the simulator, '
                               f'so task {self.name!r} cannot be put into its states; it has '
                               f'{", ".join(columns)}')
        return np.asarray(columns[SIM_STATE][row], dtype=np.float64)

    def state_with(self, world: World, wanted: Mapping[str, Any]) -> np.ndarray:
        """Return the whole state of a world, at rest, in which quantities have given values.

        The world itself does not change. Everything that is not asked for stays as it is, where
        it can.

        Args:
            world: Of this task.
            wanted: Numbers, (width,) or one, by name of the quantity.

        Raises:
            ConfigError: If a quantity is not known, or its numbers cannot be.
            SimulationError: If there is no such state, or this task cannot find it.
        """
        raise SimulationError(f'task {self.name!r} cannot be put where its quantities have given '
                              f'values; write `state_with` in its task.py')

    def links(self, world: World) -> tuple[Link, ...]:
        """Return the links of the scene for viewers, parents first; (): it shows none."""
        return ()

    def link_poses(self, world: World) -> tuple[np.ndarray, np.ndarray]:
        """Return where each of `links` is in its parent: (n, 3) [m], (n, 4) w first."""
        return np.zeros((0, 3)), np.zeros((0, 4))

    # What follows -----------------------------------------------------------------------------

    def outcome(self, truth: np.ndarray, goal: np.ndarray) -> Outcome:
        """Judge truth (q,) against that of a goal (q,)."""
        return Outcome(self.errors(np.asarray(truth), np.asarray(goal)))

    def named(self, truth: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of each quantity, (width,), by name; truth (q,)."""
        return {one.name: truth[where]
                for one, where in zip(self.quantities, places(self.quantities), strict=True)}

    def policy(self, name: str, rng: np.random.Generator) -> Act:
        """Return a policy for one episode.

        Raises:
            ConfigError: If there is none of that name.
        """
        if name not in self.policies:
            raise ConfigError(f'task {self.name!r} has no policy {name!r}; it has '
                              f'{", ".join(self.policies)}')
        return self.policies[name](rng)

    def set_look(self, world: World, look: Look) -> None:
        """Let a world look otherwise from here on.

        Raises:
            ConfigError: If it cannot.
        """
        if not hasattr(world, 'look'):
            raise ConfigError(f'the world of task {self.name!r} has no switches for its look; '
                              f'give it an attribute `look` (lewm_sim/look.py), or leave --vary '
                              f'away')
        world.look = look

    @property
    def robot_file(self) -> str:
        """The robot's description: a file in the folder, or the name of a shipped one."""
        beside = self.folder / self.facts.robot
        return str(beside) if beside.is_file() else self.facts.robot

    @property
    def bundle(self) -> str:
        """Name of the model that demo and launch show unless another is given."""
        return self.facts.bundle or f'{self.name}-nano'

    @cached_property
    def robot(self) -> RobotDescription:
        """The robot: names, limits, rate, topics."""
        return RobotDescription.from_yaml(self.robot_file)

    @property
    def control_dt_s(self) -> float:
        """One action per control step [s]."""
        return self.robot.control_dt_s

    @property
    def action_names(self) -> tuple[str, ...]:
        """A names, the order of an action."""
        return self.robot.joint_names
