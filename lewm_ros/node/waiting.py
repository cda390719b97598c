"""Waiting inside a callback, without keeping the node from its other callbacks."""

from __future__ import annotations

from lewm_ros.node.plain import PlainNode
from rclpy.task import Future


async def pause(node: PlainNode, seconds: float) -> None:
    """Wait on the steady clock; call it from a callback of a reentrant group, or from a task."""
    over = Future(executor=node.executor)
    timer = node.create_timer(seconds, lambda: over.done() or over.set_result(None),
                              clock=node.steady)
    try:
        await over
    finally:
        node.destroy_timer(timer)
