"""Raw subscriptions to what an episode has; counts what is lost on the way.

Every publisher numbers its messages, and most middlewares hand the numbers over, so a gap is a
lost message whatever its type; without numbers it is unknown how many were lost. Nothing is
converted: the bytes of the wire go to the sink. The subscriptions stay between episodes, so an
episode begins with its first message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
import math
import time
from typing import Any

from lewm_model.errors import BagError
from lewm_ros.recording.bag_writer import RecordedTopic
from lewm_ros.recording.episode import Received
from lewm_ros.recording.message_definitions import message_class
from lewm_ros.recording.topics import Depths, reader_qos, recorded_topic
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

UNKNOWN = 'unknown'            # of counts that the middleware does not allow to make
_UNSUPPORTED = 2**64 - 1       # the sequence number of a middleware that has none


def arrival_s(received_ns: int, now_ns: int, now_s: float, earliest_s: float) -> float:
    """Return when a message arrived on the steady clock.

    The middleware stamps the arrival by the system clock, which people and NTP set; only how
    long the message has waited since is taken from it.

    Args:
        received_ns: Stamp of the middleware; 0 if it gives none.
        now_ns: System clock.
        now_s: Steady clock.
        earliest_s: It did not arrive before this: when the topic's message before it did.
    """
    waited_s = (now_ns - received_ns) / 1e9 if received_ns else 0.0
    return max(now_s - max(waited_s, 0.0), earliest_s)


class Reader:
    """The subscription to one topic.

    Attributes:
        topic: For the bag.
        profile: With which it was subscribed.
        lost: Missing from the publishers' counts since `begin`.
        uncounted: Messages since `begin` that the middleware gave no number.
        lost_events: Lost messages the middleware itself told of since `begin`.
        latched: The newest message of each publisher, if they are kept for late joiners.
    """

    def __init__(self, node: Node, topic: RecordedTopic, profile: QoSProfile,
                 sink: Callable[[Received], None], before: Reader | None = None) -> None:
        self.topic = topic
        self.profile = profile
        self.latched: dict[bytes, Received] = {}
        self._sink = sink
        self._node = node
        self._last: dict[bytes, int] = {}
        self._arrived_s = -math.inf
        self.begin()
        if before is not None:   # what is lost while we change over is counted, too
            self._last, self._arrived_s = before._last, before._arrived_s
            self.lost, self.uncounted = before.lost, before.uncounted
        self._subscription = self._subscribe(profile)

    def begin(self) -> None:
        """Count anew."""
        self.lost = self.uncounted = self.lost_events = 0
        self._newest_s = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Time since the newest message, or since `begin` [s]."""
        return time.monotonic() - self._newest_s

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def forget_latched(self, alive: Sequence[bytes]) -> None:
        """Drop the latched messages of publishers that are gone; their goal is nobody's."""
        self.latched = {publisher: message for publisher, message in self.latched.items()
                        if not publisher or any(_same_publisher(publisher, other)
                                                for other in alive)}

    def _subscribe(self, profile: QoSProfile) -> Subscription:
        kind = message_class(self.topic.type)
        create = self._node.create_subscription
        try:
            return create(kind, self.topic.name, self._on_message, profile, raw=True,
                          event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_lost))
        except UnsupportedEventTypeError:  # the sequence numbers remain
            return create(kind, self.topic.name, self._on_message, profile, raw=True)

    def _on_message(self, data: bytes, info: dict[str, Any]) -> None:
        publisher = bytes((info.get('publisher_gid') or {}).get('data') or b'')
        sequence = self._count(publisher, info.get('publication_sequence_number') or 0)
        received_ns = info.get('received_timestamp') or 0
        now_ns, self._newest_s = time.time_ns(), time.monotonic()
        self._arrived_s = arrival_s(received_ns, now_ns, self._newest_s, self._arrived_s)
        message = Received(self.topic, self._arrived_s, received_ns or now_ns,
                           info.get('source_timestamp') or 0, sequence, data)
        if self.profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            self.latched[publisher] = message
        self._sink(message)

    def _count(self, publisher: bytes, sequence: int) -> int:
        """Count a message and those missing before it; return its number, 0 if it has none."""
        before = self._last.get(publisher)
        if sequence == _UNSUPPORTED or (sequence == 0 and before is not None):
            self.uncounted += 1
            return 0
        if before is not None and sequence > before + 1:
            self.lost += sequence - before - 1
        self._last[publisher] = sequence
        return sequence

    def _on_lost(self, event: Any) -> None:
        self.lost_events += event.total_count_change


