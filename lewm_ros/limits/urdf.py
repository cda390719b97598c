"""Joint limits from a robot description (URDF). Pure: text in, numbers out.

The text comes from a topic, so it is not trusted: its size is bounded, and a document type,
which is where entities are declared, is refused before the parser sees it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
import math
from xml.etree import ElementTree

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import RobotDescription
import numpy as np

MOST_CHARACTERS = 2_000_000   # large arms with all their collision shapes have half a million
_RANGED = ('revolute', 'prismatic')   # the other types have no range


@dataclass(frozen=True)
class JointLimits:
    """What a description says about one joint, [rad] or [m] and seconds; inf: nothing."""

    position_min: float = -math.inf
    position_max: float = math.inf
    velocity: float = math.inf
    acceleration: float = math.inf


def read_joint_limits(text: str, names: Collection[str]) -> dict[str, JointLimits]:
    """Return the limits of the joints called `names` that the description has.

    The soft limits of a `safety_controller` count where they are the tighter ones. A velocity or
    acceleration of zero means that nobody filled it in.

    Raises:
        ConfigError: If the text is no description that can be read, or a limit is no number.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f'robot_description has {len(text)} characters, allowed are '
                          f'{MOST_CHARACTERS}')
    if '<!DOCTYPE' in text or '<!ENTITY' in text:
        raise ConfigError('robot_description has a document type or entities, which are not read; '
                          'publish the plain XML that xacro writes')
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise ConfigError(f'robot_description is no XML: {error}') from error
    if root.tag != 'robot':
        raise ConfigError(f'robot_description must be a <robot>, got <{root.tag}>')
    return {joint.get('name'): _limits_of(joint) for joint in root.findall('joint')
            if joint.get('name') in names}


def tightened(robot: RobotDescription, limits: dict[str, JointLimits]) -> RobotDescription:
    """Return the robot with the tighter of its own limits and those of its description.

    Raises:
        ConfigError: If nothing is left of a range.
    """
    own = [limits.get(name, JointLimits()) for name in robot.joint_names]
    velocity, acceleration = (np.array([getattr(one, name) for one in own])
                              for name in ('velocity', 'acceleration'))
    changes = {
        'position_min': np.maximum(robot.position_min, [one.position_min for one in own]),
        'position_max': np.minimum(robot.position_max, [one.position_max for one in own])}
    if robot.interface == 'joint_velocity':
        changes['min_command'] = np.maximum(robot.min_command, -velocity)
        changes['max_command'] = np.minimum(robot.max_command, velocity)
        changes['max_rate'] = np.minimum(robot.max_rate, acceleration)
    if robot.interface == 'joint_position':
        changes['max_rate'] = np.minimum(robot.max_rate, velocity)
    try:
        return replace(robot, **{name: value.tolist() if 'position' not in name else
                                 [None if math.isinf(one) else one for one in value.tolist()]
                                 for name, value in changes.items()})
    except ConfigError as error:
        raise ConfigError(f'the limits of robot_description and of the robot file do not go '
                          f'together: {error}') from error


def _limits_of(joint: ElementTree.Element) -> JointLimits:
    found = JointLimits()
    limit = joint.find('limit')
    if limit is not None:
        found = JointLimits(velocity=_number(joint, limit, 'velocity') or math.inf,
                            acceleration=_number(joint, limit, 'acceleration') or math.inf)
    if found.velocity < 0 or found.acceleration < 0:
        raise ConfigError(f'robot_description: the velocity and acceleration of joint '
                          f'{joint.get("name")!r} must not be negative, got {found.velocity} and '
                          f'{found.acceleration}')
    if joint.get('type') not in _RANGED:
        return found
    low = high = None
    for element, names in (
            (limit, ('lower', 'upper')),
            (joint.find('safety_controller'), ('soft_lower_limit', 'soft_upper_limit'))):
        if element is None:
            continue
        lower, upper = (_number(joint, element, name) for name in names)
        if lower is None and upper is None:
            continue
        lower, upper = lower or 0.0, upper or 0.0   # the default of the format
        low, high = ((lower, upper) if low is None
                     else (max(low, lower), min(high, upper)))
    if low is None:
        return found
    if not low < high:
        raise ConfigError(f'robot_description: joint {joint.get("name")!r} has the range '
                          f'[{low}, {high}]; lower must be below upper')
    return replace(found, position_min=low, position_max=high)


def _number(joint: ElementTree.Element, element: ElementTree.Element, name: str) -> float | None:
    text = element.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f'robot_description: {name} of joint {joint.get("name")!r} must be a '
                          f'finite number, got {text!r}')
    return value
