"""One recording as the streams LeWM needs: frame stamps, joint states, executed commands.

Header stamps throughout: receive times hold network and disk delays. Frames stay in the bag
until `read_frames` decodes the wanted ones, so memory does not grow with the camera's rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lewm_model.data.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError, ImageError
from lewm_model.images import decode_compressed, to_rgb
from lewm_model.robot import RobotDescription
import numpy as np

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
JOINT_STATE_TYPE = 'sensor_msgs/msg/JointState'
EXECUTED_TYPE = 'lewm_ros/msg/ExecutedCommand'
EPISODE_TYPE = 'lewm_ros/msg/EpisodeInfo'
EPISODE_TOPIC = 'episode_info'
RESET_TYPE, RESET_TOPIC = 'std_msgs/msg/Header', 'scene_reset'   # the simulator teleported
# Constants of EpisodeInfo.msg and ActionChunk.msg; a bag may be older than our files, so by value.
PHASES = ('IDLE', 'RECORDING', 'PAUSED', 'SUCCESS', 'FAILURE', 'DISCARDED')
_RECORDING, _DISCARDED = PHASES.index('RECORDING'), PHASES.index('DISCARDED')
_INTERFACES = ('velocity_twist', 'joint_position', 'joint_velocity', 'joint_effort')


@dataclass(frozen=True)
class Streams:
    """What a recording holds for one robot; every stream is sorted by stamp."""

    name: str                        # of the bag
    image_topic: str                 # as recorded
    image_type: str
    frame_index: np.ndarray          # int64 (F,), position of each frame on its topic
    frame_stamps_ns: np.ndarray      # int64 (F,)
    joint_stamps_ns: np.ndarray      # int64 (J,)
    positions: np.ndarray            # float64 (J, P), in `joint_names` order
    velocities: np.ndarray           # float64 (J, P), NaN where the robot reports none
    action_stamps_ns: np.ndarray     # int64 (M,), from when on an action was in force
    actions: np.ndarray              # float64 (M, A), executed, robot units
    mark_stamps_ns: np.ndarray       # int64 (E,), where episodes begin or end, first one: ever
    mark_active: np.ndarray          # bool (E,), from there on: recording, not discarded later
    tasks: tuple[str, ...]           # named by the episode marks, sorted


def read_streams(bag: Bag, robot: RobotDescription) -> Streams:
    """Read everything but the pixels.

    Raises:
        BagError: A topic is missing, has another type, or carries another robot's joints.
    """
    image = _find(bag, robot.image_topic, IMAGE_TYPES, 'image_topic', robot)
    joint = _find(bag, robot.joint_state_topic, (JOINT_STATE_TYPE,), 'joint_state_topic', robot)
    executed = _find(bag, robot.executed_topic, (EXECUTED_TYPE,), 'executed_topic', robot)
    marks = {topic.name: topic.type for topic in bag.topics
             if (topic.name.strip('/'), topic.type) in ((EPISODE_TOPIC, EPISODE_TYPE),
                                                        (RESET_TOPIC, RESET_TYPE))}

    frames, joints, actions, events = [], [], [], []
    for topic, _, raw in bag.raw_messages(image[0], joint[0], executed[0], *marks):
        if topic == image[0]:
            frames.append(_stamp(bag, topic, raw))
        elif topic == joint[0]:
            joints.append((_stamp(bag, topic, raw), bag.decode(raw, JOINT_STATE_TYPE)))
        elif topic == executed[0]:
            actions.append((_stamp(bag, topic, raw), bag.decode(raw, EXECUTED_TYPE)))
        elif marks[topic] == EPISODE_TYPE:
            events.append((_stamp(bag, topic, raw), bag.decode(raw, EPISODE_TYPE)))
        else:
            events.append((_stamp(bag, topic, raw), None))
    for name, stamps in ((image[0], frames), (joint[0], [stamp for stamp, _ in joints]),
                         (executed[0], [stamp for stamp, _ in actions])):
        _check_clock(bag, name, stamps)

    order = np.argsort(np.array(frames, dtype=np.int64), kind='stable')
    joint_stamps, positions, velocities = _joint_arrays(bag, joint[0], joints, robot)
    action_stamps, executed_actions = _action_arrays(bag, executed[0], actions, robot)
    mark_stamps, mark_active = _marks(events)
    return Streams(
        name=bag.name, image_topic=image[0], image_type=image[1], frame_index=order,
        frame_stamps_ns=np.array(frames, dtype=np.int64)[order],
        joint_stamps_ns=joint_stamps, positions=positions, velocities=velocities,
        action_stamps_ns=action_stamps, actions=executed_actions,
        mark_stamps_ns=mark_stamps, mark_active=mark_active,
        tasks=tuple(sorted({message.task for _, message in events if message is not None})))


def read_frames(bag: Bag, streams: Streams, wanted: Sequence[int]
                ) -> Iterator[tuple[int, np.ndarray]]:
    """Decode the wanted frames, in recorded order.

    Args:
        bag: The recording that `streams` was read from.
        streams: For topic and type.
        wanted: Positions on the image topic, values of `frame_index`.

    Yields:
        (position, rgb uint8 (H, W, 3)).

    Raises:
        ImageError: Names the bag and the frame that cannot be decoded.
    """
    remaining = set(map(int, wanted))
    for position, (_, _, raw) in enumerate(bag.raw_messages(streams.image_topic)):
        if not remaining:
            return
        if position not in remaining:
            continue
        remaining.remove(position)
        message = bag.decode(raw, streams.image_type)
        try:
            if streams.image_type.endswith('CompressedImage'):
                rgb = decode_compressed(message.data, message.format)
            else:
                rgb = to_rgb(message.encoding, message.height, message.width, message.step,
                             bool(message.is_bigendian), message.data)
        except ImageError as error:
            raise ImageError(f'{bag.path}: frame {position} of {streams.image_topic}: '
                             f'{error}') from error
        yield position, rgb


def _find(bag: Bag, wanted: str, types: tuple[str, ...], key: str,
          robot: RobotDescription) -> tuple[str, str]:
    """Return recorded name and type of the topic the robot calls `wanted`."""
    matches = [topic for topic in bag.topics if topic.name.strip('/') == wanted.strip('/')]
    fix = (f'set {key} in the description of robot {robot.robot!r} (config/robots/*.yaml) to the '
           f'recorded topic, or record it; the bag has: {bag.describe_topics()}')
    if not matches or not any(topic.count for topic in matches):
        raise BagError(f'{bag.path} has no messages on topic {wanted!r} ({key}); {fix}')
    found = sorted({topic.type for topic in matches})
    if len(found) > 1:
        raise BagError(f'{bag.path}: topic {wanted!r} was recorded with several types: '
                       f'{", ".join(found)}; {fix}')
    if found[0] not in types:
        raise BagError(f'{bag.path}: topic {wanted!r} ({key}) has type {found[0]}, expected '
                       f'{" or ".join(types)}; {fix}')
    return matches[0].name, found[0]


def _stamp(bag: Bag, topic: str, raw: bytes) -> int:
    if len(raw) < 12:
        raise BagError(f'{bag.path}: a message on {topic} has only {len(raw)} bytes, the file is '
                       f'damaged; leave it out')
    return header_stamp_ns(raw)


def _check_clock(bag: Bag, topic: str, stamps: list[int]) -> None:
    """Refuse what would silently pair frames with the wrong actions."""
    array = np.array(stamps, dtype=np.int64)
    if len(array) > 1 and not array.any():
        raise BagError(f'{bag.path}: the header stamps on {topic} are all zero; let the driver '
                       f'stamp its messages with the capture time')
    back = np.flatnonzero(np.diff(array) < -1_000_000_000)
    if len(back):
        jump_s = (array[back[0]] - array[back[0] + 1]) / 1e9
        raise BagError(f'{bag.path}: the clock of {topic} jumps back by {jump_s:.1f} s at message '
                       f'{back[0] + 1}; record each run into a bag of its own')


def _marks(events: list) -> tuple[np.ndarray, np.ndarray]:
    """Return stamps of episode borders and whether recording goes on after each.

    A recording without episode marks is one episode from the first to the last frame.
    """
    infos = [message for _, message in events if message is not None]
    discarded = {message.episode_id for message in infos if message.phase == _DISCARDED}
    stamps, active = [np.iinfo(np.int64).min], [not infos]
    for stamp, message in sorted(events, key=lambda event: event[0]):
        stamps.append(stamp)
        active.append(active[-1] if message is None else
                      message.phase == _RECORDING and message.episode_id not in discarded)
    return np.array(stamps, dtype=np.int64), np.array(active, dtype=bool)


def _order(names: Sequence[str], robot: RobotDescription) -> list[int] | None:
    """Return where the robot's joints are in `names`, or None if some are not there."""
    place = {name: index for index, name in enumerate(names)}
    if not all(name in place for name in robot.joint_names):
        return None
    return [place[name] for name in robot.joint_names]


