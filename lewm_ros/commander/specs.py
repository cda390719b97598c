"""What people hand to `Commander.reach`, as goal specs: one thing, one way to say it each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import difflib
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from lewm_model.errors import ConfigError, ImageError
from lewm_model.images.decode import read_image
from lewm_ros.msg import GoalSpec
from lewm_ros.wire import giving
import numpy as np

_KINDS = ('a picture (numpy, uint8, H x W x 3), a picture file of this machine, quantities '
          '({name: value}), a PoseStamped, a GoalSpec, or a list of these')


def spec_of(goal: Any) -> GoalSpec:
    """Return the spec of one thing.

    Raises:
        LewmError: If it is nothing that can be a goal; says what can.
    """
    if isinstance(goal, GoalSpec):
        return goal
    if isinstance(goal, np.ndarray):
        return giving.picture(goal)
    if isinstance(goal, (str, Path)):
        return giving.picture(_read(Path(goal)))
    if isinstance(goal, Mapping):
        return giving.quantities(list(goal), list(goal.values()))
    if isinstance(goal, PoseStamped):
        return giving.stamped(goal)
    raise ConfigError(f'a goal is {_KINDS}; got {type(goal).__name__}')


def specs_of(goal: Any, *, file: str = '', entry: str = '', pixel: Sequence[float] | None = None,
             pose: Sequence[float] | None = None, frame: str = '', capture: bool = False,
             numbers: Mapping[str, float] | None = None) -> list[GoalSpec]:
    """Return the specs of what was given in exactly one of the ways, see `Commander.reach`.

    Raises:
        LewmError: If it was given in no way or in two, or cannot be a goal.
    """
    numbers = numbers or {}
    given = {'a goal': goal is not None, 'file': bool(file), 'entry': bool(entry),
             'pixel': pixel is not None, 'pose': pose is not None, 'capture': capture,
             'quantities by keyword': bool(numbers)}
    ways = [name for name, is_given in given.items() if is_given]
    if len(ways) != 1:
        raise ConfigError(f'reach takes one of {", ".join(given)}; got '
                          f'{" and ".join(ways) or "none"}')
    if isinstance(goal, (list, tuple)):
        return [spec_of(one) for one in goal]
    if goal is not None:
        return [spec_of(goal)]
    if numbers:
        return [giving.quantities(list(numbers), list(numbers.values()))]
    if pose is not None:
        return [giving.pose(*_few(pose, 'pose', (2, 3), 'x, y [m] and perhaps yaw [rad]'),
                            frame=frame)]
    if pixel is not None:
        return [giving.pixel(*_few(pixel, 'pixel', (2,), 'u, v in [0, 1]'))]
    if capture:
        return [giving.capture()]
    return [giving.file(file) if file else giving.entry(entry)]


def count(specs: Sequence[GoalSpec], *, only: Sequence[str], goal_id: str = '',
          weights: Sequence[float] | Mapping[str, float],
          tolerances: Sequence[float] | Mapping[str, float], tolerance: float,
          task: str) -> list[GoalSpec]:
    """Say the same of every goal: what counts, and how near is near enough.

    Raises:
        LewmError: If one of them cannot be.
    """
    if isinstance(only, str):
        only = (only,)
    if goal_id and len(specs) > 1:
        raise ConfigError(f'one goal_id, {goal_id!r}, cannot be that of {len(specs)} goals; leave '
                          f'it out')
    if not (only or len(weights) or len(tolerances) or tolerance or task or goal_id):
        return [giving.check(spec) for spec in specs]
    return [giving.check(giving.counted(
        spec, names=only, tolerance=tolerance, goal_id=goal_id, task=task,
        weights=_in_order(weights, only or giving.names_of(spec), 'weights'),
        tolerances=_in_order(tolerances, only or giving.names_of(spec), 'tolerances')))
        for spec in specs]


def refuse_options(numbers: Mapping[str, Any], options: Sequence[str]) -> None:
    """Refuse a keyword that is nearly an option, or no number: it is no quantity.

    Raises:
        ConfigError: Names the option that was meant.
    """
    for name, value in numbers.items():
        near = ([option for option in options if option.startswith(f'{name}_')]
                or difflib.get_close_matches(name, options, 1, 0.85))
        if near:
            raise ConfigError(f'reach has no option {name!r}, did you mean {near[0]}? A quantity '
                              f'of that name is given as {{{name!r}: value}}')
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise ConfigError(f'quantity {name!r} must be a number, got {value!r}; the options of '
                              f'reach are {", ".join(options)}')


def _in_order(numbers: Sequence[float] | Mapping[str, float], names: Sequence[str], what: str
              ) -> list[float]:
    if not isinstance(numbers, Mapping):
        return list(numbers)
    if set(numbers) != set(names):
        raise ConfigError(f'{what} are of {", ".join(map(repr, numbers))}; what counts is '
                          f'{", ".join(map(repr, names)) or "not named"}')
    return [numbers[name] for name in names]


def _few(values: Any, name: str, lengths: tuple[int, ...], what: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in lengths:
        raise ConfigError(f'{name} is {what}; got {values!r}')
    return numbers


def _read(path: Path) -> np.ndarray:
    path = path.expanduser()
    if not path.is_file():
        raise ImageError(f'there is no picture {str(path)!r} on this machine; a file below the '
                         f'goal_root of the goal node is file={str(path)!r}, an entry of its '
                         f'goal bank entry={str(path)!r}')
    return read_image(path)
