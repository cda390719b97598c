"""One recording as the streams LeWM needs: frame stamps, measured states, actions.

One clock for each topic, chosen in the robot description: the header's capture time, or the time
of recording for messages without a header. Frames stay in the bag until `pictures` decodes
the wanted ones, so memory does not grow with the camera's rate.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
import struct
from typing import Any

from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError
from lewm_model.images.tiles import Crop, WHOLE
from lewm_model.recordings.clock_checks import check_receipts
from lewm_model.recordings.commands import ActionReader, EXECUTED_TYPE
from lewm_model.recordings.episode_marks import (  # also for those who write bags
    EPISODE_TOPIC,
    EPISODE_TYPE,
    read_acting,
    read_marks,
    RESET_TOPIC,
    RESET_TYPE,
)
from lewm_model.recordings.merge_commands import merge_commands, MergedCommands
from lewm_model.recordings.simulated_time import CLOCK_TOPIC, CLOCK_TYPE, SimulatedTime
from lewm_model.recordings.states import StateReader
from lewm_model.recordings.stream_checks import (
    check_overlap,
    check_publishers,
    check_stamped,
    describe_streams,
    find_topic,
)
from lewm_model.recordings.timeline import clock_runs, zero_among_others
from lewm_model.recordings.truth import Truth, TRUTH_TOPIC, TRUTH_TYPE, TruthReader
from lewm_model.robots.robot import (
    CommandTopic,
    HEADERLESS,
    IMAGE_TYPES,
    JOINT_STATE,
    RobotDescription,
)
import numpy as np

JOINT_STATE_TYPE = JOINT_STATE
UNSTAMPED = 'header stamp zero among others'   # why frames are left out
AHEAD = 'header stamp later than the receipt'


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
    acting: tuple[str, ...] = ()     # data policies of a simulation, likewise
    action_until_ns: np.ndarray | None = None   # int64 (M,), and until when at most;
    #                                             None: one control step
    frame_runs: np.ndarray | None = None        # int64 (F,), run of each; None: all of one run
    joint_runs: np.ndarray | None = None        # int64 (J,)
    action_runs: np.ndarray | None = None       # int64 (M,)
    mark_runs: np.ndarray | None = None         # int64 (E,), the first mark of each run: ever
    joint_given: np.ndarray | None = None       # bool (J, P), joints that each message names;
    #                                             None: all of them
    left_out: Mapping[str, int] = field(default_factory=dict)   # further frames, by reason
    assume_encoding: str = ''        # of images that do not say their colours
    crop: Crop = WHOLE               # of the pictures of the first camera
    others: tuple[CameraFrames, ...] = ()   # the further cameras
    notes: tuple[str, ...] = ()      # what was not as it should be, with numbers
    truth: Truth | None = None       # of a simulated scene

    def split(self) -> tuple[Streams, ...]:
        """Return one object for each run of the clock, in order."""
        if self.frame_runs is None or not self.frame_runs.any():
            return (self._of(0) if self.frame_runs is not None else self,)
        return tuple(self._of(run) for run in np.unique(self.frame_runs))

    def _of(self, run: int) -> Streams:
        """Keep what belongs to one run."""
        groups = {'frame_runs': ('frame_index', 'frame_stamps_ns'),
                  'joint_runs': ('joint_stamps_ns', 'positions', 'velocities', 'joint_given'),
                  'action_runs': ('action_stamps_ns', 'actions', 'action_until_ns'),
                  'mark_runs': ('mark_stamps_ns', 'mark_active')}
        kept = {name: getattr(self, name)[getattr(self, runs) == run]
                for runs, names in groups.items() for name in names
                if getattr(self, name) is not None}
        others = tuple(replace(other, index=other.index[other.runs == run],
                               stamps_ns=other.stamps_ns[other.runs == run],
                               runs=other.runs[other.runs == run]) for other in self.others)
        return replace(self, **kept, **dict.fromkeys(groups), others=others, left_out={})


def read_streams(bag: Bag, robot: RobotDescription, *, max_bad_share: float = 0.1) -> Streams:
    """Read everything but the pixels.

    Args:
        bag: The recording.
        robot: What its topics mean.
        max_bad_share: How many messages of a topic may be left out because they are broken.

    Raises:
        BagError: A topic is missing, has another type, carries another robot's joints or no
            usable stamps, is shared by two publishers, or has too many broken messages.
    """
    roles = _roles(bag, robot)
    # of the recorder and the simulator in the same namespace as the camera
    recorded, meant = roles['image'].topic.strip('/'), robot.all_cameras[0].topic.strip('/')
    namespace = recorded.removesuffix(meant)
    marks = {(topic.name, topic.type) for topic in bag.topics
             if (topic.name.strip('/'), topic.type) in (
                 (namespace + EPISODE_TOPIC, EPISODE_TYPE),
                 (namespace + RESET_TOPIC, RESET_TYPE),
                 (namespace + TRUTH_TOPIC, TRUTH_TYPE))}
    states, truth = StateReader(robot), TruthReader()
    readers = {role: ActionReader(robot, one.command) for role, one in roles.items()
               if one.command}
    add = {'state': states.add, **{role: reader.add for role, reader in readers.items()}}
    role_of = {(one.topic, one.type): role for role, one in roles.items()}
    seen = {role: array('q') for role in roles}   # (position, stamp, receipt) of each message
    # who sent a message shows in its frame_id only; joints are told apart by their names
    senders: dict[str, set[bytes]] = {role: set() for role, one in roles.items()
                                      if one.type not in (*HEADERLESS, JOINT_STATE)}
    events: list[tuple[int, int, object]] = []
    damaged: dict[str, list[BagError]] = {}   # messages that are left out, by topic
    time = SimulatedTime()

    def decode(topic: str, kind: str, raw: bytes) -> Any:
        try:
            return bag.decode(raw, kind)
        except BagError as error:   # one flipped bit must not cost the recording
            damaged.setdefault(topic, []).append(error)
            return None

    for position, (topic, kind, received, raw) in enumerate(
            messages(bag, {*role_of, *marks, (CLOCK_TOPIC, CLOCK_TYPE)})):
        if kind == CLOCK_TYPE:
            time.add(received, raw)
            continue
        role = role_of.get((topic, kind))
        is_image = kind in IMAGE_TYPES
        message = None if is_image else decode(topic, kind, raw)
        if message is None and not is_image:
            continue
        if kind == TRUTH_TYPE:
            truth.add(_stamp(bag, topic, raw), message)
        elif role is None:
            events.append((position, _stamp(bag, topic, raw),
                           message if kind == EPISODE_TYPE else None))
        elif is_image or add[role](message):
            seen[role].extend((position, received if roles[role].clock == 'receive'
                               else _stamp(bag, topic, raw), received))
            if role in senders:
                senders[role].add(frame_id(raw))
    for role, frame_ids in senders.items():
        check_publishers(bag, robot, role, roles[role].topic, frame_ids)
    for role, one in roles.items():
        if one.topic in damaged and not seen[role]:
            raise damaged[one.topic][0]
    states.check(bag, roles['state'].topic, max_bad_share)
    for role, reader in readers.items():
        reader.check(str(bag.path), roles[role].topic, max_bad_share)
    streams = _assemble(bag, robot, roles, seen, time, events, states, readers, max_bad_share)
    notes = [f'{topic}: {len(errors)} damaged messages left out'
             for topic, errors in damaged.items()]
    if truth.problem:
        notes.append(f'{namespace}{TRUTH_TOPIC} is not used: {truth.problem}')
    return replace(streams, truth=truth.truth(), notes=(*streams.notes, *notes))


@dataclass(frozen=True)
class _Role:
    """One topic and what it is read for."""

    topic: str                            # as recorded
    type: str
    clock: str                            # 'header' or 'receive'
    command: CommandTopic | None = None   # of commands: whose


def _roles(bag: Bag, robot: RobotDescription) -> dict[str, _Role]:
    """Find the topics: 'image', 'image 2', ..., 'state', 'command', 'command 2', ..."""
    commands = robot.command_topics
    if robot.executed_topic:
        commands = (CommandTopic(robot.executed_topic, EXECUTED_TYPE, robot.joint_names),)
    key = ('executed_topic' if robot.executed_topic else
           'commands' if robot.commands else 'command_topic')
    return {
        **{camera_role(place): _Role(
            *find_topic(bag, robot, camera.topic, 'image_topic',
                        (camera.type,) if camera.type else IMAGE_TYPES), robot.camera_clock(place))
           for place, camera in enumerate(robot.all_cameras)},
        'state': _Role(*find_topic(bag, robot, robot.joint_state_topic, 'joint_state_topic',
                                   (robot.state_type,)), robot.clocks.state),
        **{f'command {place + 1}' if place else 'command': _Role(
            *find_topic(bag, robot, command.topic, key, (command.type,)), robot.clocks.command,
            command) for place, command in enumerate(commands)}}


def _assemble(bag: Bag, robot: RobotDescription, roles: dict[str, _Role], seen: dict,
              time: SimulatedTime, events: list, states: StateReader,
              readers: dict[str, ActionReader], max_bad_share: float) -> Streams:
    """Sort all streams by run and stamp."""
    topics = {role: (one.topic, one.type) for role, one in roles.items()}
    tables = time.apply({role: np.array(triples, dtype=np.int64).reshape(-1, 3).T
                         for role, triples in seen.items()},
                        {role: one.clock for role, one in roles.items()})
    for role, (_, all_stamps, _) in tables.items():
        check_stamped(bag, robot, role, roles[role].topic, all_stamps)
    zero = {role: zero_among_others(all_stamps) for role, (_, all_stamps, _) in tables.items()}
    ahead = check_receipts(bag, robot, {role: one.topic for role, one in roles.items()}, tables,
                           zero, {role: one.clock for role, one in roles.items()}, max_bad_share)
    kept = {role: ~(zero[role] | ahead[role]) for role in roles}
    places, stamps = ({role: table[row][kept[role]] for role, table in tables.items()}
                      for row in (0, 1))
    runs = dict(zip(roles, clock_runs(list(places.values()), list(stamps.values())), strict=True))
    check_overlap(bag, robot, topics, stamps, runs)
    order = {role: np.lexsort((stamps[role], runs[role])) for role in roles}
    index = {role: np.flatnonzero(kept[role])[order[role]] for role in roles}
    frames, joints = order['image'], order['state']
    positions, velocities, given = states.arrays()
    positions = positions[index['state']]
    states.unwrap(positions, runs['state'][joints])
    commands = _commands(bag, robot, roles, readers, index,
                         {role: (stamps[role][order[role]], runs[role][order[role]])
                          for role in readers})
    mark_stamps, mark_active, mark_runs = read_marks(events, *(
        np.concatenate([table[role] for role in roles]) for table in (places, stamps, runs)))
    return Streams(
        name=bag.name, image_topic=topics['image'][0], image_type=topics['image'][1],
        frame_index=index['image'], frame_stamps_ns=stamps['image'][frames],
        frame_runs=runs['image'][frames],
        joint_stamps_ns=stamps['state'][joints], positions=positions,
        velocities=velocities[index['state']], joint_runs=runs['state'][joints],
        joint_given=None if given is None else given[index['state']],
        action_stamps_ns=commands.starts_ns, action_until_ns=commands.ends_ns,
        actions=commands.actions, action_runs=commands.runs,
        mark_stamps_ns=mark_stamps, mark_active=mark_active, mark_runs=mark_runs,
        tasks=tuple(sorted({mark.task for *_, mark in events if mark is not None})),
        acting=read_acting(mark for *_, mark in events if mark is not None),
        left_out={reason: int(where['image'].sum()) for reason, where in (
            (UNSTAMPED, zero), (AHEAD, ahead)) if where['image'].any()},
        assume_encoding=robot.assume_encoding, crop=robot.all_cameras[0].crop,
        others=tuple(CameraFrames(
            *topics[role], robot.all_cameras[place].crop, index[role],
            stamps[role][order[role]], runs[role][order[role]])
            for place in range(1, len(robot.all_cameras))
            for role in (camera_role(place),)),
        notes=describe_streams(robot, topics, stamps, runs, zero, ahead, states, readers))


def _commands(bag: Bag, robot: RobotDescription, roles: dict[str, _Role],
              readers: dict[str, ActionReader], index: dict[str, np.ndarray],
              times: dict[str, tuple[np.ndarray, np.ndarray]]) -> MergedCommands:
    """Put the orders of all command topics together, by run and stamp."""
    orders = [readers[role].orders[place] for role in readers for place in index[role].tolist()]
    stamps, runs = (np.concatenate([times[role][part] for role in readers]) for part in (0, 1))
    told = {joint for order in orders for joint in order.joints}
    missing = [name for place, name in enumerate(robot.joint_names) if place not in told]
    if missing:
        names = ', '.join(roles[role].topic for role in readers)
        raise BagError(f'{bag.path}: no command on {names} is for {", ".join(missing)}; correct '
                       f'joint_names of robot {robot.robot!r}, or record the topic that commands '
                       f'them')
    walk = np.lexsort((stamps, runs))
    return merge_commands(robot, [orders[place] for place in walk], stamps[walk], runs[walk])


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
