"""Start a system of nodes as plain processes, where `ros2 launch` is not installed.

    python -m lewm_ros.startup.bringup --sim

Reads the same table as `launch/plan.launch.py` (see `system`). Ctrl-C ends everything, the
command node first, so the robot is told to stand still while it can still hear it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import random
import signal
import socket
import sys
import time

from lewm_model.errors import LewmError
from lewm_ros.node.run_node import REFUSED
from lewm_ros.startup import params_file
from lewm_ros.startup.discovery import discovery_environment
from lewm_ros.startup.lifecycle import LifecycleClient, TRANSITION_S
from lewm_ros.startup.options import add_arguments, SystemOptions
from lewm_ros.startup.processes import Child, stop
from lewm_ros.startup.system import NodeSpec, OWN_PACKAGE, supervisor, system
from lewm_ros.startup.transport import Transports
from lewm_ros.startup.viewers import program_of, require_programs
import rclpy
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier


class SystemDown(LewmError):
    """A node that the system needs is not running."""


def isolate() -> int:
    """Keep this process and its children away from other ROS systems; return the domain.

    An environment that already chooses a domain or a discovery range is left as it is.
    """
    os.environ.update(discovery_environment('auto', os.environ))
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
        log_folder: Gets one log per process.
        respawn_delay_s: How long a dead node stays away, if it is started again at all.
        dds_profile: As in `SystemOptions`.
        discovery: As in `SystemOptions`.
    """

    def __init__(self, nodes: Sequence[NodeSpec], log_folder: Path, *,
                 respawn_delay_s: float = 2.0, dds_profile: str = 'auto',
                 discovery: str = 'auto') -> None:
        self.nodes = tuple(nodes)
        self.log_folder = log_folder
        self.children: dict[str, Child] = {}
        self._respawn_delay_s = respawn_delay_s
        self._dds_profile, self._discovery = dds_profile, discovery
        self._starts: dict[str, int] = {}
        self._ended_s: dict[str, float] = {}   # when an end was noticed, steady clock

    def __enter__(self) -> Bringup:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self._chosen = params_file.write_chosen(self.nodes, self.log_folder)
        self._environment = {**os.environ, 'PYTHONUNBUFFERED': '1',
                             'ROS_LOG_DIR': str(self.log_folder / 'ros')}
        self._transports = Transports.here(
            self._dds_profile, get_rmw_implementation_identifier(), self._discovery)
        try:
            for node in self.nodes:
                self._start(node)
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

    def _start(self, node: NodeSpec) -> None:
        name = node.executable
        count = self._starts[name] = self._starts.get(name, 0) + 1
        files = [file for file in (node.params_file, self._chosen.get(name)) if file]
        program = ([sys.executable, '-m', node.module] if node.package == OWN_PACKAGE
                   else [str(program_of(node.package, name))])
        self.children[name] = Child(
            name, [*program, *node.arguments, *node.ros_arguments(*files)],
            self.log_folder / (f'{name}.log' if count == 1 else f'{name}_{count}.log'),
            {**self._environment, **self._transports.of(node)})

    def check(self) -> None:
        """Raise SystemDown if any node has ended."""
        for child in self.children.values():
            if child.exit_status() is not None:
                raise SystemDown(_end_of(child, whole=True))

    def tend(self) -> bool:
        """Start again what died and may; tell whether the system has finished its work.

        Raises:
            SystemDown: If a process ended without which the system cannot go on.
        """
        for spec in self.nodes:
            child = self.children[spec.executable]
            status = child.exit_status()
            if status is None:
                continue
            if spec.finishes and status == 0:
                return True
            if spec.essential or status == REFUSED:
                time.sleep(spec.survived_s)
                raise SystemDown(_end_of(child, whole=True))
            self._respawn(spec, child)
        return False

    def _respawn(self, spec: NodeSpec, child: Child) -> None:
        if spec.executable not in self._ended_s:
            self._ended_s[spec.executable] = time.monotonic()
            what = (f'it is started again in {self._respawn_delay_s:g} s' if spec.respawn
                    else 'the system goes on without it')
            # a signal says it all; who ended by itself had a reason
            print(f'{_end_of(child, whole=child.exit_status() > 0)}\n{child.name}: {what}',
                  file=sys.stderr)
        if (spec.respawn and time.monotonic() - self._ended_s[spec.executable]
                >= self._respawn_delay_s):
            del self._ended_s[spec.executable]
            self._start(spec)

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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; what is not given on the command line is not in its result."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='bringup', description=__doc__.splitlines()[0],
                                     argument_default=argparse.SUPPRESS)
    add_arguments(parser)
    parser.add_argument('--log-folder', type=Path, help='gets one log per process')
    return parser


def main(args: list[str] | None = None) -> int:
    """Run a system until it is interrupted or an essential node ends."""
    values = vars(build_parser().parse_args(args))
    log_folder = values.pop('log_folder', Path('out/bringup/log'))
    handle_signals()
    try:
        return _run(SystemOptions(**values), set(values), log_folder)
    except LewmError as error:
        print(f'bringup: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def handle_signals() -> None:
    """Let SIGINT and SIGTERM both end in a clean KeyboardInterrupt, whoever started us."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _run(options: SystemOptions, given: set[str], log_folder: Path) -> int:
    nodes = system(options, given)
    require_programs(nodes)
    watching = supervisor(options, nodes)
    if options.params_file:
        params_file.check(options.params_file, namespace=options.root_namespace)
    with Bringup([*nodes, *filter(None, [watching])], log_folder,
                 respawn_delay_s=options.respawn_delay,
                 dds_profile=options.dds_profile,
                 discovery=options.discovery) as running:
        print(f'{len(nodes)} nodes start; logs: {log_folder}; Ctrl-C ends them', flush=True)
        shown = 0
        while not running.tend():
            if watching is not None:   # what it says is for people
                text = running.children[watching.executable].log.read_text(errors='replace')
                print(text[shown:], end='', flush=True)
                shown = len(text)
            time.sleep(0.2)
    return 0


def _end_of(child: Child, *, whole: bool = False) -> str:
    """Say how a process ended, with the end of its log if `whole`."""
    status = child.exit_status()
    how = f'signal {-status}' if status < 0 else f'exit status {status}'
    last = f'; the end of {child.log}:\n{child.last_lines()}' if whole else ''
    return f'{child.name} ended ({how}){last}'


if __name__ == '__main__':
    sys.exit(main())
