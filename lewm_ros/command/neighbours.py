"""Looks at the graph around the command topics, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lewm_ros.command.audience import Audience, Endpoint
from lewm_ros.wire.reasons import Code, Reason
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo


@dataclass(frozen=True)
class Source:
    """Who reports joints: two are the same if their identities are, named or not."""

    identity: bytes
    node: str = field(compare=False)

    def __str__(self) -> str:
        return self.node


class Neighbours:
    """Who else commands the robot, who listens, and how many report its state.

    Args:
        node: The one that commands.
        topics: Where it commands.
        state_topic: Where joints are reported; '' if it does not listen to them.
        shared_state: Several publishers of states are meant.
    """

    def __init__(self, node: Node, topics: Sequence[str], state_topic: str, *,
                 shared_state: bool) -> None:
        self._node = node
        self._audiences = {topic: Audience(topic, node.get_fully_qualified_name())
                           for topic in topics}
        self._state_topic, self._shared_state = state_topic, shared_state
        self._sources: dict[bytes, Source] = {}

    def look(self, *, moving: bool) -> None:
        """Ask the graph; `moving`: the robot is being driven."""
        self._sources = {key: one for key, one in self._sources.items() if one.node}
        for topic, audience in self._audiences.items():
            audience.look(_endpoints(self._node.get_publishers_info_by_topic(topic)),
                          _endpoints(self._node.get_subscriptions_info_by_topic(topic)),
                          moving=moving)

    def nobody(self) -> Reason:
        """Say on which topic nobody listens, or nothing."""
        return _first(one.nobody() for one in self._audiences.values())

    def others(self) -> Reason:
        """Say who else publishes commands, or nothing."""
        return _first(one.others() for one in self._audiences.values())

    def lost(self) -> Reason:
        """Say which listener has gone since the motion began, or nothing."""
        return _first(one.lost for one in self._audiences.values())

    def source(self, identity: bytes) -> Source:
        """Return the publisher of joint states with this identity, named if the graph tells."""
        if identity not in self._sources:
            names = {one.identity: one.node for one in self._state_publishers()
                     if 'UNKNOWN' not in one.node}    # it may be seen before its node
            self._sources[identity] = Source(identity, names.get(identity, ''))
        return self._sources[identity]

    def state_publishers(self) -> int:
        """Count the publishers of the joint states."""
        return len(self._state_publishers())

    def _state_publishers(self) -> list[Endpoint]:
        return _endpoints(self._node.get_publishers_info_by_topic(self._state_topic)
                          if self._state_topic else ())

    def doubts(self) -> list[Reason]:
        """Return what is wrong though it may not stop the robot now, for diagnostics."""
        found = [self.nobody(), self.others()]
        reporters = self._state_publishers()
        if len(reporters) > 1 and not self._shared_state:
            found.append(Reason(Code.JOINT_STATE_CONFLICT, (
                f'{len(reporters)} publishers on {self._state_topic} '
                f'({", ".join(sorted(one.node for one in reporters))}); if they report different '
                f'joints, add state to shared_topics of the robot file')))
        return [reason for reason in found if reason]


def _endpoints(infos: Sequence[TopicEndpointInfo]) -> list[Endpoint]:
    return [Endpoint(bytes(one.endpoint_gid),
                     f'{one.node_namespace.rstrip("/")}/{one.node_name}') for one in infos]


def _first(reasons) -> Reason:
    return next((reason for reason in reasons if reason), Reason())
