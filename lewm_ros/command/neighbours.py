"""Looks at the graph around the command topics, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_ros.command.audience import Audience, Endpoint
from lewm_ros.wire.reasons import Code, Reason
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo


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

    def look(self, *, moving: bool) -> None:
        """Ask the graph; `moving`: the robot is being driven."""
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

    def state_publishers(self) -> int:
        """Count the publishers of the joint states."""
        return self._node.count_publishers(self._state_topic) if self._state_topic else 0

    def doubts(self) -> list[Reason]:
        """Return what is wrong though it may not stop the robot now, for diagnostics."""
        found = [self.nobody(), self.others()]
        count = self.state_publishers()
        if count > 1 and not self._shared_state:
            found.append(Reason(Code.JOINT_STATE_CONFLICT, (
                f'{count} publishers on {self._state_topic}; if they report different joints, add '
                f'state to shared_topics of the robot file')))
        return [reason for reason in found if reason]


def _endpoints(infos: Sequence[TopicEndpointInfo]) -> list[Endpoint]:
    return [Endpoint(bytes(one.endpoint_gid),
                     f'{one.node_namespace.rstrip("/")}/{one.node_name}') for one in infos]


def _first(reasons) -> Reason:
    return next((reason for reason in reasons if reason), Reason())
