"""The commands of one topic as they were sent, for a robot that is not described yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
import re

from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError, ShapeError
from lewm_model.recordings.commands import (
    EXECUTED_INTERFACES,
    EXECUTED_TYPE,
    JOINT_FIELDS,
    POINT_FIELDS,
    twist_values,
)
from lewm_model.recordings.joints import named_values
from lewm_model.recordings.survey import TopicSurvey
from lewm_model.robots.robot import (
    FLOAT_ARRAY,
    JOINT_COMMAND,
    JOINT_TRAJECTORY,
    SPEEDS,
    TWIST_NAMES,
)
import numpy as np


@dataclass(frozen=True)
class ObservedCommands:
    """What was sent, as far as the messages tell."""

    interface: str
    names: tuple[str, ...]        # A
    times_ns: np.ndarray          # int64 (N,)
    values: np.ndarray            # float64 (N, A)
    doubts: tuple[str, ...]       # about the interface, then about the names; '' for none
    named: bool = True            # by the messages; otherwise the names are a guess

    @property
    def constant(self) -> list[str]:
        """Names of what never changed."""
        return [name for name, column in zip(self.names, self.values.T, strict=True)
                if len(np.unique(column[np.isfinite(column)])) < 2]

    def limits(self, step_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return the smallest and largest value and the fastest change [unit/s] of each name.

        Those of speeds contain 0.

        Args:
            step_s: Control step; changes are counted as if they took at least this long [s].
        """
        low, high, rate = [], [], []
        order = np.argsort(self.times_ns, kind='stable')
        for column in self.values[order].T:
            finite = np.isfinite(column)
            values, times = column[finite], self.times_ns[order][finite]
            least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
            if self.interface in SPEEDS:   # a base that only drove forward may stand still too
                least, most = min(least, 0.0), max(most, 0.0)
            if not least < most:
                least, most = least - 1, most + 1
            took_s = np.maximum(np.diff(times) / 1e9, step_s)
            fastest = float((np.abs(np.diff(values)) / took_s).max(initial=0))
            low.append(rounded(least, -1))
            high.append(rounded(most, 1))
            rate.append(rounded(fastest, 1) if fastest > 0 else 1.0)
        return low, high, rate


def observe_commands(bag: Bag, topic: TopicSurvey, joints: Sequence[tuple[str, ...]]
                     ) -> ObservedCommands:
    """Read all commands of a topic.

    Args:
        bag: The recording.
        topic: One with executed or sent commands.
        joints: Names in joint state messages, for commands that name none.

    Raises:
        BagError: If its messages contradict each other or hold no command.
    """
    chosen = next(one for one in bag.topics if (one.name, one.type) == (topic.name, topic.type))
    messages, seen = [], []
    for _, received, raw in bag.raw_messages(chosen):
        messages.append(bag.decode(raw, topic.type))
        seen.append(header_stamp_ns(raw) if topic.stamped else received)
    times = np.array(seen, dtype=np.int64)
    if topic.type == EXECUTED_TYPE:
        code = messages[0].interface
        interface = EXECUTED_INTERFACES[code] if code < len(EXECUTED_INTERFACES) else ''
        if not interface:
            raise BagError(f'{bag.path}: commands on {topic.name} have the unknown interface '
                           f'{code}; no robot file can be suggested')
        return _named(bag, topic, interface, times, [(message.names, message.executed)
                                                     for message in messages], ('', ''))
    if topic.type == FLOAT_ARRAY:
        return _unnamed(bag, topic, times, messages, joints)
    if topic.type == JOINT_TRAJECTORY:
        ends = [(time, message.joint_names, point) for time, message in zip(
            times.tolist(), messages, strict=True) for point in message.points]
        interface = next((name for name, attribute in POINT_FIELDS.items()
                          if any(len(getattr(point, attribute)) for *_, point in ends)),
                         'joint_position')
        after = np.array([time + point.time_from_start.sec * 10 ** 9
                          + point.time_from_start.nanosec for time, _, point in ends], np.int64)
        return _named(bag, topic, interface, after, [
            (names, getattr(point, POINT_FIELDS[interface])) for _, names, point in ends],
            ('', ''))
    if topic.type == JOINT_COMMAND:
        return _joint_commands(bag, topic, times, messages)
    if hasattr(messages[0], 'position'):
        return _joint_states(bag, topic, times, messages)
    values = np.array([twist_values(message) for message in messages])
    used = [index for index in range(len(TWIST_NAMES)) if values[:, index].any()] or [0, 5]
    doubt = '' if values.any() else 'all commands were zero, so these are the usual ones'
    return ObservedCommands('twist', tuple(TWIST_NAMES[index] for index in used), times,
                            values[:, used], ('', doubt))