def _joint_arrays(bag: Bag, topic: str, messages: list, robot: RobotDescription
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stamps, positions, velocities = [], [], []
    for stamp, message in messages:  # the order of joints may differ from message to message
        order = _order(message.name, robot)
        if order is None or len(message.position) <= max(order):
            continue  # other publishers (a gripper, a base) share the topic in many systems
        stamps.append(stamp)
        positions.append(message.position[order])
        velocities.append(message.velocity[order] if len(message.velocity) > max(order)
                          else np.full(len(order), np.nan))
    if not stamps:
        raise BagError(f'{bag.path}: no message on {topic} has positions for all of '
                       f'{", ".join(robot.joint_names)}; the first one names '
                       f'{", ".join(messages[0][1].name) or "no joints"}; correct joint_names of '
                       f'robot {robot.robot!r}')
    order = np.argsort(np.array(stamps, dtype=np.int64), kind='stable')
    return (np.array(stamps, dtype=np.int64)[order], np.array(positions, dtype=np.float64)[order],
            np.array(velocities, dtype=np.float64)[order])


def _action_arrays(bag: Bag, topic: str, messages: list, robot: RobotDescription
                   ) -> tuple[np.ndarray, np.ndarray]:
    stamps, actions = [], []
    for stamp, message in messages:
        order = _order(message.names, robot)
        used = (_INTERFACES[message.interface] if message.interface < len(_INTERFACES)
                else f'number {message.interface}')
        if order is None or len(message.executed) != len(message.names):
            raise BagError(f'{bag.path}: a command on {topic} is for '
                           f'{", ".join(message.names) or "no joints"}, robot {robot.robot!r} has '
                           f'{", ".join(robot.joint_names)}; choose the robot that was recorded')
        if used != robot.interface:
            raise BagError(f'{bag.path}: commands on {topic} are {used}, robot {robot.robot!r} '
                           f'takes {robot.interface}; choose the robot that was recorded')
        stamps.append(stamp)
        actions.append(message.executed[order])
    order = np.argsort(np.array(stamps, dtype=np.int64), kind='stable')
    return np.array(stamps, dtype=np.int64)[order], np.array(actions, dtype=np.float64)[order]
