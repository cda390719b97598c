"""A recording as a robot with a compressed camera makes it, of any length, for measurements."""

from __future__ import annotations

from pathlib import Path

import cv2
from lewm_model.bags.interfaces import default_typestore
from lewm_model.robots.robot import RobotDescription
import numpy as np

FRAME_RATE_HZ = 30
_START_NS = 1_700_000_000_000_000_000
_PICTURES = 30          # different ones, encoded once and repeated
_JOINTS = ('base', 'shoulder', 'elbow', 'wrist_1', 'wrist_2', 'wrist_3')
_JOINT_VELOCITY = 2     # ExecutedCommand.interface


def camera_robot() -> RobotDescription:
    """Return the robot of these recordings: six joints, control steps at the camera's rate."""
    limit = [3.0] * len(_JOINTS)
    return RobotDescription(
        robot='camera_bag', control_dt_s=1 / FRAME_RATE_HZ, image_topic='image/compressed',
        camera_info_topic='camera_info', joint_state_topic='joint_states',
        command_topic='commands', command_type='std_msgs/msg/Float64MultiArray',
        executed_topic='executed_command', interface='joint_velocity', joint_names=_JOINTS,
        min_command=[-3.0] * len(_JOINTS), max_command=limit, max_rate=limit, stop_rate=limit)


def pictures(width: int = 640, height: int = 480, quality: int = 90) -> list[bytes]:
    """Return JPEG files with the detail of a cluttered desk, a few tens of kilobytes each."""
    rng = np.random.default_rng(0)
    scene = np.zeros((height + 64, width + 64, 3), dtype=np.float32)
    for scale in (4, 16, 64):    # coarse to fine, as surfaces, objects and texture
        noise = rng.normal(size=(3 * scale, 4 * scale, 3))
        scene += cv2.resize(noise.astype(np.float32), scene.shape[1::-1],
                            interpolation=cv2.INTER_LINEAR) * 60 / scale ** 0.5
    scene += rng.normal(size=scene.shape) * 3    # of the sensor
    files = []
    for index in range(_PICTURES):
        view = scene[index:index + height, 2 * index:2 * index + width] + 128
        _, data = cv2.imencode('.jpg', np.clip(view, 0, 255).astype(np.uint8),
                               [cv2.IMWRITE_JPEG_QUALITY, quality])
        files.append(data.tobytes())
    return files


def write_camera_bag(path: Path, frames: int, *, joint_rate_hz: int = 100, width: int = 640,
                     height: int = 480) -> Path:
    """Write a bag of `frames` JPEG frames at 30 Hz, joint states, and a command per frame.

    The bag is MCAP without compression, the default of `ros2 bag record`.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = default_typestore()
    types, files = store.types, pictures(width, height)
    time_type, header_type = types['builtin_interfaces/msg/Time'], types['std_msgs/msg/Header']

    def header(stamp_ns: int) -> object:
        return header_type(stamp=time_type(sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9),
                           frame_id='')

    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image, joint, executed = (
            (writer.add_connection(topic, kind, typestore=store), kind) for topic, kind in (
                ('/image/compressed', 'sensor_msgs/msg/CompressedImage'),
                ('/joint_states', 'sensor_msgs/msg/JointState'),
                ('/executed_command', 'lewm_ros/msg/ExecutedCommand')))

        def write(connection: tuple, stamp_ns: int, **fields: object) -> None:
            message = types[connection[1]](header=header(stamp_ns), **fields)
            writer.write(connection[0], stamp_ns, store.serialize_cdr(message, connection[1]))

        zeros, states = np.zeros(len(_JOINTS)), 0
        for index in range(frames):
            stamp_ns = _START_NS + round(index * 1e9 / FRAME_RATE_HZ)
            while (state_ns := _START_NS + round(states * 1e9 / joint_rate_hz)) <= stamp_ns:
                angles = np.sin(states / joint_rate_hz + np.arange(len(_JOINTS)))
                write(joint, state_ns, name=list(_JOINTS), position=angles, velocity=zeros,
                      effort=zeros)
                states += 1
            data = np.frombuffer(files[index % len(files)], dtype=np.uint8)
            write(image, stamp_ns, format='rgb8; jpeg compressed bgr8', data=data)
            write(executed, stamp_ns, session=1, epoch=0, chunk_seq=0, step=0,
                  interface=_JOINT_VELOCITY, names=list(_JOINTS), requested=zeros,
                  executed=zeros, clipped=False, slewed=False, overridden=False, state=2,
                  chunk_age_s=0.0, speed_scale=1.0)
    return path
