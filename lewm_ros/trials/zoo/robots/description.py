"""What a fake robot is: body, camera, state topics, controllers, clock, as plain data. No rclpy.

The table of all of them is `table`; the driver is built from one entry by `driver`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import FLOAT_ARRAY, TWIST

BODIES = ('joints', 'base', 'drone', 'mujoco')
POSES = {'base': ('x', 'y', 'yaw'), 'drone': ('x', 'y', 'z', 'yaw')}   # others: the axes
SILENCE = ('repeat', 'zero', 'hold')


@dataclass(frozen=True, kw_only=True)
class Body:
    """What moves; numbers per axis, in [rad], [m] and their rates."""

    kind: str                          # one of BODIES
    axes: tuple[str, ...]              # what a command has a value for
    start: tuple[float, ...]           # pose at the start: of the axes, or of POSES
    low: tuple[float, ...]             # hard stops of the pose
    high: tuple[float, ...]
    max_speed: tuple[float, ...]       # of the axes
    max_acceleration: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in BODIES:
            raise ConfigError(f'a body is one of {", ".join(BODIES)}, got {self.kind!r}')
        for name, count in (('start', len(self.pose)), ('low', len(self.pose)),
                            ('high', len(self.pose)), ('max_speed', len(self.axes)),
                            ('max_acceleration', len(self.axes))):
            if len(getattr(self, name)) != count:
                raise ConfigError(f'{name} of a body with axes {self.axes} needs {count} numbers, '
                                  f'got {getattr(self, name)}')

    @property
    def pose(self) -> tuple[str, ...]:
        """Names of what the pose consists of."""
        return POSES.get(self.kind, self.axes)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Habits of a camera driver."""

    topic: str = 'camera/image_raw'
    rate_hz: float = 30.0
    width: int = 640
    height: int = 480
    jpeg: bool = False          # CompressedImage instead of Image
    reliable: bool = True
    stamped: bool = True        # False: the header stamp stays zero
    delay_s: float = 0.01       # from the capture to the message
    jitter_s: float = 0.004     # at most this much more delay
    lost: float = 0.0           # share of the frames that never arrive


@dataclass(frozen=True, kw_only=True)
class StateTopic:
    """Habits of what reports the state."""

    topic: str = 'joint_states'
    names: tuple[str, ...] = ()   # joints in the order of the message; (): odometry
    extra: tuple[str, ...] = ()   # joints in the message that nobody commands (wheels, casters)
    rate_hz: float = 50.0
    reliable: bool = True
    jitter_s: float = 0.002


@dataclass(frozen=True, kw_only=True)
class CommandTopic:
    """Habits of a controller."""

    topic: str
    type: str                     # ROS type of the command
    interface: str                # joint_position, joint_velocity or twist
    axes: tuple[str, ...]         # in the order of the message
    on_silence: str = 'hold'      # one of SILENCE: repeat the last speed for ever, zero, hold
    timeout_s: float = 0.5        # of 'zero'
    rate_hz: float = 10.0         # at which people command it while they record
    reliable: bool = True

    def __post_init__(self) -> None:
        if self.on_silence not in SILENCE:
            raise ConfigError(f'on_silence must be one of {", ".join(SILENCE)}, '
                              f'got {self.on_silence!r}')

    @property
    def stamped(self) -> bool:
        """Whether the message has a header."""
        return self.type not in (FLOAT_ARRAY, TWIST)


@dataclass(frozen=True, kw_only=True)
class ZooRobot:
    """One robot of the zoo and how it is taken on the walk."""

    name: str                     # also of its file in config/robots/zoo
    number: int
    about: str                    # one line, for the table
    body: Body
    cameras: tuple[Camera, ...]
    states: tuple[StateTopic, ...]
    controllers: tuple[CommandTopic, ...]
    camera_info_topic: str = ''
    control_dt_s: float = 0.1
    record_s: float = 16.0        # how long people drive it for the recording
    real_time_factor: float = 0.0  # > 0: the robot is simulated and publishes /clock
    still: tuple[str, ...] = ()   # axes that nobody moves while recording
    second_source: bool = False   # somebody else publishes its joints, too
    namespaces: tuple[str, ...] = ('',)
    edits: dict[str, Any] = field(default_factory=dict)   # what a person changes in the file
    #                               that `lewm inspect --robot-out` wrote, as docs/robots.md says
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)   # by node

    @property
    def ours(self) -> bool:
        """Whether it is the robot of this package, with its own simulator and exploration."""
        return self.number == 1

    @property
    def interface(self) -> str:
        """Interface of the action vector."""
        return self.controllers[0].interface

    @property
    def axes(self) -> tuple[str, ...]:
        """All commanded axes in the order of the command topics."""
        return tuple(axis for one in self.controllers for axis in one.axes)

    @property
    def pace(self) -> float:
        """Its seconds per real second."""
        return self.real_time_factor or 1.0

    @property
    def simulated(self) -> bool:
        """Whether its time is that of /clock."""
        return self.real_time_factor > 0
