"""What a robot is to LeWM: topics, joints, limits and rate, from `config/robots/*.yaml`.

Shared by ingest, the simulator and the nodes, so it knows neither rclpy nor torch. Turning an
action into a command message is `lewm_ros.wire.robot_interface`; reading one back from a
recording is `lewm_model.recordings.commands`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lewm_model.base import resources
from lewm_model.config import load_described
from lewm_model.errors import ConfigError
from lewm_model.images.tiles import Crop, parse_crop, WHOLE
from lewm_model.quantities import Quantity
from lewm_model.robots.cameras import (  # names with `as`: also for those who read robots
    Camera,
    COMPRESSED_IMAGE as COMPRESSED_IMAGE,
    IMAGE as IMAGE,
    IMAGE_TYPES as IMAGE_TYPES,
    parse_cameras,
)
from lewm_model.robots.clicks import Clicks, parse_clicks
from lewm_model.robots.commands import (  # noqa: F401 - read from here by everybody
    BESIDE_TWIST,
    COMMAND_TYPES,
    CommandTopic,
    FLOAT_ARRAY,
    HEADERLESS,
    INTERFACES,
    JOINT_COMMAND,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    read_commands,
    SPEEDS,
    TWIST,
    TWIST_NAMES,
    TWIST_STAMPED,
)
from lewm_model.robots.motion_limits import motion_limits
from lewm_model.robots.state_kinds import base_quantities, joint_quantities, read_state_kinds
import numpy as np

ODOMETRY = 'nav_msgs/msg/Odometry'
ODOMETRY_NAMES = ('x', 'y', 'yaw')   # [m], [m], [rad] without jumps at +-pi
STATE_TYPES = (JOINT_STATE, ODOMETRY)
ROLES = ('image', 'state', 'command')
_MAY_BE_EMPTY = ('image_topic', 'camera_info_topic', 'executed_topic', 'image_type',
                 'assume_encoding', 'command_topic', 'command_type')


@dataclass(frozen=True)
class Clocks:
    """Which time of a message counts: 'header' (capture time) or 'receive' (when recorded).

    One choice for a whole topic: two clocks in one stream would pair frames with wrong actions.
    """

    image: str = 'header'
    state: str = 'header'
    command: str = 'header'


@dataclass(frozen=True, eq=False, kw_only=True)
class RobotDescription:
    """One robot; every per-joint value follows the order of `joint_names`."""

    robot: str                     # name, matches the file and the bundles trained for it
    control_dt_s: float            # one action per control step [s]
    image_topic: str = ''          # sensor_msgs/Image or sensor_msgs/CompressedImage; with
    #                                `cameras` that of the first
    camera_info_topic: str = ''    # '' if there is none
    joint_state_topic: str         # of `state_type`
    executed_topic: str            # lewm_ros/ExecutedCommand, the training action;
    #                                '': the training action is what was sent to the robot
    interface: str                 # one of INTERFACES, decides the unit of an action
    joint_names: tuple[str, ...]   # A names, the order of the action vector
    min_command: np.ndarray        # float64 (A,), robot units
    max_command: np.ndarray        # float64 (A,), robot units
    max_rate: np.ndarray           # float64 (A,), slew limit while tracking [unit/s]
    stop_rate: np.ndarray          # float64 (A,), slew limit of an emergency ramp [unit/s]
    command_topic: str = ''        # where the robot listens, if all joints have one topic
    command_type: str = ''         # message type of `command_topic`, see COMMAND_TYPES
    commands: tuple[CommandTopic, ...] = ()   # instead of these two: several topics, each with
    #                                its {topic, type, joints}; see `command_topics`
    image_type: str = ''           # one of IMAGE_TYPES; '': as the topic's suffix says
    crop: Crop = WHOLE             # the part of the picture that the model sees, as shares of it
    cameras: tuple[Camera, ...] = ()   # several, tiled into one square; instead of image_topic,
    #                                camera_info_topic, image_type and crop
    state_type: str = JOINT_STATE  # one of STATE_TYPES
    state_joint_names: tuple[str, ...] = ()   # joints of the state; (): `joint_names`
    state_kinds: tuple[str, ...] = ()   # what each state is, such as angle, position or
    #                                'position mm'; in files also {gripper: position}; (): angles
    clocks: Clocks = field(default_factory=Clocks)   # 'header' or 'receive' for each of ROLES
    assume_encoding: str = ''      # of images that do not say their colours (8UC3), such as bgr8
    command_hold_s: float = 0.5    # without `executed_topic`: how long a sent command is in
    #                                force, the command timeout of the robot's controller [s]
    shared_topics: tuple[str, ...] = ()   # of ROLES: several publishers on its topic are meant
    command_frame: str = 'base_link'      # frame_id of a TwistStamped
    position_min: np.ndarray = ()  # float64 (A,), of joints [rad] or [m], null: none; (): nowhere
    position_max: np.ndarray = ()  # float64 (A,), likewise
    deadband: np.ndarray = ()      # float64 (A,), smaller speeds become zero; (): zeros
    keep_direction: bool | None = None   # see `keeps_direction`
    clicks: Clicks | None = None   # what people mean when they click; None: nothing

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.type == 'str' and not (isinstance(value, str)
                                          and (value or one.name in _MAY_BE_EMPTY)):
                raise self._error(one.name, 'a text' if one.name in _MAY_BE_EMPTY else
                                  'a text that is not empty', value)
        for name, limit in (('control_dt_s', 10), ('command_hold_s', 3600)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or (
                    not 0 < value < limit):
                raise self._error(name, f'a number of seconds in (0, {limit})', value)
        self._set_cameras()
        self._set('joint_names', self._names('joint_names', 1))
        self._set('commands', self._commands())
        self._check_types()
        self._set('state_joint_names', self._names('state_joint_names', 0))
        self._set('shared_topics', self._names('shared_topics', 0))
        self._check_names()
        self._set('state_kinds', self._state_kinds())
        self._set('clocks', self._clocks())
        for name in ('min_command', 'max_command', 'max_rate', 'stop_rate'):
            self._set(name, self._per_joint(name))
        if not (self.min_command < self.max_command).all():
            raise self._error('min_command', f'below max_command={self.max_command.tolist()} '
                              'for every joint', self.min_command.tolist())
        if self.interface in SPEEDS and not (
                (self.min_command <= 0) & (self.max_command >= 0)).all():
            raise self._error('min_command and max_command', 'on both sides of 0 for interface '
                              f'{self.interface}, because a robot must be allowed to stand still',
                              [self.min_command.tolist(), self.max_command.tolist()])
        for name in ('max_rate', 'stop_rate'):
            if not (getattr(self, name) > 0).all():
                raise self._error(name, 'positive for every joint', getattr(self, name).tolist())
        for name, value in motion_limits(self).items():
            self._set(name, value)

    @classmethod
    def from_yaml(cls, path_or_name: str | Path) -> RobotDescription:
        """Read a robot by file, or by the name of one that ships, such as 'sim_reacher'.

        Raises:
            ConfigError: The message names the file, the key and what is allowed.
        """
        path = resources.find_named('config/robots', str(path_or_name), '.yaml')
        return load_described(cls, path, 'a robot')

    @property
    def action_dim(self) -> int:
        """A, the number of commanded joints."""
        return len(self.joint_names)

    @property
    def drawn_frame(self) -> str:
        """The frame_id of what people are shown in space: that of clicks, else world."""
        return self.clicks.frame if self.clicks else 'world'

    @property
    def state_names(self) -> tuple[str, ...]:
        """P names, the order of the measured state; they may differ from `joint_names`."""
        return (ODOMETRY_NAMES if self.state_type == ODOMETRY
                else self.state_joint_names or self.joint_names)

    @property
    def state_quantities(self) -> tuple[Quantity, ...]:
        """What each measured state is; P of them, in the order of `state_names`."""
        if self.state_type == ODOMETRY:
            return base_quantities(ODOMETRY_NAMES)
        return joint_quantities(self.state_names, self.state_kinds)

    @property
    def command_topics(self) -> tuple[CommandTopic, ...]:
        """Every topic that the robot listens to, at least one, whichever form the file has."""
        return self.commands or (
            CommandTopic(self.command_topic, self.command_type, self.joint_names),)

    @property
    def action_topics(self) -> tuple[str, ...]:
        """The topics that training actions are read from."""
        return ((self.executed_topic,) if self.executed_topic
                else tuple(one.topic for one in self.command_topics))

    @property
    def keeps_direction(self) -> bool:
        """Whether a change of a plan that is too fast is slowed down on all axes alike.

        By default of a base: one that turns later than it drives leaves the planned path.
        """
        return (self.interface == 'twist' if self.keep_direction is None
                else self.keep_direction)

    @property
    def control_dt_ns(self) -> int:
        """The control step in integer nanoseconds, for stamps."""
        return round(self.control_dt_s * 1e9)

    def _commands(self) -> tuple[CommandTopic, ...]:
        short = [name for name in ('command_topic', 'command_type') if getattr(self, name)]
        try:
            commands = read_commands(self.commands, self.joint_names)
        except ConfigError as error:
            raise ConfigError(f'robot {self.robot!r}: {error}') from error
        if commands and short:
            raise ConfigError(f'robot {self.robot!r} has commands and {" and ".join(short)}; '
                              f'commands alone say everything, remove the other')
        if not commands and len(short) < 2:
            raise ConfigError(f'robot {self.robot!r} does not say where it takes commands; set '
                              f'command_topic and command_type, or commands: a list of '
                              f'{{topic, type, joints}}')
        return commands

    @property
    def all_cameras(self) -> tuple[Camera, ...]:
        """The cameras in reading order of the square, at least one; the first leads."""
        return self.cameras or (Camera(self.image_topic, self.image_type, self.crop,
                                       self.camera_info_topic),)

    def camera_clock(self, place: int) -> str:
        """Which time of a camera's messages counts, 'header' or 'receive'."""
        return self.all_cameras[place].clock or self.clocks.image

    def _set_cameras(self) -> None:
        try:
            self._set('crop', parse_crop(self.crop))
            self._set('cameras', parse_cameras(self.cameras))
            self._set('clicks', parse_clicks(self.clicks))
        except ConfigError as error:
            raise ConfigError(f'robot {self.robot!r}: {error}') from error
        if not self.cameras:
            if not self.image_topic:
                raise self._error('image_topic', 'a text that is not empty, or there must be '
                                  'cameras', self.image_topic)
            return
        first = self.cameras[0]
        for name, value in (('image_topic', first.topic), ('image_type', first.type),
                            ('crop', first.crop), ('camera_info_topic', first.info_topic)):
            given = getattr(self, name)
            if given and given not in (value, WHOLE):
                raise self._error(name, f'left out, because cameras says {value!r}', given)
            self._set(name, value)

    def _check_types(self) -> None:
        if self.interface not in INTERFACES:
            raise self._error('interface', f'one of {", ".join(INTERFACES)}', self.interface)
        for one in self.command_topics:
            kinds = COMMAND_TYPES[self.interface]
            if self.interface == 'twist' and len(self.commands) > 1:
                kinds += BESIDE_TWIST
            if one.type not in kinds:
                raise self._error('type' if self.commands else 'command_type', 'one of '
                                  f'{", ".join(kinds)} for interface {self.interface}', one.type)
        if self.state_type not in STATE_TYPES:
            raise self._error('state_type', f'one of {", ".join(STATE_TYPES)}', self.state_type)
        if self.image_type and self.image_type not in IMAGE_TYPES:
            raise self._error('image_type', f"'' or one of {', '.join(IMAGE_TYPES)}",
                              self.image_type)

    def _check_names(self) -> None:
        if self.interface == 'twist':
            twist = [name for one in self.command_topics if one.type not in BESIDE_TWIST
                     for name in one.joints]
            if not twist or not set(twist) <= set(TWIST_NAMES):
                raise self._error('joint_names', f'among {", ".join(TWIST_NAMES)} (other speeds, '
                                  'such as that of a gripper, on a topic of their own, of '
                                  f'{" or ".join(BESIDE_TWIST)}) for interface twist',
                                  list(self.joint_names))
            if self.state_type == JOINT_STATE and not self.state_joint_names:
                raise self._error('state_joint_names', 'the joints to read from '
                                  f'{self.joint_state_topic}, because the actions of a twist are '
                                  f'no joints (or set state_type: {ODOMETRY})', [])
        if not set(self.shared_topics) <= set(ROLES):
            raise self._error('shared_topics', f'among {", ".join(ROLES)}',
                              list(self.shared_topics))

    def _state_kinds(self) -> tuple[str, ...]:
        if self.state_kinds and self.state_type == ODOMETRY:
            raise self._error('state_kinds', 'left out, because the pose of a base is '
                              f'{", ".join(ODOMETRY_NAMES)}', self.state_kinds)
        try:
            return read_state_kinds(self.state_kinds, self.state_names)
        except ConfigError as error:
            raise ConfigError(f'robot {self.robot!r}: {error}') from error

    def _clocks(self) -> Clocks:
        value = self.clocks
        if isinstance(value, Mapping):
            if not set(value) <= set(ROLES):
                raise self._error('clocks', f'a choice for {", ".join(ROLES)} only', dict(value))
            value = Clocks(**value)
        if not isinstance(value, Clocks) or not all(
                getattr(value, role) in ('header', 'receive') for role in ROLES):
            raise self._error('clocks', "'header' or 'receive' for each of image, state, command",
                              self.clocks)
        for one in () if self.executed_topic else self.command_topics:
            if one.type in HEADERLESS and value.command != 'receive':
                raise self._error('clocks', f'{{command: receive}}, because {one.type} has no '
                                  'header and executed_topic is empty', self.clocks)
        return value

    def _names(self, key: str, least: int) -> tuple[str, ...]:
        names = getattr(self, key)
        if not isinstance(names, (list, tuple)) or len(names) < least or len(
                set(map(str, names))) != len(names) or not all(
                isinstance(name, str) and name for name in names):
            raise self._error(key, 'a list of different names' + ', at least one' * least, names)
        return tuple(names)

    def _per_joint(self, name: str) -> np.ndarray:
        value = getattr(self, name)
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
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