@dataclass
class Reception:
    """All subscriptions of the recorder.

    Args:
        node: Their owner.
        names: Topics to look for, relative to the node's namespace or absolute.
        depths: Of the readers.
        sink: Gets every message.

    Attributes:
        readers: By absolute name.
        problems: By absolute name: why a topic that is there is not read.
    """

    node: Node
    names: Sequence[str]
    depths: Depths
    sink: Callable[[Received], None]
    readers: dict[str, Reader] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def discover(self) -> None:
        """Subscribe to what has come; subscribe anew where the publishers' QoS has changed."""
        for name in map(self.node.resolve_topic_name, self.names):
            publishers = self.node.get_publishers_info_by_topic(name)
            if not publishers:
                continue  # a publisher that left may come back; what it said is remembered
            try:
                self._read(name, publishers)
            except Exception as error:  # a peer's topic never ends the recorder
                problem = str(error) if isinstance(error, BagError) else repr(error)
                if self.problems.get(name) != problem:
                    self.node.get_logger().error(f'{name} is not recorded: {problem}')
                self.problems[name] = problem

    def _read(self, name: str, publishers: Sequence[TopicEndpointInfo]) -> None:
        """Have a subscription that matches what these publishers offer."""
        reader = self.readers.get(name)
        profile = reader_qos(publishers, publishers[0].topic_type, self.depths)
        kinds = {info.topic_type for info in publishers}
        if not (reader and kinds == {reader.topic.type} and _alike(profile, reader.profile)):
            topic = recorded_topic(name, publishers)
            if reader:
                del self.readers[name]
                reader.close()
            self.readers[name] = Reader(self.node, topic, profile, self.sink, reader)
        self.problems.pop(name, None)

    def begin(self) -> None:
        """Count anew, at the start of an episode."""
        for reader in self.readers.values():
            reader.begin()

    def latched(self) -> Iterator[Received]:
        """Yield what every bag has to begin with: the newest of each latched publisher.

        Of publishers that are gone nothing is told: a late joiner would not get it either.
        """
        for name, reader in self.readers.items():
            alive = self.node.get_publishers_info_by_topic(name)
            reader.forget_latched([bytes(info.endpoint_gid) for info in alive])
            if alive:
                yield from reader.latched.values()

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are not being read."""
        return [name for name in names
                if not self.node.get_publishers_info_by_topic(name)
                or self.node.resolve_topic_name(name) not in self.readers]

    def silent(self, names: Sequence[str], longest_s: float) -> list[str]:
        """Return those of `names` from which nothing has come for too long.

        Where everything is lost, no number has a gap: this is how it shows.
        """
        readers = [self.readers.get(self.node.resolve_topic_name(name)) for name in names]
        return [reader.topic.name for reader in readers
                if reader is not None and reader.silent_s > longest_s]

    @property
    def lost(self) -> int:
        """Messages that publishers sent and we did not get, since `begin`."""
        return sum(reader.lost for reader in self.readers.values())

    @property
    def uncounted(self) -> list[str]:
        """Topics of which nobody can say how many messages were lost, since `begin`."""
        return [reader.topic.name for reader in self.readers.values() if reader.uncounted]

    @property
    def told_lost(self) -> int | str:
        """`lost`, or 'unknown' while the middleware does not number its messages."""
        return UNKNOWN if self.uncounted else self.lost


def _same_publisher(one: bytes, other: bytes) -> bool:
    """Compare two GIDs; middlewares pad them to different lengths."""
    return one.rstrip(b'\0') == other.rstrip(b'\0')


def _alike(one: QoSProfile, other: QoSProfile) -> bool:
    return (one.reliability, one.durability) == (other.reliability, other.durability)
