"""A command node with a bug: an e-stop message raises. Run by the tests of the command node."""

import sys

from lewm_ros.command.command_node import CommandNode, main


def _crash(node, message) -> None:
    raise RuntimeError('a bug in a callback')


if __name__ == '__main__':
    CommandNode._on_e_stop = _crash
    sys.exit(main())
