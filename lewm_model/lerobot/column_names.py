"""Columns of a LeRobot data set and the joints of a robot: matched by name, never by place.

LeRobot writes 'shoulder_pan.pos' for what a driver calls 'shoulder_pan', so the part after a dot
does not count. A set that names none of its numbers leaves nothing but the order.
"""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import DatasetError
from lewm_model.lerobot.meta import Feature
from lewm_model.quantities import Quantity
from lewm_model.robots.robot import RobotDescription


def action_order(action: Feature, robot: RobotDescription) -> tuple[int, ...]:
    """Return which number of the column each action of the robot is.

    Raises:
        DatasetError: If the column has other actions than the robot.
    """
    if action.is_named:
        places = _places(action.names, robot.joint_names)
        if places is not None:
            return places
    elif action.width == robot.action_dim:
        return tuple(range(action.width))
    raise DatasetError(
        f'robot {robot.robot!r} has {robot.action_dim} actions ({", ".join(robot.joint_names)}), '
        f'the column {action.key} has {action.width} ({", ".join(action.names)}); columns are '
        f'taken by name and never renamed: choose the robot it was recorded with, or let '
        f'joint_names of a copy of the robot file say the names of the data set')


def named_states(state: Feature, robot: RobotDescription | None) -> tuple[Quantity, ...]:
    """Say what each number of a column of states is; a number, where no robot file knows it."""
    known = robot.state_quantities if robot is not None else ()
    if robot is not None and not state.is_named and state.width == len(known):
        return known
    by_name = {one.name: one for one in known}
    found = []
    for name, short in zip(state.names, _short(state.names), strict=True):
        there = by_name.get(name) or by_name.get(short)
        found.append(Quantity(name, there.kind, there.unit, there.of) if there is not None
                     else Quantity(name, 'number'))
    return tuple(found)


def _places(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    for known in (list(names), _short(names)):
        if sorted(known) == sorted(wanted):
            return tuple(known.index(name) for name in wanted)
    return None


def _short(names: Sequence[str]) -> list[str]:
    """Leave out what follows the last dot: which value of the joint it is."""
    return [name.rpartition('.')[0] or name for name in names]
