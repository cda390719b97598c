"""The commands of one topic as they were sent, for a robot that is not described yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import re

from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError
from lewm_model.recordings.commands import (
    EXECUTED_INTERFACES,
    EXECUTED_TYPE,
    JOINT_FIELDS,
    twist_values,
)
from lewm_model.recordings.survey import TopicSurvey
from lewm_model.robot import FLOAT_ARRAY, JOINT_TRAJECTORY, TWIST_NAMES
import numpy as np

_TRAJECTORY_FIELDS = {'joint_position': 'positions', 'joint_velocity': 'velocities'}


@dataclass(frozen=True)
class ObservedCommands:
    """What was sent, as far as the messages tell."""

    interface: str
    names: tuple[str, ...]        # A
    times_ns: np.ndarray          # int64 (N,)
    values: np.ndarray            # float64 (N, A)
    doubts: tuple[str, ...]       # about the interface, then about the names; '' for none

    @property
    def constant(self) -> list[str]:
        """Names of what never changed."""
        return [name for name, column in zip(self.names, self.values.T, strict=True)
                if len(np.unique(column[np.isfinite(column)])) < 2]

    def limits(self, step_s: float) -> tuple[list[float], list[float], list[float]]:
        """Return the smallest and largest value and the fastest change [unit/s] of each name.

        Args:
            step_s: Control step; changes are counted as if they took at least this long [s].
        """
        low, high, rate = [], [], []
        order = np.argsort(self.times_ns, kind='stable')
        for column in self.values[order].T:
            finite = np.isfinite(column)
            values, times = column[finite], self.times_ns[order][finite]
            least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
            if not least < most:
                least, most = least - 1, most + 1
            took_s = np.maximum(np.diff(times) / 1e9, step_s)
            fastest = float((np.abs(np.diff(values)) / took_s).max(initial=0))
            low.append(_rounded(least, -1))
            high.append(_rounded(most, 1))
            rate.append(_rounded(fastest, 1) if fastest > 0 else 1.0)
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
        interface = next((name for name, attribute in _TRAJECTORY_FIELDS.items()
                          if any(len(getattr(point, attribute)) for *_, point in ends)),
                         'joint_position')
        after = np.array([time + point.time_from_start.sec * 10 ** 9
                          + point.time_from_start.nanosec for time, _, point in ends], np.int64)
        return _named(bag, topic, interface, after, [
            (names, getattr(point, _TRAJECTORY_FIELDS[interface])) for _, names, point in ends],
            ('', ''))
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


def _unnamed(bag: Bag, topic: TopicSurvey, times: np.ndarray, messages: list,
             joints: Sequence[tuple[str, ...]]) -> ObservedCommands:
    """Values without names: the topic's name and the joint states are all there is to go by."""
    size = len(messages[0].data)
    said = re.search(r'velocity|effort|position', topic.name, re.IGNORECASE)
    interface = f'joint_{said[0].lower()}' if said else 'joint_position'
    same = [names for names in joints if len(names) == size]
    names = same[0] if same else tuple(f'joint_{index + 1}' for index in range(size))
    if not size or not all(len(message.data) == size for message in messages):
        raise BagError(f'{bag.path}: commands on {topic.name} have different numbers of values; '
                       f'no robot file can be suggested')
    return ObservedCommands(
        interface, names, times, np.array([message.data for message in messages]),
        ('' if said else 'A GUESS: the messages do not say what they command',
         'A GUESS: the messages name no joints; this is the order of the joint states' if same
         else f'A GUESS: {size} values a command, and no joint state has as many joints'))


def _named(bag: Bag, topic: TopicSurvey, interface: str, times: np.ndarray,
           commands: list[tuple[list[str], np.ndarray]], doubts: tuple[str, str]
           ) -> ObservedCommands:
    """Put values in the order of the first message's names; NaN where a joint is not named."""
    names = tuple(dict.fromkeys(name for listed, _ in commands[:1] for name in listed))
    if not names:
        raise BagError(f'{bag.path}: commands on {topic.name} name no joints; no robot file can '
                       f'be suggested')
    values = np.full((len(commands), len(names)), np.nan)
    for row, (listed, numbers) in enumerate(commands):
        sent = dict(zip(listed, numbers, strict=False))
        values[row] = [sent.get(name, np.nan) for name in names]
    return ObservedCommands(interface, names, times, values, doubts)


def _rounded(value: float, side: int) -> float:
    """Round to four decimals, away from the inside of the range."""
    return float(np.round((np.floor if side < 0 else np.ceil)(np.round(value * 1e4, 3)) / 1e4, 4))
