"""One recording as the streams LeWM needs: frame stamps, measured states, actions.

One clock for each topic, chosen in the robot description: the header's capture time, or the time
of recording for messages without a header. Frames stay in the bag until `pictures` decodes
the wanted ones, so memory does not grow with the camera's rate.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
import struct
from typing import Any

from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError
from lewm_model.recordings.commands import ActionReader, EXECUTED_TYPE
from lewm_model.recordings.episode_marks import (  # also for those who write bags
    EPISODE_TOPIC,
    EPISODE_TYPE,
    read_marks,
    RESET_TOPIC,
    RESET_TYPE,
)
from lewm_model.recordings.states import StateReader
from lewm_model.recordings.stream_checks import (
    check_overlap,
    check_publishers,
    check_stamped,
    describe_streams,
    find_topic,
)
from lewm_model.recordings.timeline import clock_runs, zero_among_others
from lewm_model.robot import HEADERLESS, IMAGE_TYPES, JOINT_STATE, RobotDescription
from lewm_model.tiles import Crop, WHOLE
import numpy as np

JOINT_STATE_TYPE = JOINT_STATE


@dataclass(frozen=True)
class CameraFrames:
    """The frames of a further camera, sorted by run and stamp; like those of `Streams`."""

    topic: str
    type: str
    crop: Crop
    index: np.ndarray       # int64 (F,), position of each frame on its topic
    stamps_ns: np.ndarray   # int64 (F,)
    runs: np.ndarray        # int64 (F,), run of each


@dataclass(frozen=True)
class Streams:
    """What a recording holds for one robot; every stream is sorted by run and stamp.

    A run is a stretch in which the clock goes forward (see `timeline`); most bags have one.
    """

    name: str                        # of the bag
    image_topic: str                 # as recorded, of the camera that leads
    image_type: str
    frame_index: np.ndarray          # int64 (F,), position of each frame on its topic
    frame_stamps_ns: np.ndarray      # int64 (F,)
    joint_stamps_ns: np.ndarray      # int64 (J,)
    positions: np.ndarray            # float64 (J, P), in `state_names` order
    velocities: np.ndarray           # float64 (J, P), NaN where the robot reports none
    action_stamps_ns: np.ndarray     # int64 (M,), from when on an action was in force
    actions: np.ndarray              # float64 (M, A), robot units, NaN where not known
    mark_stamps_ns: np.ndarray       # int64 (E,), where episodes begin or end, first one: ever
    mark_active: np.ndarray          # bool (E,), from there on: recording, not discarded later
    tasks: tuple[str, ...]           # named by the episode marks, sorted
    action_until_ns: np.ndarray | None = None   # int64 (M,), and until when at most;
    #                                             None: one control step
    frame_runs: np.ndarray | None = None        # int64 (F,), run of each; None: all of one run
    joint_runs: np.ndarray | None = None        # int64 (J,)
    action_runs: np.ndarray | None = None       # int64 (M,)
    mark_runs: np.ndarray | None = None         # int64 (E,), the first mark of each run: ever
    unstamped: int = 0               # further frames, left out because their stamp is zero
    assume_encoding: str = ''        # of images that do not say their colours
    crop: Crop = WHOLE               # of the pictures of the first camera
    others: tuple[CameraFrames, ...] = ()   # the further cameras
    notes: tuple[str, ...] = ()      # what was not as it should be, with numbers

    def split(self) -> tuple[Streams, ...]:
        """Return one object for each run of the clock, in order."""
        if self.frame_runs is None or not self.frame_runs.any():
            return (self._of(0) if self.frame_runs is not None else self,)
        return tuple(self._of(run) for run in np.unique(self.frame_runs))

    def _of(self, run: int) -> Streams:
        """Keep what belongs to one run."""
        groups = {'frame_runs': ('frame_index', 'frame_stamps_ns'),
                  'joint_runs': ('joint_stamps_ns', 'positions', 'velocities'),
                  'action_runs': ('action_stamps_ns', 'actions', 'action_until_ns'),
                  'mark_runs': ('mark_stamps_ns', 'mark_active')}
        kept = {name: getattr(self, name)[getattr(self, runs) == run]
                for runs, names in groups.items() for name in names}
        others = tuple(replace(other, index=other.index[other.runs == run],
                               stamps_ns=other.stamps_ns[other.runs == run],
                               runs=other.runs[other.runs == run]) for other in self.others)
        return replace(self, **kept, **dict.fromkeys(groups), others=others, unstamped=0)


def read_streams(bag: Bag, robot: RobotDescription) -> Streams:
    """Read everything but the pixels.

    Raises:
        BagError: A topic is missing, has another type, carries another robot's joints or no
            usable stamps.
    """
    action_types = (EXECUTED_TYPE,) if robot.executed_topic else (robot.command_topics[0].type,)
    topics = {
        **{camera_role(place): find_topic(bag, robot, camera.topic, 'image_topic',
                                          (camera.type,) if camera.type else IMAGE_TYPES)
           for place, camera in enumerate(robot.all_cameras)},
        'state': find_topic(bag, robot, robot.joint_state_topic, 'joint_state_topic',
                            (robot.state_type,)),
        'command': find_topic(bag, robot, robot.action_topics[0],
                              'executed_topic' if robot.executed_topic else 'command_topic',
                              action_types)}
    marks = {(topic.name, topic.type) for topic in bag.topics
             if (topic.name.strip('/'), topic.type) in ((EPISODE_TOPIC, EPISODE_TYPE),
                                                        (RESET_TOPIC, RESET_TYPE))}
    states = StateReader(robot)
    actions = ActionReader(robot, topics['command'][1], str(bag.path), topics['command'][0])
    role_of = {topic: role for role, topic in topics.items()}
    seen = {role: array('q') for role in topics}   # position and stamp of each message, in turn
    # who sent a message shows in its frame_id only; joints are told apart by their names
    senders: dict[str, set[bytes]] = {role: set() for role, (_, kind) in topics.items()
                                      if kind not in (*HEADERLESS, JOINT_STATE)}
    clocks = {'state': robot.clocks.state, 'command': robot.clocks.command,
              **{camera_role(place): robot.camera_clock(place)
                 for place in range(len(robot.all_cameras))}}
    events: list[tuple[int, int, object]] = []
    damaged: dict[str, list[BagError]] = {}   # messages that are left out, by topic

    def decode(topic: str, kind: str, raw: bytes) -> Any:
        try:
            return bag.decode(raw, kind)
        except BagError as error:   # one flipped bit must not cost the recording
            damaged.setdefault(topic, []).append(error)
            return None

    for position, (topic, kind, received, raw) in enumerate(
            messages(bag, {*role_of, *marks})):
        role = role_of.get((topic, kind))
        is_image = kind in IMAGE_TYPES
        message = None if is_image else decode(topic, kind, raw)
        if message is None and not is_image:
            continue
        if role is None:
            events.append((position, _stamp(bag, topic, raw),
                           message if kind == EPISODE_TYPE else None))
        elif (is_image or (role == 'state' and states.add(message))
              or (role == 'command' and actions.add(message))):
            seen[role].extend((position, received if clocks[role] == 'receive'
                               else _stamp(bag, topic, raw)))
            if role in senders:
                senders[role].add(frame_id(raw))
    for role, frame_ids in senders.items():
        check_publishers(bag, robot, role, topics[role][0], frame_ids)
    for role, (topic, _) in topics.items():
        if topic in damaged and not seen[role]:
            raise damaged[topic][0]
    streams = _assemble(bag, robot, topics, seen, events, states, actions)
    return replace(streams, notes=streams.notes + tuple(
        f'{topic}: {len(errors)} damaged messages left out' for topic, errors in damaged.items()))


def _assemble(bag: Bag, robot: RobotDescription, topics: dict[str, tuple[str, str]], seen: dict,
              events: list, states: StateReader, actions: ActionReader) -> Streams:
    """Sort all streams by run and stamp."""
    positions, velocities = states.arrays(str(bag.path), topics['state'][0])
    places, stamps, kept = {}, {}, {}
    for role, pairs in seen.items():
        array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        check_stamped(bag, robot, role, topics[role][0], array[:, 1])
        kept[role] = ~zero_among_others(array[:, 1])
        places[role], stamps[role] = array[kept[role]].T
    roles = list(seen)
    runs = dict(zip(roles, clock_runs([places[role] for role in roles],
                                      [stamps[role] for role in roles]), strict=True))
    check_overlap(bag, robot, topics, stamps, runs)
    order = {role: np.lexsort((stamps[role], runs[role])) for role in roles}
    frames, joints = order['image'], order['state']
    index = {role: np.flatnonzero(kept[role]) for role in roles}
    positions = positions[index['state']][joints]
    states.unwrap(positions, runs['state'][joints])
    command_stamps = np.zeros(len(kept['command']), dtype=np.int64)
    command_runs = np.zeros_like(command_stamps)
    command_stamps[kept['command']], command_runs[kept['command']] = (
        stamps['command'], runs['command'])
    starts, ends, values, action_runs = actions.arrays(
        index['command'][order['command']], command_stamps, command_runs)
    mark_stamps, mark_active, mark_runs = read_marks(events, *(
        np.concatenate([table[role] for role in roles]) for table in (places, stamps, runs)))
    return Streams(
        name=bag.name, image_topic=topics['image'][0], image_type=topics['image'][1],
        frame_index=index['image'][frames], frame_stamps_ns=stamps['image'][frames],
        frame_runs=runs['image'][frames],
        joint_stamps_ns=stamps['state'][joints], positions=positions,
        velocities=velocities[index['state']][joints], joint_runs=runs['state'][joints],
        action_stamps_ns=starts, action_until_ns=ends, actions=values, action_runs=action_runs,
        mark_stamps_ns=mark_stamps, mark_active=mark_active, mark_runs=mark_runs,
        tasks=tuple(sorted({message.task for *_, message in events if message is not None})),
        unstamped=int((~kept['image']).sum()), assume_encoding=robot.assume_encoding,
        crop=robot.all_cameras[0].crop,
        others=tuple(CameraFrames(
            *topics[role], robot.all_cameras[place].crop, index[role][order[role]],
            stamps[role][order[role]], runs[role][order[role]])
            for place in range(1, len(robot.all_cameras))
            for role in (camera_role(place),)),
        notes=describe_streams(robot, topics, stamps, runs, kept, states, actions))


def camera_role(place: int) -> str:
    """Name the stream of a camera among the roles of a recording."""
    return 'image' if not place else f'image {place + 1}'


def messages(bag: Bag, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield (topic, type, receive time [ns], CDR bytes) of the wanted (topic, type) pairs."""
    types = dict(wanted)
    for topic, received, raw in bag.raw_messages(
            *(topic for topic in bag.topics if (topic.name, topic.type) in wanted)):
        yield topic, types[topic], received, raw


def frame_id(raw: bytes) -> bytes:
    """Read the frame_id of a message that begins with a std_msgs/Header; b'' if there is none."""
    if len(raw) < 16:
        return b''
    length, = struct.unpack_from('<I' if raw[1] & 1 else '>I', raw, 12)
    return raw[16:16 + length].rstrip(b'\0')


def _stamp(bag: Bag, topic: str, raw: bytes) -> int:
    if len(raw) < 12:
        raise BagError(f'{bag.path}: a message on {topic} has only {len(raw)} bytes, the file is '
                       f'damaged; leave it out')
    return header_stamp_ns(raw)
