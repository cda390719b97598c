"""What a robot is to LeWM: topics, joints, limits and rate, from `config/robots/*.yaml`.

Shared by ingest, the simulator and the nodes, so it knows neither rclpy nor torch. Turning an
action into a command message is `lewm_ros.robot_interface`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lewm_model import resources
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError
import numpy as np

INTERFACES = ('joint_position', 'joint_velocity', 'joint_effort')  # see msg/ActionChunk.msg


@dataclass(frozen=True, eq=False)
class RobotDescription:
    """One robot; every per-joint value follows the order of `joint_names`."""

    robot: str                     # name, matches the file and the bundles trained for it
    control_dt_s: float            # one action per control step [s]
    image_topic: str               # sensor_msgs/Image or sensor_msgs/CompressedImage
    camera_info_topic: str
    joint_state_topic: str         # sensor_msgs/JointState
    command_topic: str             # where the robot listens
    command_type: str              # message type of `command_topic`
    executed_topic: str            # lewm_ros/ExecutedCommand
    interface: str                 # one of INTERFACES, decides the unit of an action
    joint_names: tuple[str, ...]   # A names, the order of the action vector
    min_command: np.ndarray        # float64 (A,), robot units
    max_command: np.ndarray        # float64 (A,), robot units
    max_rate: np.ndarray           # float64 (A,), slew limit while tracking [unit/s]
    stop_rate: np.ndarray          # float64 (A,), slew limit of an emergency ramp [unit/s]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == 'str' and not (isinstance(value, str) and value):
                raise self._error(field.name, 'a text that is not empty', value)
        if not isinstance(self.control_dt_s, (int, float)) or not 0 < self.control_dt_s < 10:
            raise self._error('control_dt_s', 'a number of seconds in (0, 10)', self.control_dt_s)
        if self.interface not in INTERFACES:
            raise self._error('interface', f'one of {", ".join(INTERFACES)}', self.interface)
        self._set('joint_names', self._names())
        for name in ('min_command', 'max_command', 'max_rate', 'stop_rate'):
            self._set(name, self._per_joint(name))
        if not (self.min_command < self.max_command).all():
            raise self._error('min_command', f'below max_command={self.max_command.tolist()} '
                              'for every joint', self.min_command.tolist())
        for name in ('max_rate', 'stop_rate'):
            if not (getattr(self, name) > 0).all():
                raise self._error(name, 'positive for every joint', getattr(self, name).tolist())

    @classmethod
    def from_yaml(cls, path_or_name: str | Path) -> RobotDescription:
        """Read a robot by file, or by the name of one that ships, such as 'sim_reacher'.

        Raises:
            ConfigError: The message names the file, the key and what is allowed.
        """
        path = resources.find_named('config/robots', str(path_or_name), '.yaml')
        values = load_yaml(path)
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(map(str, values)) - set(known))
        missing = [name for name in known if name not in values]
        if unknown or missing:
            raise ConfigError(f'{path}: unknown keys: {", ".join(unknown) or "none"}; missing '
                              f'keys: {", ".join(missing) or "none"}; a robot has '
                              f'{", ".join(known)}')
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error

    @property
    def action_dim(self) -> int:
        """A, the number of commanded joints."""
        return len(self.joint_names)

    @property
    def control_dt_ns(self) -> int:
        """The control step in integer nanoseconds, for stamps."""
        return round(self.control_dt_s * 1e9)

    def _names(self) -> tuple[str, ...]:
        names = self.joint_names
        if not isinstance(names, (list, tuple)) or not names or len(set(map(str, names))) != len(
                names) or not all(isinstance(name, str) and name for name in names):
            raise self._error('joint_names', 'a list of different names, at least one', names)
        return tuple(names)

    def _per_joint(self, name: str) -> np.ndarray:
        value = getattr(self, name)
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (len(self.joint_names),) or not np.isfinite(array).all():
            raise self._error(name, f'{len(self.joint_names)} finite numbers, one for each of '
                              f'{", ".join(self.joint_names)}', value)
        array.flags.writeable = False
        return array

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _error(self, name: str, allowed: str, value: Any) -> ConfigError:
        return ConfigError(f'robot {self.robot!r}: {name} must be {allowed}, got {value!r}')
