"""What can be wrong with the topics of a recording, refused with the fix or said in a note."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings.commands import ActionReader
from lewm_model.recordings.states import StateReader
from lewm_model.recordings.timeline import out_of_order
from lewm_model.robots.robot import RobotDescription
import numpy as np


def find_topic(bag: Bag, robot: RobotDescription, wanted: str, key: str, types: Sequence[str]
               ) -> tuple[str, str]:
    """Return recorded name and type of the topic the robot calls `wanted`.

    A robot file that runs in a namespace has topics without it; so where no topic has exactly
    this name, the one that has it in some namespace is meant.

    Raises:
        BagError: If it is not there, has another type or several; the message lists what is.
    """
    matches = [topic for topic in bag.topics if topic.name.strip('/') == wanted.strip('/')]
    fix = (f'set {key} in the description of robot {robot.robot!r} (config/robots/*.yaml) to the '
           f'recorded topic, or record it; the bag has: {bag.describe_topics()}')
    if not matches:
        matches = [topic for topic in bag.topics
                   if topic.name.endswith(f'/{wanted.strip("/")}') and topic.count]
        names = sorted({topic.name for topic in matches})
        if len(names) > 1:
            raise BagError(f'{bag.path}: topic {wanted!r} ({key}) was recorded in several '
                           f'namespaces: {", ".join(names)}; set {key} of robot '
                           f'{robot.robot!r} to one of them')
    if not matches or not any(topic.count for topic in matches):
        raise BagError(f'{bag.path} has no messages on topic {wanted!r} ({key}); {fix}')
    found = sorted({topic.type for topic in matches if topic.count})
    fitting = [kind for kind in found if kind in types]
    if not fitting:
        raise BagError(f'{bag.path}: topic {wanted!r} ({key}) has type {" and ".join(found)}, '
                       f'expected {" or ".join(types)}; {fix}')
    if len(fitting) > 1:
        raise BagError(f'{bag.path}: topic {wanted!r} was recorded with several types: '
                       f'{", ".join(fitting)}; select one with image_type in the description of '
                       f'robot {robot.robot!r}')
    return next(topic.name for topic in matches if topic.type == fitting[0]), fitting[0]


def check_stamped(bag: Bag, robot: RobotDescription, role: str, topic: str,
                  stamps: np.ndarray) -> None:
    """Refuse a topic that has no header stamps at all; the clock is chosen by topic.

    Raises:
        BagError: Names the key to set.
    """
    if len(stamps) > 1 and not stamps.any():
        raise BagError(f'{bag.path}: the header stamps on {topic} are all zero; set clocks: '
                       f'{{{role.split()[0]}: receive}} in the description of robot '
                       f'{robot.robot!r} to take the time of recording, or let the driver stamp '
                       f'its messages with the capture time')


def check_publishers(bag: Bag, robot: RobotDescription, role: str, topic: str,
                     frame_ids: set[bytes]) -> None:
    """Refuse messages of several publishers on one topic, which their frame_id tells apart.

    A bag does not say who sent a message. Joint states need no check, they are told apart by
    joint names; messages without a header cannot be checked.

    Raises:
        BagError: Lists the frame_ids.
    """
    if len(frame_ids) > 1 and role.split()[0] not in robot.shared_topics:
        names = ', '.join(sorted(repr(name[:60].decode(errors='replace'))
                                 for name in frame_ids)[:8])
        raise BagError(f'{bag.path}: messages on {topic} have several frame_ids ({names}), as of '
                       f'several publishers; record one of them, or set shared_topics: '
                       f'[{role.split()[0]}] '
                       f'in the description of robot {robot.robot!r} to take them all')


def check_overlap(bag: Bag, robot: RobotDescription, topics: dict, stamps: dict, runs: dict
                  ) -> None:
    """Refuse streams that share no time at all, which clocks that differ look like.

    Raises:
        BagError: Gives the times of both.
    """
    frames = stamps['image']
    commands = [role for role in stamps if role.startswith('command')]
    # of several command topics one may be silent for long, such as that of a gripper
    stamps, runs = ({**table, 'command': np.concatenate([table[role] for role in commands])}
                    for table in (stamps, runs))
    for role in ('state', 'command'):
        shared = [run for run in np.unique(runs['image']) if (runs[role] == run).any()
                  and stamps[role][runs[role] == run].min() <= frames[runs['image'] == run].max()
                  and stamps[role][runs[role] == run].max() + 10 ** 9
                  >= frames[runs['image'] == run].min()]
        if len(frames) and len(stamps[role]) and not shared:
            raise BagError(
                f'{bag.path}: frames on {topics["image"][0]} are from {frames.min() / 1e9:.3f} to '
                f'{frames.max() / 1e9:.3f} s, {topics[role][0]} from '
                f'{stamps[role].min() / 1e9:.3f} to {stamps[role].max() / 1e9:.3f} s: no time is '
                f'shared. If they were recorded together, their clocks differ; set clocks of '
                f'robot {robot.robot!r} so that all use one (now {robot.clocks.image} for images, '
                f'{getattr(robot.clocks, role)} for this topic)')


def describe_streams(robot: RobotDescription, topics: dict, stamps: dict, runs: dict, zero: dict,
                     ahead: dict, states: StateReader, commands: dict[str, ActionReader]
                     ) -> tuple[str, ...]:
    """Say what was not as it should be; an empty tuple for a healthy recording."""
    notes = [
        f'{topics[role][0]} was recorded as {topics[role][1]}, but by its name the nodes will '
        f'read {camera.live_type}: set {"type of this camera" if robot.cameras else "image_type"} '
        f'in the robot file'
        for role, camera in zip((role for role in topics if role.startswith('image')),
                                robot.all_cameras, strict=True)
        if camera.live_type != topics[role][1]]
    jumps = int(runs['image'].max(initial=0))
    if jumps:
        notes.append(f'the clock jumped back {jumps} times; each part is read on its own')
    for role, (topic, _) in topics.items():
        repeats = sum(int((np.diff(np.sort(stamps[role][runs[role] == run])) == 0).sum())
                      for run in np.unique(runs[role]))
        for count, what in (
                (int(zero[role].sum()), 'left out: header stamp zero among others'),
                (int(ahead[role].sum()), 'left out: header stamp later than the receipt, which '
                                         'cannot be'),
                (out_of_order(stamps[role], runs[role]), 'out of order, sorted by stamp'),
                (repeats, 'with the stamp of another one')):
            if count:
                notes.append(f'{topic}: {count} messages {what}')
    reader, state = states.reader, topics['state'][0]
    counts = [
        (reader.skipped, state, f'without the joints of {robot.robot!r}'),
        (reader.malformed, state, f'left out, the first: {reader.reason}'),
        (reader.bad_velocities, state, 'with velocities that do not fit their names, read without '
                                       'them')]
    for role, actions in commands.items():
        counts += [
            (actions.skipped, topics[role][0], 'for other joints, or of another interface'),
            (actions.cancelled, topics[role][0], 'that cancel a trajectory, the action is unknown '
                                                 'from there'),
            (actions.malformed, topics[role][0], f'left out, the first: {actions.reason}'),
            (actions.unknown, topics[role][0], 'with numbers that are not finite, the action is '
                                               'unknown from there')]
        if actions.unused:
            notes.append(f'{topics[role][0]}: {", ".join(sorted(actions.unused))} was commanded '
                         f'too, but is not in joint_names')
    return (*notes, *(f'{topic}: {count} messages {what}' for count, topic, what in counts
                      if count))
