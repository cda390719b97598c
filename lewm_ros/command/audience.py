"""Who else is on the command topic: others who command the robot, and who listens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_ros.wire.reasons import Code, Reason

# They only watch: none of them would move the robot, or miss a command.
_SPECTATORS = ('recorder_node', 'guard_node', 'rosbag2', '_ros2cli', 'ros2cli', 'foxglove_bridge',
               'rosbridge', 'rosapi', 'rqt', 'plotjuggler', 'rviz')
_STAND_IN = 'guard_node'   # commands the robot only in this node's place


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscription on the topic."""

    identity: bytes
    node: str     # full name

    @property
    def name(self) -> str:
        """The node's name without its namespace."""
        return self.node.rpartition('/')[2]


class Audience:
    """Watches one topic.

    Args:
        topic: For people.
        own: Full name of the node that commands the robot.
    """

    def __init__(self, topic: str, own: str) -> None:
        self._topic, self._own = topic, own
        self._others: list[str] = []
        self._listeners: set[Endpoint] = set()
        self._known: set[Endpoint] = set()     # listeners when the present motion began
        self.lost = Reason()

    def look(self, publishers: Sequence[Endpoint], listeners: Sequence[Endpoint], *,
             moving: bool) -> None:
        """Take who is on the topic now.

        Args:
            publishers: All of them, with this node's own.
            listeners: All of them.
            moving: The robot is being driven, so its controller must stay the one it was.
        """
        self._others = sorted({one.node for one in publishers
                               if one.node != self._own and one.name != _STAND_IN})
        self._listeners = {one for one in listeners if not one.name.startswith(_SPECTATORS)}
        self.lost = self._missing() if moving else Reason()
        if not moving or not self._known:
            self._known = self._listeners

    def nobody(self) -> Reason:
        """Say that no controller listens, or nothing."""
        if self._listeners:
            return Reason()
        return Reason(Code.NO_LISTENER, f'nobody listens on {self._topic}; start the controller '
                      f'or driver of the robot')

    def others(self) -> Reason:
        """Say who else publishes commands, or nothing."""
        if not self._others:
            return Reason()
        return Reason(Code.FOREIGN_COMMANDS, f'{", ".join(self._others)} also publish'
                      f'{"es" * (len(self._others) == 1)} on {self._topic}; end it, or set '
                      f'allow_other_publishers')

    def _missing(self) -> Reason:
        gone = self._known - self._listeners
        if not gone or self._known & self._listeners and not (
                {one.node for one in gone} & {one.node for one in self._listeners}):
            return Reason()
        names = ', '.join(sorted({one.node for one in gone}))
        return Reason(Code.NO_LISTENER, f'{names} listened on {self._topic} when the motion began '
                      f'and is gone or was started again; see to it that the controller is well')
