"""Which node sent a message, by the middleware's identifier of its publisher."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

_UNKNOWN = '_NODE_NAME_UNKNOWN_'     # of a publisher that is known before its node is


class Senders:
    """Tells the senders of some topics.

    Args:
        node: Whose readers get the messages.
        topics: Their names.
    """

    def __init__(self, node: Node, *topics: str) -> None:
        self._node, self._topics = node, topics
        self._names: dict[bytes, tuple[str, str]] = {}    # publisher -> namespace, node

    def of(self, info: dict[str, Any]) -> tuple[str, str]:
        """Return namespace and name of the node that sent a message; empty where unknown.

        Args:
            info: What a callback of two arguments gets beside the message.
        """
        gid = _publisher(info)
        if gid and gid not in self._names:
            self._names = {bytes(one.endpoint_gid): (one.node_namespace, one.node_name)
                           for topic in self._topics
                           for one in self._node.get_publishers_info_by_topic(topic)
                           if one.node_name != _UNKNOWN}
        return self._names.get(gid, ('', ''))

    def is_ours(self, info: dict[str, Any]) -> bool:
        """Tell whether a node in the namespace of this one sent a message.

        One that is not known yet did not; true of all where the middleware does not tell.
        """
        return not _publisher(info) or self.of(info)[0] == self._node.get_namespace()


def _publisher(info: dict[str, Any]) -> bytes:
    return bytes((info.get('publisher_gid') or {}).get('data', b''))
