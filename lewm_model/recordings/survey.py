"""One pass over a recording: what each topic holds, before anybody says what it means."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
import struct
from typing import Any

from lewm_model.bags.bag import Bag, header_stamp_ns
from lewm_model.errors import BagError, ImageError
from lewm_model.images.headers import read_header
from lewm_model.recordings.conflict import PublisherConflict
from lewm_model.recordings.episode_marks import EPISODE_TOPIC, EPISODE_TYPE
from lewm_model.robots.robot import COMPRESSED_IMAGE, IMAGE_TYPES, JOINT_STATE
import numpy as np

GAP = 1.5   # periods; a longer pause between messages is a gap, as for ingest


@dataclass(frozen=True, eq=False)
class TopicSurvey:
    """What one topic of a recording holds."""

    name: str
    type: str
    received_ns: np.ndarray              # int64 (N,), in recorded order
    stamps_ns: np.ndarray | None         # int64 (N,) of the headers; None: the type has none
    looks: Counter                       # of images: (encoding, width, height)
    joints: Counter                      # of joint states: tuples of names
    conflict: str                        # of states: why two publishers share the topic, or ''
    ranges: dict[str, tuple[float, float]]   # of joint states: positions seen of each joint
    first: Any                           # message; None if its type is not known

    @property
    def count(self) -> int:
        """Messages."""
        return len(self.received_ns)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """All joints of joint states, which may be spread over several messages."""
        return tuple(dict.fromkeys(name for names in sorted(self.joints, key=len, reverse=True)
                                   for name in names))

    @property
    def zero_stamps(self) -> int:
        """Messages with a header whose stamp is 0."""
        return 0 if self.stamps_ns is None else int((self.stamps_ns == 0).sum())

    @property
    def stamped(self) -> bool:
        """Whether the header stamps can serve as the clock."""
        return self.stamps_ns is not None and bool(self.stamps_ns.any())

    @property
    def times_ns(self) -> np.ndarray:
        """The capture times if there are any, else those of recording."""
        return self.stamps_ns[self.stamps_ns != 0] if self.stamped else self.received_ns

    @property
    def steps_ns(self) -> np.ndarray:
        """Times between messages that follow each other, int64 (N - 1,) or less, positive."""
        steps = np.diff(self.times_ns)   # of a clock that jumps back the jumps are left out
        return steps[steps > 0]

    @property
    def rate_hz(self) -> float:
        """Usual rate, 0 if there is none."""
        return 1e9 / float(np.median(self.steps_ns)) if len(self.steps_ns) else 0.0

    @property
    def gaps(self) -> int:
        """Pauses over `GAP` usual periods."""
        steps = self.steps_ns
        return int((steps > GAP * np.median(steps)).sum()) if len(steps) else 0

    @property
    def delays_ns(self) -> np.ndarray:
        """From capture to recording, of stamped messages."""
        if not self.stamped:
            return np.empty(0, dtype=np.int64)
        return (self.received_ns - self.stamps_ns)[self.stamps_ns != 0]


@dataclass(frozen=True)
class Survey:
    """What a recording holds."""

    path: str
    topics: tuple[TopicSurvey, ...]   # by name
    marks: tuple[Any, ...]            # EpisodeInfo messages
    notes: tuple[str, ...]            # on damage, by the reader of the bag

    def of_types(self, *types: str) -> list[TopicSurvey]:
        """Return the topics of these types that have messages."""
        return [topic for topic in self.topics if topic.type in types and topic.count]


def survey_bag(bag: Bag) -> Survey:
    """Read every message once.

    Raises:
        BagError: If the files cannot be read.
    """
    names = Counter(topic.name for topic in bag.topics)
    single = [topic for topic in bag.topics if names[topic.name] == 1]
    # In one pass, since compressed files are slow to read again; but where one name has several
    # types, the messages do not say which is theirs.
    passes = [single] * bool(single) + [[topic] for topic in bag.topics if topic not in single]
    makers = {(topic.name, topic.type): _TopicReader(bag, topic.name, topic.type)
              for topic in bag.topics}
    for topics in passes:
        readers = {topic.name: makers[topic.name, topic.type] for topic in topics}
        for name, time_ns, raw in bag.raw_messages(*topics):
            readers[name].add(time_ns, raw)
    return Survey(str(bag.path), tuple(maker.survey() for maker in makers.values()),
                  tuple(mark for maker in makers.values() for mark in maker.marks),
                  tuple(bag.notes))


class _TopicReader:
    """Collects what one topic holds."""

    def __init__(self, bag: Bag, name: str, kind: str) -> None:
        self.marks: list[Any] = []
        self._bag, self._name, self._type = bag, name, kind
        self._received: list[int] = []
        self._stamps: list[int] = []
        self._looks: Counter = Counter()
        self._joints: Counter = Counter()
        self._conflict = PublisherConflict()
        self._ranges: dict[str, tuple[float, float]] = {}
        self._first: Any = None
        self._header = False

    def add(self, time_ns: int, raw: bytes) -> None:
        if not self._received:
            self._first = _decoded(self._bag, raw, self._type)
            self._header = self._first is not None and _has_header(self._first)
        self._received.append(time_ns)
        if self._header:
            self._stamps.append(header_stamp_ns(raw) if len(raw) >= 12 else 0)
        if self._type in IMAGE_TYPES:
            self._looks[_look(self._bag, raw, self._type)] += 1
        elif self._type == JOINT_STATE and (state := _decoded(self._bag, raw, self._type)):
            self._joints[tuple(state.name)] += 1
            if len(state.position) == len(state.name):
                self._conflict.add(state.name, state.position, state.header.frame_id)
                for name, value in zip(state.name, state.position.tolist(), strict=True):
                    if np.isfinite(value):
                        low, high = self._ranges.get(name, (value, value))
                        self._ranges[name] = min(low, value), max(high, value)
        elif (self._name.strip('/'), self._type) == (EPISODE_TOPIC, EPISODE_TYPE) and (
                mark := _decoded(self._bag, raw, self._type)):
            self.marks.append(mark)

    def survey(self) -> TopicSurvey:
        stamps = np.array(self._stamps, dtype=np.int64) if self._header else None
        return TopicSurvey(self._name, self._type, np.array(self._received, dtype=np.int64),
                           stamps, self._looks, self._joints, self._conflict.reason, self._ranges,
                           self._first)


def _decoded(bag: Bag, raw: bytes, kind: str) -> Any:
    try:
        return bag.decode(raw, kind)
    except BagError:   # an unknown type or a damaged message; how many there are is still of use
        return None


def _has_header(message: Any) -> bool:
    """Tell whether the type begins with a std_msgs/Header, or is one."""
    first = fields(message)[0].name
    return first == 'stamp' or (first == 'header' and hasattr(message.header, 'stamp'))


def _look(bag: Bag, raw: bytes, kind: str) -> tuple[str, int, int]:
    """Return (encoding, width, height) of an image; pixels are not looked at."""
    if kind == COMPRESSED_IMAGE:
        message = _decoded(bag, raw, kind)
        if message is None:
            return 'damaged', 0, 0
        try:
            header = read_header(message.data.tobytes(), message.format)
        except ImageError:
            return f'{message.format} (unreadable)', 0, 0
        return message.format, header.width, header.height
    order = '<' if raw[1:2] == b'\1' else '>'
    try:   # header, height, width, encoding; texts end with a zero byte, numbers are aligned
        length, = struct.unpack_from(order + 'I', raw, 12)
        place = 4 + -(-(12 + length) // 4) * 4
        height, width, length = struct.unpack_from(order + 'III', raw, place)
        return raw[place + 12:place + 11 + length].decode('ascii', 'replace'), width, height
    except struct.error:
        return 'damaged', 0, 0
