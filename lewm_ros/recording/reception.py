"""Raw subscriptions to what an episode has; counts what is lost on the way.

Every publisher numbers its messages, and the middleware hands the numbers over, so a gap is a
lost message whatever its type. Nothing is converted: the bytes of the wire go to the sink. The
subscriptions stay between episodes, so an episode begins with its first message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
import time
from typing import Any

from lewm_model.errors import BagError
from lewm_ros.recording.bag_writer import RecordedTopic
from lewm_ros.recording.message_definitions import message_class
from lewm_ros.recording.topics import Depths, reader_qos, recorded_topic
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription


@dataclass(frozen=True)
class Received:
    """One message as it came."""

    topic: RecordedTopic
    log_ns: int        # received, system clock
    publish_ns: int    # sent, by the publisher's clock
    sequence: int      # the publisher's count; 0 where the middleware has none
    data: bytes        # CDR


class Reader:
    """The subscription to one topic.

    Attributes:
        topic: For the bag.
        profile: With which it was subscribed.
        received: Messages since `begin`.
        lost: Missing from the publishers' counts since `begin`.
        lost_events: Lost messages the middleware itself told of since `begin`.
        latched: The newest message of each publisher, if they are kept for late joiners.
    """

    def __init__(self, node: Node, topic: RecordedTopic, profile: QoSProfile,
                 sink: Callable[[Received], None]) -> None:
        self.topic = topic
        self.profile = profile
        self.latched: dict[bytes, Received] = {}
        self._sink = sink
        self._node = node
        self._last: dict[bytes, int] = {}
        self.begin()
        self._subscription = self._subscribe(profile)

    def begin(self) -> None:
        """Count anew."""
        self.received = self.lost = self.lost_events = 0
        self._newest_s = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Time since the newest message, or since `begin` [s]."""
        return time.monotonic() - self._newest_s

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

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
        sequence = info.get('publication_sequence_number') or 0
        before = self._last.get(publisher)
        if before is not None and sequence > before + 1:
            self.lost += sequence - before - 1
        self._last[publisher] = sequence
        self.received += 1
        self._newest_s = time.monotonic()
        message = Received(self.topic, info.get('received_timestamp') or time.time_ns(),
                           info.get('source_timestamp') or 0, sequence, data)
        if self.profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            self.latched[publisher] = message
        self._sink(message)

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
            reader = self.readers.get(name)
            try:
                profile = reader_qos(publishers, publishers[0].topic_type, self.depths)
                kinds = {info.topic_type for info in publishers}
                if reader and kinds == {reader.topic.type} and _alike(profile, reader.profile):
                    continue
                topic = recorded_topic(name, publishers)
                if reader:
                    reader.close()
                self.readers[name] = Reader(self.node, topic, profile, self.sink)
                self.problems.pop(name, None)
            except BagError as error:
                if self.problems.get(name) != str(error):
                    self.node.get_logger().error(f'{name} is not recorded: {error}')
                self.problems[name] = str(error)

    def begin(self) -> None:
        """Count anew, at the start of an episode."""
        for reader in self.readers.values():
            reader.begin()

    def latched(self) -> Iterator[Received]:
        """Yield what every bag has to begin with: the newest of each latched publisher."""
        for reader in self.readers.values():
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


def _alike(one: QoSProfile, other: QoSProfile) -> bool:
    return (one.reliability, one.durability) == (other.reliability, other.durability)
