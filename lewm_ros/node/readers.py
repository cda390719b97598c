"""Readers that ask for what the publishers of their topic offer, and know why nothing arrives.

A reliable reader gets nothing from a best-effort publisher, and a best-effort reader loses large
pictures of a reliable one (see docs/cameras.md). So which to be is decided when the publishers
are known, and again when others take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import inspect
import os
import time
from typing import Any

from lewm_model.errors import ConfigError
from lewm_ros.node.guard import Guard
from lewm_ros.wire.qos import EVERY_OFFER, offered_qos
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.exceptions import ParameterAlreadyDeclaredException, ParameterException
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    qos_check_compatible,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

_LOOK_S = 0.2        # how often the publishers are looked at
SILENT_S = 1.0       # a stream from which nothing came for so long is silent
LARGE_HINT = ('large pictures need a Fast DDS profile with room for them, and best-effort ones a '
              'network that carries them: see docs/cameras.md')
_POLICIES = {'reliability': ReliabilityPolicy, 'durability': DurabilityPolicy,
             'history': HistoryPolicy}
_QUIET = SubscriptionEventCallbacks(incompatible_qos=lambda event: None,
                                    use_default_callbacks=False)


class OfferedReader:
    """A stream of small or large messages, reliable if all of its publishers are.

    Until the first publisher is known it reads with the profile that fits any. Standard
    parameters win: `qos_overrides./topic.subscription.reliability` (also durability, history,
    depth), where `best_available` means as offered.

    Args:
        node: Owner of the subscription.
        kind: Message type.
        topic: Relative to the node's namespace, or absolute.
        callback: Gets every message, and what the middleware knows of it if it takes two.
        depth: How many messages may wait for the executor.
        guard: Catches what the look at the publishers raises.
        as_offered: False reads best effort, which fits any publisher, unless a parameter says
            otherwise: of states only the newest counts, and one that is sent again is old.

    Attributes:
        profile: The present quality of service.
        received: Messages so far.
    """

    def __init__(self, node: Node, kind: type, topic: str, callback: Callable[..., None], *,
                 depth: int, guard: Guard | None = None, as_offered: bool = True) -> None:
        self.topic = node.resolve_topic_name(topic)
        self.received = 0
        self._name = topic      # the middleware remaps what it is given, so not what it was
        self._node, self._kind, self._callback = node, kind, callback
        self._type = _type_name(kind)
        self._overrides = _overrides(node, self.topic, depth)
        self._newest_s = time.monotonic()
        self._subscription: Subscription | None = None
        self._takes_info = len(inspect.signature(callback).parameters) == 2
        self._subscribe(self._wanted(()))
        self._timer = None
        if as_offered:
            look = guard.listener(self.look, f'publishers of {self.topic}') if guard else self.look
            self._timer = node.create_timer(_LOOK_S, look,
                                            clock=Clock(clock_type=ClockType.STEADY_TIME))
            self.look()

    def look(self) -> None:
        """Subscribe anew if what the publishers offer has changed."""
        publishers = self._publishers()
        if publishers:      # without any, the last profile waits for the next of the same kind
            profile = self._wanted(publishers)
            if (profile.reliability, profile.durability) != (
                    self.profile.reliability, self.profile.durability):
                self._subscribe(profile)

    def close(self) -> None:
        """End the subscription."""
        if self._subscription is not None:
            if self._timer is not None:
                self._node.destroy_timer(self._timer)
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    @property
    def silent_s(self) -> float:
        """Time since the newest message, or since the reader was made [s]."""
        return time.monotonic() - self._newest_s

    def silence(self, patience_s: float = SILENT_S) -> str:
        """Say why nothing has arrived for `patience_s`, with the fix; '' while messages come."""
        if self.silent_s < patience_s:
            return ''
        everybody = self._node.get_publishers_info_by_topic(self._name)
        if not everybody:
            alone = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'LOCALHOST'
            return (f'nothing is published on {self.topic}; start the driver, or set its topic in '
                    f'the robot file' + ('; drivers on other machines are only seen with '
                                         'discovery:=subnet' if alone else ''))
        publishers = self._publishers()
        if not publishers:
            kinds = ', '.join(sorted({info.topic_type for info in everybody}))
            return (f'{self.topic} is published as {kinds}, this node reads {self._type}; set the '
                    f'type in the robot file')
        refused = [text for info in publishers if (text := self._incompatible(info))]
        if len(refused) == len(publishers):
            return f'{self.topic}: {refused[0]}; remove the override or change the publisher'
        count = f'{len(publishers)} publisher' + 's' * (len(publishers) > 1)
        hint = f'; {LARGE_HINT}' if self._type.rpartition('/')[2].endswith('Image') else ''
        return (f'{self.topic} has {count}, but nothing has arrived for {self.silent_s:.0f} s: '
                f'nothing is sent, or all of it is lost on the way{hint}')

    def _publishers(self) -> list[TopicEndpointInfo]:
        return [info for info in self._node.get_publishers_info_by_topic(self._name)
                if info.topic_type == self._type]

    def _wanted(self, publishers: Sequence[TopicEndpointInfo]) -> QoSProfile:
        profile = offered_qos(publishers, self._overrides['depth'])
        profile.durability = DurabilityPolicy.VOLATILE   # the past of a stream is not wanted
        for name, policy in self._overrides.items():
            if policy is not None:
                setattr(profile, name, policy)
        return profile

    def _incompatible(self, info: TopicEndpointInfo) -> str:
        """Say which policy keeps this publisher and the reader apart, or nothing."""
        found, _ = qos_check_compatible(info.qos_profile, self.profile)
        if found != QoSCompatibility.ERROR:
            return ''
        name = ('reliability' if info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
                and self.profile.reliability == ReliabilityPolicy.RELIABLE else 'durability')
        offered, asked = (getattr(profile, name).name.lower()
                          for profile in (info.qos_profile, self.profile))
        who = f'{info.node_namespace.rstrip("/")}/{info.node_name}'
        who = 'its publisher' if 'UNKNOWN' in who else who    # seen before its node
        return (f'{who} offers {name} {offered}, qos_overrides.{self.topic}.'
                f'subscription.{name} asks for {asked}')

    def _subscribe(self, profile: QoSProfile) -> None:
        old, self.profile = self._subscription, profile
        # First the new one: between the two a message comes twice or not at all, never both.
        self._subscription = self._node.create_subscription(
            self._kind, self._name, self._on_message, profile, event_callbacks=_QUIET)
        if old is not None:
            self._node.destroy_subscription(old)
            self._node.get_logger().info(
                f'{self.topic} is read anew as its publishers offer: '
                f'{profile.reliability.name.lower()}, {profile.durability.name.lower()}')

    def _on_message(self, message: Any, info: Any) -> None:
        self.received += 1
        self._newest_s = time.monotonic()
        self._callback(*(message, info)[:1 + self._takes_info])


def hear_everyone(node: Node, kind: type, topic: str, callback: Callable[[Any], None],
                  **options: Any) -> list[Subscription]:
    """Read small messages of which none may be missed, whatever each publisher offers.

    One reader for each offer, so a message may come up to three times: the callback must not
    mind. For e-stop buttons: one that is latched was perhaps pressed before we came, one that is
    best effort is not heard by a reliable reader.
    """
    return [node.create_subscription(kind, topic, callback, profile, event_callbacks=_QUIET,
                                     **options) for profile in EVERY_OFFER]


def _overrides(node: Node, topic: str, depth: int) -> dict[str, Any]:
    """Declare the standard parameters of a topic's reader; None is "as offered".

    Raises:
        ConfigError: If one of them has a value that is no policy.
    """
    values: dict[str, Any] = {'reliability': None, 'durability': None, 'history': None,
                              'depth': depth}
    for name in values:
        key = f'qos_overrides.{topic}.subscription.{name}'
        default = depth if name == 'depth' else 'best_available'
        try:
            value = node.declare_parameter(key, default, ParameterDescriptor(
                description=f'{name} of the reader of {topic}; best_available: as its publishers '
                            f'offer', read_only=True)).value
        except ParameterAlreadyDeclaredException:
            value = node.get_parameter(key).value
        except ParameterException as error:
            raise ConfigError(f'parameter {key} must be of type {type(default).__name__}: '
                              f'{error}') from error
        if name == 'depth':
            if value < 1:
                raise ConfigError(f'parameter {key} must be at least 1, got {value}')
            values[name] = value
        elif value != 'best_available':
            allowed = {policy.name.lower(): policy for policy in _POLICIES[name]
                       if policy.name not in ('UNKNOWN', 'BEST_AVAILABLE')}
            if value not in allowed:
                raise ConfigError(f'parameter {key} must be one of best_available, '
                                  f'{", ".join(allowed)}, got {value!r}')
            values[name] = allowed[value]
    return values


def _type_name(kind: type) -> str:
    """Return a message type as the graph names it, such as sensor_msgs/msg/Image."""
    package, *_ = kind.__module__.split('.')
    return f'{package}/msg/{kind.__name__}'
