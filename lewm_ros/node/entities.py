"""What a node owns in one of its states: made with guarded callbacks, withdrawn together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_ros.node.guard import Guard
from lewm_ros.node.readers import hear_everyone, OfferedReader
from rclpy.node import Node
from sensor_msgs.msg import JointState

JOINTS_DEPTH = 50   # messages; parts of a state may come in a burst


class Entities:
    """Subscriptions, timers, publishers and services that live as long as one state of a node.

    Args:
        node: Their owner. A lifecycle node makes lifecycle publishers.
        guard: Wraps every callback.
    """

    def __init__(self, node: Node, guard: Guard) -> None:
        self._node = node
        self._guard = guard
        self._owned: list[tuple[Callable[[Any], Any], Any]] = []

    def subscription(self, kind: type, topic: str, callback: Callable[[Any], None],
                     profile: Any, **options: Any) -> Any:
        """Subscribe until the state is left; `options` are those of rclpy."""
        made = self._node.create_subscription(
            kind, topic, self._guard.listener(callback, f'message on {topic}'), profile,
            **options)
        return self.own(made, self._node.destroy_subscription)

    def stream(self, kind: type, topic: str, callback: Callable[..., None], *, depth: int,
               as_offered: bool = True) -> OfferedReader:
        """Read what somebody else publishes until the state is left; see `OfferedReader`."""
        made = OfferedReader(self._node, kind, topic, self._guard.listener(
            callback, f'message on {topic}'), depth=depth, guard=self._guard,
            as_offered=as_offered)
        return self.own(made, OfferedReader.close)

    def joints(self, topic: str, callback: Callable[..., None]) -> OfferedReader:
        """Read the joint states of a robot until the state is left."""
        return self.stream(JointState, topic, callback, depth=JOINTS_DEPTH, as_offered=False)

    def everyone(self, kind: type, topic: str, callback: Callable[[Any], None],
                 **options: Any) -> None:
        """Read small messages of which none may be missed; see `hear_everyone`."""
        for made in hear_everyone(self._node, kind, topic, self._guard.listener(
                callback, f'message on {topic}'), **options):
            self.own(made, self._node.destroy_subscription)

    def timer(self, period_s: float, callback: Callable[[], None], **options: Any) -> Any:
        """Call back until the state is left."""
        made = self._node.create_timer(
            period_s, self._guard.listener(callback, callback.__name__.strip('_')), **options)
        return self.own(made, self._node.destroy_timer)

    def publisher(self, kind: type, topic: str, profile: Any, **options: Any) -> Any:
        """Offer a topic until the state is left; silent while a lifecycle node is not active."""
        make = getattr(self._node, 'create_lifecycle_publisher', self._node.create_publisher)
        destroy = getattr(self._node, 'destroy_lifecycle_publisher',
                          self._node.destroy_publisher)
        return self.own(make(kind, topic, profile, **options), destroy)

    def service(self, kind: type, name: str, callback: Callable[[Any, Any], Any],
                **options: Any) -> Any:
        """Answer requests until the state is left."""
        made = self._node.create_service(
            kind, name, self._guard.server(callback, f'service {name}'), **options)
        return self.own(made, self._node.destroy_service)

    def own(self, entity: Any, destroy: Callable[[Any], Any]) -> Any:
        """Take anything else along: `destroy(entity)` is called when the state is left."""
        self._owned.append((destroy, entity))
        return entity

    def withdraw(self) -> None:
        """Destroy all of them; one that fails does not save the others."""
        owned, self._owned = self._owned, []
        for destroy, entity in reversed(owned):
            try:
                destroy(entity)
            except Exception as error:
                self._guard.note(f'destroying {type(entity).__name__}', error)
