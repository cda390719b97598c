"""Write small recordings whose content a test knows, as a robot would have recorded them."""

from __future__ import annotations

from pathlib import Path

from lewm_model.bags.interfaces import default_typestore
from lewm_model.robots.robot import RobotDescription
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

DT_NS = 50_000_000
START_NS = 1_700_000_000_000_000_000   # a wall clock: doubles cannot hold its nanoseconds
RECORDING, DISCARDED = 1, 5


def robot(**changes) -> RobotDescription:
    """Return a two-joint robot; `changes` replace fields."""
    return RobotDescription(**{
        'robot': 'arm', 'control_dt_s': 0.05, 'image_topic': 'image',
        'camera_info_topic': 'camera_info', 'joint_state_topic': 'joint_states',
        'command_topic': 'commands', 'command_type': 'std_msgs/msg/Float64MultiArray',
        'executed_topic': 'executed_command', 'interface': 'joint_velocity',
        'joint_names': ['shoulder', 'wrist'], 'min_command': [-2, -2], 'max_command': [2, 2],
        'max_rate': [40, 40], 'stop_rate': [40, 40], **changes})


class BagFactory:
    """Collects messages and writes them into one bag, in the order they were added."""

    def __init__(self) -> None:
        self.types = default_typestore().types
        self.messages: list[tuple[str, str, int, object]] = []

    def header(self, stamp_ns: int):
        """Build a header."""
        time = self.types['builtin_interfaces/msg/Time'](
            sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9)
        return self.types['std_msgs/msg/Header'](stamp=time, frame_id='')

    def add(self, topic: str, kind: str, stamp_ns: int, **fields) -> None:
        """Add a message with a header."""
        message = self.types[kind](header=self.header(stamp_ns), **fields)
        self.messages.append((topic, kind, stamp_ns, message))

    def image(self, stamp_ns: int, value: int, *, topic: str = '/image', size: int = 8,
              encoding: str = 'rgb8') -> None:
        """Add a frame of one grey value."""
        self.add(topic, 'sensor_msgs/msg/Image', stamp_ns, height=size, width=size,
                 encoding=encoding, is_bigendian=0, step=size * 3,
                 data=np.full(size * size * 3, value, dtype=np.uint8))

    def joints(self, stamp_ns: int, position, velocity=(0.0, 0.0),
               names=('shoulder', 'wrist')) -> None:
        """Add a joint state."""
        self.add('/joint_states', 'sensor_msgs/msg/JointState', stamp_ns, name=list(names),
                 position=np.array(position, float), velocity=np.array(velocity, float),
                 effort=np.empty(0))

    def command(self, stamp_ns: int, executed, names=('shoulder', 'wrist'),
                interface: int = 2) -> None:
        """Add an executed command; what was requested differs, so that a mix-up shows."""
        executed = np.array(executed, float)
        self.add('/executed_command', 'lewm_ros/msg/ExecutedCommand', stamp_ns, session=1, epoch=0,
                 chunk_seq=0, step=0, interface=interface, names=list(names),
                 requested=executed + 100, executed=executed, clipped=False, slewed=False,
                 overridden=False, state=2, speed_scale=1.0,
                 chunk_age_s=0.0)

    def episode(self, stamp_ns: int, episode_id: str, phase: int = RECORDING,
                task: str = 'reach') -> None:
        """Add an episode mark."""
        self.add('/episode_info', 'lewm_ros/msg/EpisodeInfo', stamp_ns, episode_id=episode_id,
                 index=0, phase=phase, task=task, goal_id='', operator_id='',
                 metadata_json='{}')

    def steps(self, count: int, *, first: int = 0, command_delay_ns: int = 0) -> BagFactory:
        """Add `count` regular control steps: at step i frame i, joints (i, -i), action (i, i/2).

        The last frame has no command.
        """
        for index in range(first, first + count):
            stamp_ns = START_NS + index * DT_NS
            self.image(stamp_ns, index % 256)
            self.joints(stamp_ns, (index, -index), (1.0, -1.0))
            if index < first + count - 1:
                self.command(stamp_ns + command_delay_ns, (index, index / 2))
        return self

    def serialized(self) -> list[tuple[str, str, int, bytes]]:
        """Return the messages as (topic, type, receive time [ns], CDR bytes)."""
        store = default_typestore()
        return [(topic, kind, stamp_ns, bytes(store.serialize_cdr(message, kind)))
                for topic, kind, stamp_ns, message in self.messages]

    def write(self, path: Path, *, storage: StoragePlugin = StoragePlugin.MCAP,
              compression: CompressionMode | None = None, version: int = 9) -> Path:
        """Write the bag and return its path; MCAP has compressed chunks if nothing is said."""
        writer = Writer(path, version=version, storage_plugin=storage)
        if compression is None and storage == StoragePlugin.MCAP:
            compression = CompressionMode.STORAGE
        writer.set_compression(compression or CompressionMode.NONE, CompressionFormat.ZSTD)
        store, connections = default_typestore(), {}
        with writer:
            for topic, kind, stamp_ns, message in self.messages:
                if (topic, kind) not in connections:
                    connections[topic, kind] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic, kind], stamp_ns,
                             store.serialize_cdr(message, kind))
        return path
