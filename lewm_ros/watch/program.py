"""Show a running system on one terminal screen; `lewm watch` starts this.

    python -m lewm_ros.watch.program [--once] [--namespace left]

Only listens, so it may be started, stopped and run several times beside a robot that moves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
import sys
import time

from lewm_ros.node.interrupt import Interrupt, NO_HANDLERS
from lewm_ros.watch.listener import Listener
from lewm_ros.watch.screen import judge, Level, lines, Screen
from lewm_sim.commands.watch import add_arguments
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rich.console import Console
from rich.live import Live
from rich.text import Text

UNHEALTHY = 1
_DRAW_S = 0.25          # on a terminal
_PRINT_S = 1.0          # where there is none
_SPIN_S = 0.05
_FIRST_S = 1.5          # of listening before a first screen; nodes say once a second how they are
_STYLES = {Level.OK: '', Level.WARN: 'yellow', Level.ERROR: 'bold red'}


def drawn(screen: Screen, width: int) -> Text:
    """Return the screen in colours."""
    return Text('\n').join(Text(line, _STYLES[level]) for line, level in lines(screen, width))


def watch(look: Callable[[float], Screen], console: Console, *, once: bool, wait_s: float,
          end: Callable[[], bool]) -> int:
    """Show what `look` sees until `end`; return the exit status.

    Args:
        look: Listens for so many seconds and returns the screen.
        console: Where to write.
        once: One screen, when it was healthy for as long as every node takes to say how it is, or
            after `wait_s`.
        wait_s: How long nodes may take to be heard.
        end: Whether to stop.
    """
    if once:
        until_s, well_s = time.monotonic() + wait_s, None
        screen = look(_SPIN_S)
        while (now_s := time.monotonic()) < until_s and not end():
            well_s = (well_s or now_s) if screen.healthy else None
            if well_s and now_s - well_s >= _FIRST_S:
                break
            screen = look(_SPIN_S)
        console.print(drawn(screen, console.width), soft_wrap=True)
        return 0 if screen.healthy else UNHEALTHY
    if not console.is_terminal:
        while not end():
            console.print(drawn(look(_PRINT_S), console.width), '', sep='\n', soft_wrap=True)
        return 0
    look(_FIRST_S)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not end():
            live.update(drawn(look(_DRAW_S), console.width), refresh=True)
    return 0


def main(args: list[str] | None = None) -> int:
    """Run until Ctrl-C; with --once return whether the system is healthy."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='lewm watch', description=__doc__.splitlines()[0])
    add_arguments(parser)
    options = parser.parse_args(args)
    # warnings of the middleware would be written across the screen
    rclpy.init(args=['--ros-args', '--log-level', 'fatal', '--disable-rosout-logs'],
               signal_handler_options=NO_HANDLERS)
    end = Interrupt()
    node = Node(f'lewm_watch_{os.getpid()}', namespace=options.namespace, enable_rosout=False,
                start_parameter_services=False, parameter_overrides=[
                    Parameter('start_type_description_service', value=False)])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    listener = Listener(node, time.monotonic)

    def look(seconds: float) -> Screen:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and not end.is_set():
            executor.spin_once(timeout_sec=min(left_s, _SPIN_S))
        return judge(listener.snapshot())

    try:
        return watch(look, Console(highlight=False, emoji=False, markup=False),
                     once=options.once, wait_s=options.wait, end=end.is_set)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