def _joint_states(bag: Bag, topic: TopicSurvey, times: np.ndarray, messages: list
                  ) -> ObservedCommands:
    filled = [interface for interface, attribute in JOINT_FIELDS.items()
              if any(len(getattr(message, attribute)) for message in messages)]
    interface = (filled or ['joint_position'])[0]
    doubt = f'or {", ".join(filled[1:])}, which was filled too' if filled[1:] else ''
    return _named(bag, topic, interface, times, [
        (message.name, getattr(message, JOINT_FIELDS[interface])) for message in messages],
        (doubt, ''))


def _joint_commands(bag: Bag, topic: TopicSurvey, times: np.ndarray, messages: list
                    ) -> ObservedCommands:
    interfaces = {field: interface for interface, field in JOINT_FIELDS.items()}
    usual = Counter(message.interface_name for message in messages).most_common()
    known = [name for name, _ in usual if name in interfaces]
    if not known:
        raise BagError(f'{bag.path}: commands on {topic.name} have interface_name '
                       f'{usual[0][0]!r}, known are {", ".join(interfaces)}; no robot file can be '
                       f'suggested')
    ours = [message.interface_name == known[0] for message in messages]
    return _named(bag, topic, interfaces[known[0]], times[ours], [
        (message.joint_names, message.values)
        for message, mine in zip(messages, ours, strict=True) if mine],
        (f'or {", ".join(known[1:])}, which was sent too' if known[1:] else '', ''))


def _unnamed(bag: Bag, topic: TopicSurvey, times: np.ndarray, messages: list,
             joints: Sequence[tuple[str, ...]]) -> ObservedCommands:
    """Values without names: the topic's name and the joint states are all there is to go by."""
    usual = Counter(len(message.data) for message in messages).most_common()
    size = usual[0][0]
    if not size:
        raise BagError(f'{bag.path}: commands on {topic.name} hold no values; no robot file can '
                       f'be suggested')
    said = re.search(r'velocity|effort|position', topic.name, re.IGNORECASE)
    interface = f'joint_{said[0].lower()}' if said else 'joint_position'
    same = [names for names in joints if len(names) == size]
    names = same[0] if same else tuple(f'joint_{index + 1}' for index in range(size))
    fit = [len(message.data) == size for message in messages]   # others are left out by ingest
    return ObservedCommands(
        interface, names, times[fit],
        np.array([message.data for message, one in zip(messages, fit, strict=True) if one]),
        ('' if said else 'A GUESS: the messages do not say what they command',
         'A GUESS: the messages name no joints; this is the order of the joint states' if same
         else f'A GUESS: {size} values a command, and no joint state has as many joints'),
        named=False)


def _named(bag: Bag, topic: TopicSurvey, interface: str, times: np.ndarray,
           commands: list[tuple[list[str], np.ndarray]], doubts: tuple[str, str]
           ) -> ObservedCommands:
    """Put values in the order in which names appear; NaN where a message does not name one."""
    names = tuple(dict.fromkeys(name for listed, _ in commands for name in listed))
    if not names:
        raise BagError(f'{bag.path}: commands on {topic.name} name no joints; no robot file can '
                       f'be suggested')
    values = np.full((len(commands), len(names)), np.nan)
    for row, (listed, numbers) in enumerate(commands):
        try:
            sent = named_values(listed, numbers)
        except ShapeError:
            continue   # left out by ingest too
        values[row] = [sent.get(name, np.nan) for name in names]
    return ObservedCommands(interface, names, times, values, doubts)


def rounded(value: float, side: int) -> float:
    """Round to four decimals, away from the inside of the range."""
    return float(np.round((np.floor if side < 0 else np.ceil)(np.round(value * 1e4, 3)) / 1e4, 4))
