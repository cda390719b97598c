"""A private ROS domain for one test: its own node, real processes, waiting with time limits."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from lewm_ros.startup import bringup
from lewm_ros.startup.lifecycle import LifecycleClient, LifecycleError
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
import rclpy
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message

ROOT = Path(__file__).resolve().parents[1]
_OWN_DOMAINS = 10  # those below are the runs' own
_SETTLE_S = 0.3
_AGAIN_S = 0.05   # between two messages that may be lost
_TURN_S = 0.02    # between two looks at what no message tells
_DEEP = 500       # messages that wait for a test that is busy, or gets no time


def code_name(answer: Any) -> str:
    """Return what the code of an answer is called in the definition of its service."""
    kind = type(answer)
    name, = (name for name in dir(kind) if name.isupper() and getattr(kind, name) == answer.code)
    return name


def free_domain() -> int:
    """Return a domain that is not in use, and that no run of the tests claims; see conftest."""
    while (domain := bringup.free_domain()) < _OWN_DOMAINS:
        pass
    return domain


def over_the_wire(message: Any) -> Any:
    """Return what the other side gets."""
    return deserialize_message(serialize_message(message), type(message))


class Graph:
    """A context manager: the test's node, its executor, and the processes it started."""

    def __init__(self, *, use_sim_time: bool = False) -> None:
        self.domain = free_domain()
        self._use_sim_time = use_sim_time
        self._processes: list[subprocess.Popen] = []
        self._clients: dict[str, Client] = {}
        self._managed: dict[str, LifecycleClient] = {}

    def __enter__(self) -> Graph:
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node('test_node', context=self._context, parameter_overrides=[
            Parameter('use_sim_time', value=self._use_sim_time)])
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        return self

    def __exit__(self, *exception) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    @property
    def executor(self) -> SingleThreadedExecutor:
        """The executor of the test's node."""
        return self._executor

    def spawn(self, module: str, *arguments: str, parameters: dict[str, Any] | None = None,
              output: Path | None = None) -> subprocess.Popen:
        """Start `python -m module` in this domain; its output goes to `output` if given."""
        options = [part for name, value in (parameters or {}).items()
                   for part in ('-p', f'{name}:={_yaml(value)}')]
        command = [sys.executable, '-m', module, *arguments]
        if options:
            command += ['--ros-args', *options]
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(self.domain), 'OMP_NUM_THREADS': '1',
                       'PYTHONUNBUFFERED': '1',
                       'PYTHONPATH': f'{ROOT}:{ROOT / "test"}:{os.environ.get("PYTHONPATH", "")}'}
        stream = output.open('wb') if output else None
        try:
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=stream,
                                       stderr=subprocess.STDOUT if stream else None)
        finally:
            if stream:
                stream.close()  # the child has its own copy
        self._processes.append(process)
        return process

    def collect(self, kind: type, topic: str, profile: QoSProfile) -> list[tuple[float, Any]]:
        """Subscribe; the returned list grows by (monotonic seconds of arrival, message).

        The queue is deeper than the profile says: nothing that arrived is lost in this process.
        """
        received: list[tuple[float, Any]] = []
        deep = QoSProfile(depth=max(profile.depth, _DEEP), reliability=profile.reliability,
                          durability=profile.durability)
        self.node.create_subscription(
            kind, topic, lambda message: received.append((time.monotonic(), message)), deep)
        return received

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = 90.0) -> Any:
        """Spin until `condition()` is true and return it; fail after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f'waited {timeout_s} s in vain for {what}')
            self._executor.spin_once(timeout_sec=_TURN_S)
        return value

    def send_until(self, send: Callable[[], Any], condition: Callable[[], Any], what: str,
                   timeout_s: float = 90.0) -> Any:
        """Call `send()` again and again until `condition()` is true and return it.

        One message may be lost without a fault: on a best-effort topic, to a reader that has not
        discovered the publisher yet, and on a topic of depth 1 with another publisher, whose next
        message takes the place of the one that was not taken yet.
        """
        def seen() -> Any:
            if not (value := condition()):
                send()
                value = self.spin_until(condition, _AGAIN_S)
            return value

        return self.wait_for(seen, what, timeout_s)

    def spin_until(self, condition: Callable[[], Any], seconds: float) -> Any:
        """Handle messages until `condition()` is true, for at most so long; return it.

        It is asked after every message: a state that passes soon is seen.
        """
        deadline = time.monotonic() + seconds
        while not (value := condition()) and (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, _TURN_S))
        return value

    def spin(self, seconds: float) -> None:
        """Handle messages for a fixed time; for watching that something does not happen."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def client(self, kind: type, name: str, timeout_s: float = 60.0) -> Client:
        """Return the client of a service that is there; one is kept for each service.

        A server that has not discovered a new client's reader loses its answers, and the client
        cannot see that; so its node has answered a question about its parameters before.
        """
        if name in self._clients:
            return self._clients[name]
        client = self._clients[name] = self.node.create_client(kind, name)
        self.wait_for(client.service_is_ready, f'service {name}', timeout_s)
        question = self.node.resolve_service_name(name).rpartition('/')[0] + '/get_parameters'
        if question in dict(self.node.get_service_names_and_types()):
            self._ask_until_answered(question, timeout_s)
        else:    # a service without a node of its name
            self.spin(_SETTLE_S)
        return client

    def _ask_until_answered(self, name: str, timeout_s: float) -> None:
        """Ask for no parameters: readers are discovered in the order in which they were made."""
        client = self.node.create_client(GetParameters, name)
        answers: list[Any] = []

        def answered() -> bool:
            if client.service_is_ready():
                answers.append(client.call_async(GetParameters.Request()))
                self.spin_until(lambda: any(answer.done() for answer in answers), _SETTLE_S / 3)
            return any(answer.done() for answer in answers)

        self.wait_for(answered, f'an answer of {name}', timeout_s)
        self.node.destroy_client(client)

    def call(self, kind: type, name: str, request: Any, timeout_s: float = 60.0) -> Any:
        """Call a service and return the response; silence is followed by a second request.

        One of ours succeeds, or says why not: a text, and a code that it lists.
        """
        client = self.client(kind, name, timeout_s)
        self.wait_for(client.service_is_ready, f'service {name}', timeout_s)
        answers = [client.call_async(request)]
        again_at = time.monotonic() + timeout_s / 3

        def answered():
            if time.monotonic() > again_at and len(answers) == 1:
                answers.append(client.call_async(request))
            return next((answer for answer in answers if answer.done()), None)

        answer = self.wait_for(answered, f'an answer of {name}', timeout_s).result()
        if hasattr(answer, 'code'):
            assert answer.success == (code_name(answer) == 'OK'), answer
            assert answer.success or answer.message, answer
        return answer

    def transition(self, node: str, *names: str) -> None:
        """Take a lifecycle node through transitions, each of which must succeed."""
        if node not in self._managed:
            self._managed[node] = LifecycleClient(self.node, self._executor, f'/{node}')
        for name in names:
            try:
                getattr(self._managed[node], name)(90.0)
            except LifecycleError as error:
                raise AssertionError(str(error)) from error

    def lifecycle_state(self, node: str) -> str:
        """Ask a lifecycle node for the label of its state."""
        return self.call(GetState, f'{node}/get_state',
                         GetState.Request(), 90.0).current_state.label

    def wait_until_active(self, *nodes: str) -> None:
        """Wait until every one of the lifecycle nodes says that it is active."""
        for node in nodes:
            self.wait_for(lambda node=node: self.lifecycle_state(node) == 'active',
                          f'{node} to be active')

    def parameter(self, node: str, name: str) -> Any:
        """Return the value of a parameter of a running node, as its service says."""
        answer = self.call(GetParameters, f'{node}/get_parameters',
                           GetParameters.Request(names=[name]))
        return parameter_value_to_python(answer.values[0])

    def wait_for_exit(self, process: subprocess.Popen, timeout_s: float = 60.0) -> int:
        """Spin until a process has ended and return its exit status."""
        self.wait_for(lambda: process.poll() is not None, f'the end of pid {process.pid}',
                      timeout_s)
        return process.returncode

    def interrupt(self, process: subprocess.Popen) -> int:
        """Send SIGINT, as Ctrl-C does, and return the exit status."""
        process.send_signal(signal.SIGINT)
        return self.wait_for_exit(process)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)
