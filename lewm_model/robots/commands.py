"""Which messages command a robot: by interface, and one or several topics of joints each.

An arm and its gripper often have controllers of their own, each with its topic and type. The short
form of a robot file, `command_topic` and `command_type`, is one topic for all joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lewm_model.errors import ConfigError

FLOAT_ARRAY = 'std_msgs/msg/Float64MultiArray'
JOINT_TRAJECTORY = 'trajectory_msgs/msg/JointTrajectory'
JOINT_STATE = 'sensor_msgs/msg/JointState'
JOINT_COMMAND = 'control_msgs/msg/JointCommand'   # since control_msgs 6.10 (Jazzy: 5.10)
TWIST, TWIST_STAMPED = 'geometry_msgs/msg/Twist', 'geometry_msgs/msg/TwistStamped'

COMMAND_TYPES = {   # by interface, see msg/ActionChunk.msg
    'joint_position': (FLOAT_ARRAY, JOINT_TRAJECTORY, JOINT_STATE, JOINT_COMMAND),
    'joint_velocity': (FLOAT_ARRAY, JOINT_TRAJECTORY, JOINT_STATE, JOINT_COMMAND),
    'joint_effort': (FLOAT_ARRAY, JOINT_STATE, JOINT_COMMAND),
    'twist': (TWIST, TWIST_STAMPED),
}
BESIDE_TWIST = (FLOAT_ARRAY,)   # other speeds of a robot that takes a twist, such as its gripper's
INTERFACES = tuple(COMMAND_TYPES)
SPEEDS = ('joint_velocity', 'twist')   # interfaces whose standing still is zero
HEADERLESS = (FLOAT_ARRAY, TWIST)      # they carry no stamp, so only the receive time is known
TWIST_NAMES = ('linear.x', 'linear.y', 'linear.z', 'angular.x', 'angular.y', 'angular.z')


@dataclass(frozen=True)
class CommandTopic:
    """One topic that some of the robot's joints listen to."""

    topic: str
    type: str                  # one of COMMAND_TYPES of the robot's interface
    joints: tuple[str, ...]    # in the order of its messages; a subset of `joint_names`

    def places(self, joint_names: Sequence[str]) -> list[int]:
        """Return where the topic's joints are in the action vector."""
        return [joint_names.index(name) for name in self.joints]


def read_commands(value: Any, joint_names: Sequence[str]) -> tuple[CommandTopic, ...]:
    """Read the `commands` list of a robot file.

    Raises:
        ConfigError: Says what is wrong with which entry; the caller adds the robot's name.
    """
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f'commands must be a list of {{topic, type, joints}}, got {value!r}')
    found = tuple(_read_entry(place, entry) for place, entry in enumerate(value))
    topics = [one.topic.strip('/') for one in found]
    joints = [name for one in found for name in one.joints]
    for what, names in (('topic', topics), ('joint', joints)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f'commands name the {what} {", ".join(twice)} more than once; every '
                              f'{what} belongs to one entry')
    unknown = [name for name in joints if name not in joint_names]
    missing = [name for name in joint_names if name not in joints]
    if found and (unknown or missing):
        raise ConfigError(f'commands must name every joint of joint_names ('
                          f'{", ".join(joint_names)}) once; without a topic: '
                          f'{", ".join(missing) or "none"}, not in joint_names: '
                          f'{", ".join(unknown) or "none"}')
    return found


def _read_entry(place: int, entry: Any) -> CommandTopic:
    if isinstance(entry, CommandTopic):
        return entry
    keys = [one.name for one in fields(CommandTopic)]
    if not isinstance(entry, Mapping) or set(entry) != set(keys):
        raise ConfigError(f'commands[{place}] must have the keys {", ".join(keys)}, got {entry!r}')
    joints = entry['joints']
    if not isinstance(joints, (list, tuple)) or not joints or not all(
            isinstance(name, str) and name for name in joints):
        raise ConfigError(f'commands[{place}].joints must be a list of names, at least one, got '
                          f'{joints!r}')
    for key in ('topic', 'type'):
        if not isinstance(entry[key], str) or not entry[key].strip('/'):
            raise ConfigError(f'commands[{place}].{key} must be a text that is not empty, got '
                              f'{entry[key]!r}')
    return CommandTopic(entry['topic'], entry['type'], tuple(joints))
