"""The facts of a task, from its `task.yaml`: everything about it that is no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lewm_model.config import load_described
from lewm_model.errors import ConfigError

FACTS_FILE = 'task.yaml'


@dataclass(frozen=True)
class Tolerance:
    """When a goal counts as reached: every error named here is below its limit."""

    name: str
    limits: Mapping[str, float]    # error name -> limit, in the error's unit
    units: Mapping[str, str]       # error name -> unit

    def __str__(self) -> str:
        """Return the limits as people read them, '0.05 rad' if all are alike."""
        texts = {name: f'{limit:g} {self.units[name]}'.strip()
                 for name, limit in self.limits.items()}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return ', '.join(f'{name} {text}' for name, text in texts.items())

    def worst(self, errors: Mapping[str, float]) -> str:
        """Return the name of the error that is farthest from its limit."""
        return max(self.limits, key=lambda name: errors[name] / self.limits[name])

    def text(self, errors: Mapping[str, float], digits: int = 3) -> str:
        """Return the worst error as people read it, such as '0.053 rad'."""
        name = self.worst(errors)
        return f'{errors[name]:.{digits}f} {self.units[name]}'.strip()


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What `task.yaml` says."""

    robot: str                          # description: a file beside it, or a shipped name
    errors: Mapping[str, str]           # what a goal is judged by: name -> unit
    tolerances: Mapping[str, Mapping[str, float]]   # name -> limits of errors; the first is the
    #                                     task's own, 'demo' that of the live demo
    goal_chain: tuple[float, float] = (2.0, 10.0)   # distance of neighbouring demo goals, as
    #                                     multiples of the task's own tolerance
    own_starts: bool = False            # each demo goal has a start of its own: `goal_offset`
    #                                     steps before it in the same episode, not the goal before.
    #                                     Where objects are moved, near is not in reach
    needs: str = ''                     # a Python package, no dependency of ours, that it is
    #                                     simulated with; where it is missing, its tests skip
    acting: str = 'random'              # who acts in its data unless told otherwise: one of its
    #                                     policies, or several with shares, see `Mixture`
    recipe: str = 'nano'                # its model is trained with: a recipe of config/train, and
    #                                     options of `lewm train` that it needs besides
    camera: str = ''                    # in the scene
    image_sizes: tuple[int, ...] = (64,)   # that its data is recorded at, the usual one first [px]
    grids: tuple[Mapping[str, tuple[float, float]], ...] = ()   # over which `lewm analyse` sets
    #                                     states: two quantities, each with its lowest and highest
    supersampling: int = 0              # pictures are drawn this much larger and averaged down;
    #                                     0: up to 4 times, 1: as other simulators draw
    goal_offset: int = 25               # evaluation: control steps from start to goal
    budget: int = 50                    # and control steps allowed
    demo_least: float = 0.9             # share of its goals that the live demo has to reach
    bundle: str = ''                    # the model that is shown; '': <name of the task>-nano

    def __post_init__(self) -> None:
        for name in ('robot', 'needs', 'camera', 'bundle', 'acting', 'recipe'):
            self._require(name, isinstance(getattr(self, name), str), 'a text')
        for name, allowed in (
                ('robot', 'a file beside task.yaml or a name'),
                ('acting', 'a policy, or several with shares such as expert:0.5,random:0.5'),
                ('recipe', 'a recipe, and options of `lewm train` if it needs any')):
            self._require(name, bool(getattr(self, name).strip()), allowed)
        self._require('own_starts', isinstance(self.own_starts, bool), 'true or false')
        for name in ('goal_offset', 'budget'):
            value = getattr(self, name)
            self._require(name, type(value) is int and value >= 1, 'a whole number from 1 on')
        self._require('demo_least', _is_number(self.demo_least) and 0 <= self.demo_least <= 1,
                      'a share in [0, 1]')
        self._require('supersampling', type(self.supersampling) is int
                      and 0 <= self.supersampling <= 8, 'a whole number in [0, 8]')
        sizes = self.image_sizes
        self._require('image_sizes', isinstance(sizes, (list, tuple)) and len(sizes) > 0 and all(
            type(size) is int and size >= 8 for size in sizes), 'a list of sizes from 8 px on')
        chain = self.goal_chain
        self._require('goal_chain', isinstance(chain, (list, tuple)) and len(chain) == 2 and all(
            map(_is_number, chain)) and 0 < chain[0] < chain[1], 'two numbers, 0 < near < far')
        self._require('errors', isinstance(self.errors, Mapping) and len(self.errors) > 0 and all(
            isinstance(text, str) for pair in self.errors.items() for text in pair),
            'a mapping of names to units, such as {block: m}')
        self._require('tolerances', isinstance(self.tolerances, Mapping)
                      and len(self.tolerances) > 0 and all(
                          isinstance(limits, Mapping) and limits and set(limits) <= set(
                              self.errors) and all(_is_number(limit) and limit > 0
                                                   for limit in limits.values())
                          for limits in self.tolerances.values()),
                      f'a mapping of names to limits above 0 of {", ".join(self.errors)}')
        self._require('grids', isinstance(self.grids, (list, tuple)) and all(
            isinstance(grid, Mapping) and len(grid) == 2 and all(map(_is_range, grid.values()))
            for grid in self.grids), 'a list of two quantities each with the lowest and highest '
            'value, such as [{x: [-1, 1], y: [0, 2]}]')
        for name in ('image_sizes', 'goal_chain', 'grids'):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def from_yaml(cls, path: Path) -> TaskFacts:
        """Read `task.yaml`.

        Raises:
            ConfigError: The message names the file, the key and what is allowed.
        """
        return load_described(cls, path, 'a task')

    def tolerance(self, name: str = '') -> Tolerance:
        """Return a tolerance by name; '': the task's own.

        Raises:
            ConfigError: If there is none of that name.
        """
        name = name or next(iter(self.tolerances))
        if name not in self.tolerances:
            raise ConfigError(f'there is no tolerance {name!r}; task.yaml has '
                              f'{", ".join(self.tolerances)}')
        return Tolerance(name, dict(self.tolerances[name]), dict(self.errors))

    def all_tolerances(self) -> tuple[Tolerance, ...]:
        """Return all tolerances, the task's own first."""
        return tuple(map(self.tolerance, self.tolerances))

    def demo_tolerance(self) -> Tolerance:
        """Return what the live demo judges by: 'demo' if there is one, else the task's own."""
        return self.tolerance('demo' if 'demo' in self.tolerances else '')

    def _require(self, name: str, fits: bool, allowed: str) -> None:
        if not fits:
            raise ConfigError(f'{name} must be {allowed}, got {getattr(self, name)!r}')


def _is_range(value: Any) -> bool:
    return (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
            and value[0] < value[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
