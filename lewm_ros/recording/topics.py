"""Which topics an episode has, and how to read each so that nothing of its publishers is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lewm_model.errors import BagError, ConfigError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.recording.bag_writer import RecordedTopic
from lewm_ros.recording.message_definitions import message_definition
from lewm_ros.wire.qos import offered_qos
from lewm_ros.wire.robot_interface import EXECUTED_TOPIC
from rclpy.qos import QoSProfile
from rclpy.topic_endpoint_info import TopicEndpointInfo

EPISODE_TOPIC, EPISODE_TYPE = 'episode_info', 'lewm_ros/msg/EpisodeInfo'
# Beside those of the robot. What says how a command came about costs little and explains much.
_ALWAYS = ('goal', 'action_chunk', 'plan_status', 'controller_state', 'guard_state',
           'speed_scale', 'scene_reset', 'truth/state', 'robot_description', '/tf', '/tf_static',
           '/clock')
_LARGE = ('Image', 'CompressedImage', 'PointCloud2')


def wanted_topics(robot: RobotDescription, extra: str) -> list[str]:
    """Return the names to record, without repetition; `extra` are more, separated by commas.

    Raises:
        ConfigError: If a name in `extra` is none.
    """
    more = [name.strip() for name in extra.split(',') if name.strip()]
    for name in more:
        if not name.strip('/').replace('/', '').replace('_', '').isalnum():
            raise ConfigError(f'extra_topics are topic names separated by commas, got {name!r}')
    names = [*required_topics(robot), *(camera.info_topic for camera in robot.all_cameras),
             *(command.topic for command in robot.command_topics),
             robot.executed_topic or EXECUTED_TOPIC, *_ALWAYS, *more]
    return [name for name in dict.fromkeys(names) if name and name.strip('/') != EPISODE_TOPIC]


def required_topics(robot: RobotDescription) -> list[str]:
    """Return the topics without which there is nothing to learn from."""
    return [*(camera.topic for camera in robot.all_cameras), robot.joint_state_topic,
            *robot.action_topics]


@dataclass(frozen=True)
class Depths:
    """How many messages may wait for the executor; at least a quarter of a second's."""

    small: int = 1000    # of joints, commands, clocks
    large: int = 60      # of images and point clouds


def reader_qos(publishers: Sequence[TopicEndpointInfo], kind: str, depths: Depths) -> QoSProfile:
    """Return the profile that loses nothing of these publishers."""
    return offered_qos(publishers,
                       depths.large if kind.rpartition('/')[2] in _LARGE else depths.small)


def recorded_topic(name: str, publishers: Sequence[TopicEndpointInfo]) -> RecordedTopic:
    """Return what the bag says about a topic with these publishers.

    Raises:
        BagError: If they publish several types, or the type is not installed here.
    """
    kinds = sorted({info.topic_type for info in publishers})
    if len(kinds) != 1:
        raise BagError(f'{name} is published with several types: {", ".join(kinds)}; it is not '
                       f'recorded, stop all but one of its publishers')
    encoding, text = message_definition(kinds[0])
    return RecordedTopic(
        name=name, type=kinds[0], encoding=encoding, definition=text,
        type_hash=str(publishers[0].topic_type_hash),
        qos=tuple(qos_node(info.qos_profile) for info in publishers))


def qos_node(qos: QoSProfile) -> dict[str, Any]:
    """Return a profile as metadata.yaml has it."""
    return {'history': qos.history.name.lower(), 'depth': qos.depth,
            'reliability': qos.reliability.name.lower(), 'durability': qos.durability.name.lower(),
            'deadline': _duration(qos.deadline), 'lifespan': _duration(qos.lifespan),
            'liveliness': qos.liveliness.name.lower(),
            'liveliness_lease_duration': _duration(qos.liveliness_lease_duration),
            'avoid_ros_namespace_conventions': qos.avoid_ros_namespace_conventions}


def _duration(duration: Any) -> dict[str, int]:
    return {'sec': duration.nanoseconds // 10**9, 'nsec': duration.nanoseconds % 10**9}
