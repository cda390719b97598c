"""Run one node as a process: until a signal, with a clean end and an exit status."""

from __future__ import annotations

from collections.abc import Callable
import time

from lewm_model.errors import LewmError
from lewm_ros.node.executor import SurvivingExecutor
from lewm_ros.node.interrupt import Interrupt, NO_HANDLERS
from lewm_ros.node.priority import BEFORE, hurry
import rclpy
from rclpy.node import Node

# Exit status of a node that cannot be made with the settings it was given. Starting it again
# would not help, so launch and `bringup` end the system; after any other end they may respawn.
REFUSED = 2


_LAST_S = 1.0   # for callbacks that answer when the node ends


def spin(node: Node, end: Interrupt, *, conclude: Callable[[], bool] = lambda: True) -> None:
    """Handle the node's callbacks, one at a time, until the end.

    Args:
        node: Whose callbacks.
        end: Says when.
        conclude: Called at the end, and again after each further callback, until it says that
            everybody was answered, for at most a second.
    """
    executor = SurvivingExecutor(node)
    while rclpy.ok() and not end.is_set():
        executor.spin_once(timeout_sec=0.1)
    last_s = time.monotonic() + _LAST_S
    while rclpy.ok() and not conclude() and time.monotonic() < last_s:
        executor.spin_once(timeout_sec=0.02)


def run_node(make: Callable[[], Node], args: list[str] | None, *,
             last_act: Callable[[Node], None] = lambda node: None,
             loop: Callable[[Node, Interrupt], None] = spin, urgent: bool = False) -> int:
    """Make a node and run it until SIGINT or SIGTERM; return the exit status.

    Args:
        make: Builds the node; a LewmError from it is logged and ends with status REFUSED, a
            later one with status 1.
        args: ROS arguments; those of the process when None.
        last_act: Called while the node can still publish, also after a crash.
        loop: What to do until the end.
        urgent: It stops the robot, also on a machine that has too much to do.
    """
    hurried = urgent and hurry()
    rclpy.init(args=args, signal_handler_options=NO_HANDLERS)
    end = Interrupt()
    node = None
    try:
        node = make()
        if urgent and not hurried:
            node.get_logger().info(f'may not lower its nice value by {BEFORE}: on a busy machine '
                                   f'it may stop the robot late, see docs/robots.md')
        loop(node, end)
    except LewmError as error:
        rclpy.logging.get_logger(node.get_name() if node else 'lewm_ros').fatal(str(error))
        return 1 if node else REFUSED
    finally:
        if node is not None:
            last_act(node)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
