"""Hears every e-stop button, whatever quality of service its publisher offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_ros.command.e_stop import EStop
from lewm_ros.node.entities import Entities
from rclpy.node import Node
from std_msgs.msg import Bool

TOPIC = 'e_stop'


_UNKNOWN = b''   # publisher, where rclpy does not tell; then all of them are one button


class EStopReader:
    """The buttons on the topic, told apart by their publishers.

    Args:
        node: Owner of the readers.
        entities: Where they live.
        on_change: Called when the first button is pressed, and when the last is released.

    Attributes:
        buttons: Which are pressed.
    """

    def __init__(self, node: Node, entities: Entities, on_change: Callable[[bool], None]) -> None:
        self.buttons = EStop()
        self._node, self._on_change = node, on_change
        entities.everyone(Bool, TOPIC, self._on_message)

    def look(self) -> None:
        """Find out which publishers are there."""
        alive = {bytes(one.endpoint_gid)
                 for one in self._node.get_publishers_info_by_topic(TOPIC)}
        self.buttons.look(alive | {_UNKNOWN} if alive else alive)

    def clear_vanished(self) -> str:
        """Release the buttons that are gone; return why that is not enough, or nothing."""
        self.look()
        was = self.buttons.pressed
        refusal = self.buttons.clear_vanished()
        if was and not self.buttons.pressed:
            self._on_change(False)
        return refusal

    def _on_message(self, message: Bool, info: dict[str, Any]) -> None:
        was = self.buttons.pressed
        self.buttons.hear(publisher_of(info), message.data, info.get('source_timestamp') or 0)
        if self.buttons.pressed != was:
            self._on_change(self.buttons.pressed)


def publisher_of(info: dict[str, Any]) -> bytes:
    """Return the identity of the publisher of a message; empty where rclpy does not tell it."""
    return bytes((info.get('publisher_gid') or {}).get('data', _UNKNOWN))
