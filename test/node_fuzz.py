"""Attacks running nodes: random messages, half messages and requests to everything they listen to.

The endpoints come from the running graph, so a new node, topic or service is attacked without
being named here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
from typing import Any

from lewm_ros.startup.lifecycle import LifecycleClient, TRANSITION_S
from lewm_ros.startup.system import NodeSpec
from message_fuzz import Fuzz, interface
from rcl_interfaces.srv import ListParameters, SetParameters, SetParametersAtomically
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_helpers import Graph
from system_specs import start

# What every kind of reader matches; the sender of a latched topic reaches volatile readers, too.
_OFFER = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE,
                    durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Attacked by a test of its own: where the simulator runs, it is the simulator's.
_CLOCK = '/clock'
_ENDING = (5, 6, 7, 8)   # transitions that end a node for good, as they should
_SPARED = ('/get_type_description',)   # answered in C, costs seconds each
_ANSWERS_S = 2.0        # rclpy answers nothing where its own service raised
_SETTLE_S = 0.5         # without anything new, the graph is known


@dataclass
class Endpoints:
    """What a node listens to, by absolute name: the class of the message or service."""

    topics: dict[str, type] = field(default_factory=dict)
    services: dict[str, type] = field(default_factory=dict)


@dataclass
class Attack:
    """Running nodes and what is sent to them.

    Args:
        graph: Where they run.
        specs: What to start.
        logs: Folder of their logs.
        seed: Of the values.
        samples: Good messages to damage, by class.
        spared: Topics and services to leave alone.
    """

    graph: Graph
    specs: tuple[NodeSpec, ...]
    logs: Path
    seed: int
    samples: dict[type, Any] = field(default_factory=dict)
    spared: tuple[str, ...] = ()
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    sent: int = 0
    asked: int = 0
    unanswered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.fuzz = Fuzz(self.seed)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._last = ''

    def start(self) -> None:
        """Start the nodes and take those with a lifecycle to active."""
        self.processes = start(self.graph, self.specs, self.logs)

    def log(self, name: str) -> Path:
        """Return the file with a node's output."""
        return self.logs / f'{name}.log'

    def endpoints(self, name: str) -> Endpoints:
        """Return what the node listens to, as the graph says."""
        node = self.graph.node
        found = Endpoints()
        for topic, kinds in node.get_subscriber_names_and_types_by_node(name, '/'):
            if topic not in self.spared and topic != _CLOCK:
                found.topics[topic] = interface(kinds[0])
        for service, kinds in node.get_service_names_and_types_by_node(name, '/'):
            if service not in self.spared and not service.endswith(_SPARED):
                found.services[service] = interface(kinds[0])
        return found

    def run(self, rounds: int, between: Callable[[], None] = lambda: None) -> None:
        """Send `rounds` messages to every topic and as many requests to every service.

        Raises:
            AssertionError: If a node has ended; says after what, with the end of its log.
        """
        targets = self.graph.wait_for(self._all_endpoints, 'what the nodes listen to')
        for found in targets.values():
            for topic, kind in found.topics.items():
                self._publishers.setdefault(topic, self.graph.node.create_publisher(
                    kind, topic, _OFFER))
            for service, kind in found.services.items():
                self._clients.setdefault(service, self.graph.node.create_client(kind, service))
        self.graph.spin(0.5)   # both ends have found each other
        for _ in range(rounds):
            for found in targets.values():
                for topic, kind in found.topics.items():
                    self._publish(topic, kind)
            self._ask([item for found in targets.values() for item in found.services.items()])
            between()

    def _all_endpoints(self) -> dict[str, Endpoints] | None:
        """Return what each node listens to, or None while more of it becomes known.

        A node may have no topic that is attacked: those of the simulator can all be spared.
        """
        before = {name: self.endpoints(name) for name in self.processes}
        self.graph.spin(_SETTLE_S)
        found = {name: self.endpoints(name) for name in self.processes}
        whole = (all(one.services for one in found.values())
                 and any(one.topics for one in found.values()))
        return found if whole and found == before else None

    def _publish(self, topic: str, kind: type) -> None:
        message = self._draw(kind)
        self._last = f'{topic} {str(message)[:2000]}'
        self._publishers[topic].publish(message)
        if self.sent % 7 == 0:   # the middleware of a peer may be of another version, or broken
            raw = serialize_message(message)
            self._publishers[topic].publish(raw[:max(len(raw) // 2, 4)])
        self.sent += 1
        self.graph.spin(0.005)
        self.check_alive()

    def _ask(self, services: list[tuple[str, type]]) -> None:
        waiting = []
        for service, kind in services:
            if self._clients[service].service_is_ready():
                request = self._request(kind)
                self._last = f'{service} {str(request)[:2000]}'
                waiting.append((service, self._clients[service].call_async(request)))
                self.asked += 1
                self.graph.spin(0.005)
                self.check_alive()
        try:
            self.graph.wait_for(lambda: all(future.done() for _, future in waiting),
                                'the answers', _ANSWERS_S)
        except TimeoutError:
            self.unanswered |= {name for name, future in waiting if not future.done()}
        self.check_alive()

    def _request(self, kind: type) -> Any:
        request = self._draw(kind.Request)
        if isinstance(request, (SetParameters.Request, SetParametersAtomically.Request)):
            for parameter in request.parameters:
                parameter.name = self.fuzz.choose((parameter.name, *self._parameter_names()))
        transition = getattr(request, 'transition', None)
        if transition is not None and (transition.id in _ENDING or transition.label):
            transition.id, transition.label = 99, ''
        if hasattr(request, 'timeout_s'):
            request.timeout_s = min(request.timeout_s, 1.0)
        return request

    def recover(self, name: str) -> None:
        """Take a lifecycle node to active, from wherever a request has brought it."""
        client = LifecycleClient(self.graph.node, self.graph.executor, f'/{name}')
        if client.state(TRANSITION_S) == 'unconfigured':
            client.configure(TRANSITION_S)
        if client.state(TRANSITION_S) == 'inactive':
            client.activate(TRANSITION_S)

    def restart(self, name: str) -> None:
        """Take an active lifecycle node down and up again: what is latched comes again."""
        client = LifecycleClient(self.graph.node, self.graph.executor, f'/{name}')
        client.deactivate(TRANSITION_S)
        client.activate(TRANSITION_S)

    def _parameter_names(self) -> list[str]:
        if not hasattr(self, '_names'):
            self._names = sorted({name for spec in self.specs for name in spec.parameters})
            for spec in self.specs:
                answer = self.graph.call(ListParameters, f'{spec.path}/list_parameters',
                                         ListParameters.Request())
                self._names += answer.result.names
        return self._names

    def _draw(self, kind: type) -> Any:
        if kind in self.samples and self.fuzz.choose((True, True, False)):
            return self.fuzz.damaged(self.samples[kind])
        return self.fuzz.choose((self.fuzz.random_message, lambda kind: self.fuzz.damaged(kind()))
                                )(kind)

    def check_alive(self) -> None:
        """Fail if a node has ended; say after what, with the end of its log."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.log(name).read_text(errors='replace')
                raise AssertionError(f'{name} ended with status {process.returncode} after '
                                     f'{self._last}\nIts log ends with:\n{log[-6000:]}')
