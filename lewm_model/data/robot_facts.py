"""What a bundle has to know of the robot and a public data set does not say."""

from __future__ import annotations

from dataclasses import replace

from lewm_model.base.rates import same_rate
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import measured_states, STATES
from lewm_model.errors import DatasetError
from lewm_model.quantities import to_json
from lewm_model.robots.robot import RobotDescription
import numpy as np

NEEDED = ('robot', 'control_dt_s', 'action_names', 'action_min', 'action_max')


def attributes_of(robot: RobotDescription) -> dict:
    """Return the attributes by which a data set file describes its robot."""
    names = list(robot.joint_names)
    return {'robot': robot.robot, 'interface': robot.interface,
            'control_dt_s': robot.control_dt_s, 'action_min': robot.min_command,
            'action_max': robot.max_command, 'action_names': names, 'joint_names': names,
            'state_names': list(robot.state_names), STATES: to_json(robot.state_quantities)}


def with_robot(data: EpisodeFile, robot: RobotDescription) -> EpisodeFile:
    """Return the same set with what it does not say about its robot.

    Raises:
        DatasetError: If the set says something else, or has another number of actions.
    """
    said, told = data.attributes, attributes_of(robot)
    if data.action.shape[1] != len(robot.joint_names):
        raise DatasetError(f'{data.path} has {data.action.shape[1]} action dimensions, robot '
                           f'{robot.robot!r} has {len(robot.joint_names)} '
                           f'({", ".join(robot.joint_names)}); choose the robot it was made with')
    for name in NEEDED:
        agree = same_rate if name == 'control_dt_s' else _same
        if name in said and not agree(said[name], told[name]):
            raise DatasetError(f'{data.path} says {name} {said[name]}, robot {robot.robot!r} '
                               f'{told[name]}; choose the robot it was made with, or none')
    if not _describes_states(robot, data):
        told = {name: value for name, value in told.items() if name not in ('state_names', STATES)}
    return replace(data, attributes={**told, **said})


def _describes_states(robot: RobotDescription, data: EpisodeFile) -> bool:
    """Tell whether the set's states are those of the robot, by name or by their number."""
    if STATES in data.attributes:
        return False
    for key in ('state_names', 'joint_names'):
        names = tuple(data.attributes.get(key, ()))
        if names:
            return names == robot.state_names
    return measured_states(data)[1].shape[1] == len(robot.state_names)


def _same(one: object, other: object) -> bool:
    """Compare texts exactly and numbers as stored in single precision."""
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind in 'fiu' and second.dtype.kind in 'fiu':
        return first.shape == second.shape and np.allclose(first, second, rtol=1e-6)
    return np.array_equal(first, second)


def require_robot(data: EpisodeFile) -> EpisodeFile:
    """Return `data` if it says all a bundle has to know.

    Raises:
        DatasetError: If not; before hours of training, not after.
    """
    missing = [name for name in NEEDED if data.attributes.get(name) is None]
    if missing:
        raise DatasetError(f'{data.path} does not say {", ".join(missing)}, which a model has to '
                           f'know to drive a robot (public data sets never do); name the robot '
                           f'it was made with: --robot NAME or FILE.yaml, see config/robots')
    return data
