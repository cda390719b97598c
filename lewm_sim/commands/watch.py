"""Show a running system on one terminal screen: goal, distance, latency, state, surprise."""

from __future__ import annotations

import argparse
import contextlib
from importlib.util import find_spec
import os
import shlex
import sys

from lewm_model.errors import ConfigError

_PROGRAM = 'lewm_ros.watch.program'
_NEEDS = ('rclpy', 'lewm_ros.msg')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--once', action='store_true',
                        help='print one screen and end; status 0: every node answers and nothing '
                             'is an error, 1: not so')
    parser.add_argument('--namespace', default='', help='of the system (default: none)')
    parser.add_argument('--wait', type=float, default=5.0, metavar='S',
                        help='with --once: how long nodes may take to be heard '
                             '(%(default)s s)')


def run(args: argparse.Namespace) -> int:
    """Become the program that listens: it needs ROS, and nothing here imports that.

    Raises:
        ConfigError: If ROS or the messages are not there.
    """
    if not all(map(_is_there, _NEEDS)):
        raise ConfigError('lewm watch listens to a running ROS 2 system and needs the built '
                          'package; run: make setup && source install/setup.bash')
    words = shlex.split(args.command_line)
    words = words[words.index('watch') + 1:]
    os.execv(sys.executable, [sys.executable, '-m', _PROGRAM, *words])
    return 0   # never


def _is_there(name: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):   # the parent of a dotted name
        return find_spec(name) is not None
    return False
