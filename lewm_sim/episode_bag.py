"""Write one simulated episode as a rosbag2, with the topics and types of the running system."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
import json
import math
from pathlib import Path
from typing import Any

from lewm_model.bags.interfaces import default_typestore
from lewm_model.quantities import places, Quantity
from lewm_model.recordings.commands import EXECUTED_INTERFACES
from lewm_model.recordings.streams import EPISODE_TOPIC, EPISODE_TYPE, EXECUTED_TYPE
from lewm_model.recordings.truth import TRUTH_TOPIC, TRUTH_TYPE
from lewm_model.robots.robot import JOINT_STATE, ODOMETRY, RobotDescription
from lewm_sim.world import World
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

_FRAME_ID = 'camera_optical_frame'
_IMAGE_TYPE, _CAMERA_INFO_TYPE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
_CLOCK_TYPE = 'rosgraph_msgs/msg/Clock'
# Late joiners of a replay get the episode's mark, as from the live recorder.
_LATCHED = Qos(history=QosHistory.KEEP_LAST, depth=1, reliability=QosReliability.RELIABLE,
               durability=QosDurability.TRANSIENT_LOCAL, deadline=QosTime(0, 0),
               lifespan=QosTime(0, 0), liveliness=QosLiveliness.AUTOMATIC,
               liveliness_lease_duration=QosTime(0, 0), avoid_ros_namespace_conventions=False)


@cache
def _definition(message_type: str) -> tuple[str, str]:
    store = default_typestore()
    return (store.generate_msgdef(message_type, ros_version=2)[0],
            store.hash_rihs01(message_type))


class EpisodeBag:
    """One bag being written; a context manager that leaves no metadata.yaml behind on failure.

    Args:
        path: The new bag's folder; its name becomes the file's name.
        robot: Topics, names, interface.
        world: The simulated robot, read by `observe`.
        quantities: What the world's truth is.
    """

    def __init__(self, path: Path, robot: RobotDescription, world: World,
                 quantities: Sequence[Quantity]) -> None:
        self._robot = robot
        self._world = world
        self._quantities = tuple(zip(quantities, places(quantities), strict=True))
        self._types = default_typestore().types
        self._serialize = default_typestore().serialize_cdr
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        # Chunks are compressed, not the file, so that the bag stays seekable.
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> EpisodeBag:
        self._writer.open()
        robot = self._robot
        for topic, message_type in (
                ('clock', _CLOCK_TYPE), (EPISODE_TOPIC, EPISODE_TYPE),
                (robot.image_topic, _IMAGE_TYPE), (robot.camera_info_topic, _CAMERA_INFO_TYPE),
                (robot.joint_state_topic, robot.state_type),
                (robot.executed_topic, EXECUTED_TYPE), (TRUTH_TOPIC, TRUTH_TYPE)):
            if not topic:      # a robot without camera info
                continue
            text, digest = _definition(message_type)
            self._connections[topic] = self._writer.add_connection(
                '/' + topic.lstrip('/'), message_type, msgdef=text, rihs01=digest,
                offered_qos_profiles=[_LATCHED] if topic == EPISODE_TOPIC else [])
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)

    def begin(self, stamp_ns: int, *, episode_id: str, index: int, task: str,
              metadata: dict[str, Any]) -> None:
        """Mark the start of the episode."""
        info = self._types[EPISODE_TYPE]
        self._write(EPISODE_TOPIC, stamp_ns, EPISODE_TYPE, info(
            header=self._header(stamp_ns), episode_id=episode_id, index=index,
            phase=info.RECORDING, task=task, goal_id='', operator_id='',
            metadata_json=json.dumps(metadata)))

    def observe(self, stamp_ns: int) -> None:
        """Write what clock, camera and the robot's sensors say now, and the truth."""
        robot, world, types = self._robot, self._world, self._types
        self._write('clock', stamp_ns, _CLOCK_TYPE,
                    types[_CLOCK_TYPE](clock=self._time(stamp_ns)))
        rgb = world.render()
        height, width = rgb.shape[:2]
        self._write(robot.image_topic, stamp_ns, _IMAGE_TYPE, types[_IMAGE_TYPE](
            header=self._header(stamp_ns, _FRAME_ID), height=height, width=width,
            encoding='rgb8', is_bigendian=0, step=width * 3, data=rgb.reshape(-1)))
        if robot.camera_info_topic:
            self._write(robot.camera_info_topic, stamp_ns, _CAMERA_INFO_TYPE,
                        self._camera_info(stamp_ns, height, width))
        state = self._odometry if robot.state_type == ODOMETRY else self._joints
        self._write(robot.joint_state_topic, stamp_ns, robot.state_type, state(stamp_ns))
        truth = world.truth()
        self._write(TRUTH_TOPIC, stamp_ns, TRUTH_TYPE, types[TRUTH_TYPE](
            header=self._header(stamp_ns), state=world.state(),
            truth=[types['lewm_ros/msg/Quantity'](
                name=one.name, kind=one.kind, unit=one.unit, of=one.of, values=truth[where])
                for one, where in self._quantities]))

    def execute(self, stamp_ns: int, command: np.ndarray) -> None:
        """Write the command that is in force from now on."""
        executed = self._types[EXECUTED_TYPE]
        state = self._types['lewm_ros/msg/ControllerState']
        command = np.asarray(command, dtype=np.float64)
        self._write(self._robot.executed_topic, stamp_ns, EXECUTED_TYPE, executed(
            header=self._header(stamp_ns), session=0, epoch=0, chunk_seq=0, step=0,
            interface=EXECUTED_INTERFACES.index(self._robot.interface),
            names=list(self._robot.joint_names), requested=command, executed=command,
            clipped=False, slewed=False, overridden=False, state=state.TRACKING,
            speed_scale=1.0, chunk_age_s=0.0))

    def _write(self, topic: str, stamp_ns: int, message_type: str, message: Any) -> None:
        self._writer.write(self._connections[topic], stamp_ns,
                           self._serialize(message, message_type))

    def _joints(self, stamp_ns: int) -> Any:
        sensed = self._world.sensed()
        return self._types[JOINT_STATE](
            header=self._header(stamp_ns), name=list(self._robot.state_names),
            position=sensed.positions, velocity=sensed.velocities, effort=np.empty(0))

    def _odometry(self, stamp_ns: int) -> Any:
        sensed, types = self._world.sensed(), self._types
        (x, y, yaw), (speed_x, speed_y, turn) = sensed.positions, sensed.velocities
        vector = types['geometry_msgs/msg/Vector3']
        return types[ODOMETRY](
            header=self._header(stamp_ns, 'odom'), child_frame_id='base_link',
            pose=types['geometry_msgs/msg/PoseWithCovariance'](
                pose=types['geometry_msgs/msg/Pose'](
                    position=types['geometry_msgs/msg/Point'](x=x, y=y, z=0.0),
                    orientation=types['geometry_msgs/msg/Quaternion'](
                        x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))),
                covariance=np.zeros(36)),
            twist=types['geometry_msgs/msg/TwistWithCovariance'](
                twist=types['geometry_msgs/msg/Twist'](
                    linear=vector(x=speed_x, y=speed_y, z=0.0),
                    angular=vector(x=0.0, y=0.0, z=turn)),
                covariance=np.zeros(36)))

    def _camera_info(self, stamp_ns: int, height: int, width: int) -> Any:
        focal = 0.5 * height / math.tan(0.5 * self._world.camera_fovy_rad)  # [px]
        cx, cy = 0.5 * width, 0.5 * height
        return self._types[_CAMERA_INFO_TYPE](
            header=self._header(stamp_ns, _FRAME_ID), height=height, width=width,
            distortion_model='plumb_bob', d=np.zeros(5),
            k=np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1.0]), r=np.eye(3).reshape(-1),
            p=np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1.0, 0]),
            binning_x=0, binning_y=0, roi=self._types['sensor_msgs/msg/RegionOfInterest'](
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False))

    def _time(self, stamp_ns: int) -> Any:
        return self._types['builtin_interfaces/msg/Time'](
            sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)

    def _header(self, stamp_ns: int, frame_id: str = '') -> Any:
        return self._types['std_msgs/msg/Header'](stamp=self._time(stamp_ns), frame_id=frame_id)
