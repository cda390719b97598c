"""Start a system of nodes as plain processes, where `ros2 launch` is not installed.

    python -m lewm_ros.startup.bringup --sim

Reads the same table as `launch/plan.launch.py` (see `system`). Ctrl-C ends everything, the
command node first, so the robot is told to stand still while it can still hear it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
import os
from pathlib import Path
import random
import signal
import socket
import sys
import time

from lewm_model.errors import LewmError
from lewm_ros.startup.lifecycle import LifecycleClient, TRANSITION_S
from lewm_ros.startup.processes import Child, stop
from lewm_ros.startup.system import NodeSpec, system, SystemOptions
import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


class SystemDown(LewmError):
    """A node that the system needs is not running."""


def isolate() -> int:
    """Keep this process and its children away from other ROS systems; return the domain.

    An environment that already chooses a domain or a discovery range is left as it is.
    """
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if not os.environ.get('ROS_DOMAIN_ID'):
        os.environ['ROS_DOMAIN_ID'] = str(free_domain())
    return int(os.environ['ROS_DOMAIN_ID'])


def free_domain() -> int:
    """Return a domain whose first participant is not running on this machine."""
    candidates = random.sample(range(1, 102), 101)  # below the ephemeral ports of Linux
    for domain in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', 7410 + 250 * domain))  # DDSI-RTPS 9.6.1: unicast discovery
            except OSError:
                continue
            return domain
    raise SystemDown('all ROS domains from 1 to 101 are in use on this machine; '
                     'set ROS_DOMAIN_ID')


class Bringup:
    """A running system; leaving the `with` block ends every process.

    Use it from the main thread, and before `rclpy.init`, so that no thread is copied by a fork.

    Args:
        nodes: From `system.system`.
        log_folder: Gets one log per node.
    """

    def __init__(self, nodes: Sequence[NodeSpec], log_folder: Path) -> None:
        self.nodes = tuple(nodes)
        self.log_folder = log_folder
        self.children: dict[str, Child] = {}

    def __enter__(self) -> Bringup:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1',
                       'ROS_LOG_DIR': str(self.log_folder / 'ros')}
        try:
            for node in self.nodes:
                self.children[node.executable] = Child(
                    node.executable,
                    [sys.executable, '-m', node.module, *node.ros_arguments()],
                    self.log_folder / f'{node.executable}.log', environment)
        except BaseException:
            stop(self.children.values())
            raise
        return self

    def __exit__(self, *_) -> None:
        children = list(self.children.values())
        try:
            stop(children[:1])  # the first node stops the robot, the others must still listen
        finally:
            stop(children)

    def check(self) -> None:
        """Raise SystemDown if any node has ended."""
        for child in self.children.values():
            status = child.exit_status()
            if status is not None:
                how = f'signal {-status}' if status < 0 else f'exit status {status}'
                raise SystemDown(f'{child.name} ended ({how}); the end of {child.log}:\n'
                                 f'{child.last_lines()}')

    def activate(self, node: Node, executor: Executor, timeout_s: float = TRANSITION_S) -> None:
        """Configure and activate the lifecycle nodes, in the order of the table.

        Raises:
            SystemDown: If a node ended meanwhile, or refused; with the end of its log.
        """
        for spec in self.nodes:
            if not spec.lifecycle:
                continue
            client = LifecycleClient(node, executor, spec.path, alive=self.check)
            try:
                client.configure(timeout_s)
                client.activate(timeout_s)
            except SystemDown:
                raise
            except LewmError as error:
                child = self.children[spec.executable]
                raise SystemDown(f'{error}; the end of {child.log}:\n'
                                 f'{child.last_lines()}') from error


@contextmanager
def own_node(name: str, namespace: str = '') -> Iterator[tuple[Node, Executor]]:
    """Start ROS in this process, after `Bringup`; yield a node and what spins it.

    Signals stay with `handle_signals`. Leaving the `with` block ends ROS here.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node(name, namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        node.destroy_node()
        rclpy.shutdown()


def main(args: list[str] | None = None) -> int:
    """Run a system until it is interrupted or an essential node ends."""
    parser = argparse.ArgumentParser(prog='bringup', description=__doc__.splitlines()[0])
    for item in fields(SystemOptions):
        flag = f'--{item.name.replace("_", "-")}'
        kind = ({'action': argparse.BooleanOptionalAction} if isinstance(item.default, bool)
                else {'metavar': item.name.upper(), 'type': type(item.default)})
        parser.add_argument(flag, default=item.default, help=item.metadata['help'], **kind)
    parser.add_argument('--log-folder', type=Path, default=Path('out/bringup/log'))
    values = vars(parser.parse_args(args))
    log_folder = values.pop('log_folder')
    handle_signals()
    try:
        return _run(SystemOptions(**values), log_folder)
    except LewmError as error:
        print(f'bringup: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def handle_signals() -> None:
    """Let SIGINT and SIGTERM both end in a clean KeyboardInterrupt, whoever started us."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _run(options: SystemOptions, log_folder: Path) -> int:
    nodes = system(options)
    with (Bringup(nodes, log_folder) as running,
          own_node('bringup', options.namespace) as (node, executor)):
        if options.autostart:
            running.activate(node, executor)
        print(f'{len(nodes)} nodes run; logs: {log_folder}; Ctrl-C ends them')
        while True:
            for spec in nodes:
                status = running.children[spec.executable].exit_status()
                if spec.finishes and status == 0:
                    return 0
                if spec.essential and status is not None:
                    running.check()
            time.sleep(0.2)


if __name__ == '__main__':
    sys.exit(main())
