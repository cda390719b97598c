"""Bring lifecycle nodes up in their order, then watch them and bring back those that fall.

One such process belongs to every system that is started by `ros2 launch` or by `bringup`. It
ends with status 1 when a node cannot be brought up, and the system with it. What becomes of a
node that leaves the active state later is decided in `watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
import sys
import time

from lewm_ros.node.executor import SurvivingExecutor
from lewm_ros.node.interrupt import Interrupt
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.run_node import run_node
from lewm_ros.startup.lifecycle import LifecycleClient, LifecycleError, TRANSITION_S
from lewm_ros.startup.watch import Watch
from rcl_interfaces.msg import Log
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future

_APPEAR_S = 120.0    # a process that did not offer its services by then has failed to start
_GONE_S = 15.0       # services that vanished for this long, while they were waited for
_PROGRESS_S = 10.0
_LOOK_S = 1.0        # between two looks at a node
_ANSWER_S = 3.0      # a node that is busy may answer late
_ERROR = 40          # rcl_interfaces/Log.ERROR, which generated code has as bytes


@dataclass(frozen=True)
class SupervisorParameters:
    """Which nodes are brought up, and how patiently."""

    nodes: str = parameter('', 'lifecycle nodes in the order in which they are activated, full '
                           'names separated by spaces', read_only=True)
    respawned: str = parameter('', 'those of them that are brought back when they fall',
                               read_only=True)
    configure_timeout_s: float = parameter(
        900.0, 'how long one node may take to configure [s]', low=1.0, high=86400.0,
        read_only=True)


class SupervisorNode(Node):
    """Has the settings, and remembers the last error that each node logged."""

    def __init__(self, **options) -> None:
        super().__init__('supervisor', **options)
        self.settings = NodeParameters(self, SupervisorParameters).values
        self._errors: dict[str, str] = {}
        self.create_subscription(Log, '/rosout', self._on_log, QoSProfile(
            depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def last_error(self, target: str) -> str:
        """Return the newest error in the log of a node, to be added to a message."""
        text = self._errors.get(target.strip('/').replace('/', '.'))
        return f': {text}' if text else '; its log says why'

    def _on_log(self, message: Log) -> None:
        if message.level >= _ERROR:
            self._errors[message.name] = message.msg


class Supervisor:
    """Brings the nodes up, and back."""

    def __init__(self, node: SupervisorNode, executor: Executor, end: Interrupt) -> None:
        self._node = node
        self._executor = executor
        self._end = end
        settings = node.settings
        respawned = settings.respawned.split()
        self._clients = {target: LifecycleClient(node, executor, target, self._alive)
                         for target in settings.nodes.split()}
        self._watches = {target: Watch(target, target in respawned) for target in self._clients}
        self._questions: dict[str, tuple[float, Future]] = {}
        self._respawned = respawned
        self._waits_for: tuple[str, str, float, float] | None = None
        self._there_s = self._said_s = 0.0

    def bring_up(self, target: str) -> None:
        """Take a node to active from wherever it is; raises LifecycleError with the reason."""
        client = self._clients[target]
        try:
            self._wait_for(target, 'start', _APPEAR_S)
            state = client.state(_APPEAR_S)
            if state == 'unconfigured':
                patience_s = self._node.settings.configure_timeout_s
                self._wait_for(target, 'configure', patience_s)
                client.configure(patience_s)
                state = 'inactive'
            if state == 'inactive':
                self._wait_for(target, 'activate', TRANSITION_S)
                client.activate(TRANSITION_S)
            elif state != 'active':
                raise LifecycleError(f'{target} is {state}, which cannot be activated')
        except LifecycleError as error:
            self._spin(0.5)   # its last words may arrive after its answer
            text = str(error).removesuffix('; its log says why')
            raise LifecycleError(text + self._node.last_error(target)) from error
        finally:
            self._waits_for = None

    def run(self) -> None:
        """Bring all nodes up, then watch them until the end."""
        logger = self._node.get_logger()
        try:
            for target in self._clients:
                self.bring_up(target)
                logger.info(f'{target} is active')
            logger.info(f'{len(self._clients)} nodes are active')
            while True:
                self._spin(_LOOK_S)
                for target in self._clients:
                    self._look_at(target)
        except _Interrupted:
            pass

    def _look_at(self, target: str) -> None:
        watch, logger = self._watches[target], self._node.get_logger()
        state = self._state(target)
        if state is None:
            return
        verdict = watch.see(state, time.monotonic())
        if verdict.report:
            logger.warning(verdict.report)
        if verdict.bring_back:
            try:
                self.bring_up(target)
            except LifecycleError as error:
                logger.error(f'could not bring it back: {error}')
                watch.failed(time.monotonic())

    def _state(self, target: str) -> str | None:
        """Return the answer to the last question, '' if there is none; None: wait for it."""
        client, now_s = self._clients[target], time.monotonic()
        asked_s, question = self._questions.pop(target, (now_s, None))
        if question is not None and question.done():
            return question.result().current_state.label
        if question is not None and now_s - asked_s < _ANSWER_S:
            self._questions[target] = asked_s, question
            return None
        if question is not None:
            client.forget(question)
        if client.is_there():
            self._questions[target] = now_s, client.ask_state()
            if question is None:
                return None
        return ''

    def _spin(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self._alive()
            self._executor.spin_once(timeout_sec=min(left_s, 0.1))

    def _wait_for(self, target: str, what: str, patience_s: float) -> None:
        self._there_s = self._said_s = time.monotonic()
        self._waits_for = target, what, time.monotonic(), patience_s

    def _alive(self) -> None:
        """Called while waiting: say how it goes, and end a wait that is in vain."""
        if self._end.is_set():
            raise _Interrupted
        if self._waits_for is None:
            return
        target, what, since_s, patience_s = self._waits_for
        now_s = time.monotonic()
        if self._clients[target].is_there():
            self._there_s = now_s
        elif (what != 'start' and target not in self._respawned
              and now_s - self._there_s > _GONE_S):
            raise LifecycleError(f'{target} has ended before it could {what}')
        if now_s - self._said_s > _PROGRESS_S:
            self._said_s = now_s
            self._node.get_logger().info(f'waiting for {target} to {what}: '
                                         f'{now_s - since_s:.0f} s of at most {patience_s:g} s')


class _Interrupted(Exception):
    pass


def run(node: SupervisorNode, end: Interrupt) -> None:
    """Supervise until `end`; raises LifecycleError if a node cannot be brought up."""
    Supervisor(node, SurvivingExecutor(node), end).run()


def main(args: list[str] | None = None) -> int:
    """Run the process; return the exit status."""
    return run_node(SupervisorNode, args, loop=run)


if __name__ == '__main__':
    sys.exit(main())
