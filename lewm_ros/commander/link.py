"""The commander's own place in the graph: a context, a node, and a thread that runs it."""

from __future__ import annotations

from collections.abc import Callable
import itertools
import os
import threading
from typing import Any

from lewm_model.errors import LewmError
from lewm_ros.node.executor import SurvivingExecutor
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.refusals import code_of, refusal_of
import rclpy
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

# A server that has not discovered a new client yet loses its answer. What may be asked twice is
# asked again after this time; before anything else the client is given as long.
_SETTLE_S = 0.4
_NUMBERS = itertools.count(1)


class CommanderError(LewmError):
    """The system did not do what it was asked for; the message says why, and what to do.

    Attributes:
        code: What the service answered, such as Code.NO_FRAME, or NO_ANSWER; None: nothing that
            has a code, as the std_srvs of the command node.
    """

    def __init__(self, text: str, code: Code | None = None) -> None:
        super().__init__(text)
        self.code = code


class Link:
    """A node that is spun by a thread of its own, in a context of its own.

    So it gets along with a program that uses rclpy itself, and with one that has never heard of
    it. Calls come from any thread but that one.

    Args:
        namespace: Of the system.
        name: Of the node.
        domain_id: Of the system; None: ROS_DOMAIN_ID.
    """

    def __init__(self, namespace: str, name: str, domain_id: int | None) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self.node = Node(name or f'commander_{os.getpid()}_{next(_NUMBERS)}',
                         namespace=namespace, context=self._context,
                         start_parameter_services=False)
        self._executor = SurvivingExecutor(self.node)
        self._known: set[str] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._spin, name='commander', daemon=True)

    def start(self) -> None:
        """Begin to handle answers, when every client has been made."""
        self._thread.start()

    def shut_down(self) -> None:
        """Leave the graph; nothing can be called afterwards."""
        if self._ended:
            return
        self._ended = True
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def wait(self, *futures: Future, timeout_s: float | None) -> bool:
        """Wait until one of the futures is done; return whether one is."""
        done = threading.Event()
        for future in futures:
            future.add_done_callback(lambda _: done.set())
        done.wait(timeout_s)
        return any(future.done() for future in futures)

    def call(self, client: Client, request: Any, timeout_s: float, *, again: bool = False) -> Any:
        """Call a service and return its answer, if that is a success.

        Args:
            client: Of this node.
            request: What to ask.
            timeout_s: For finding the service, and once more for its answer [s].
            again: It may be asked twice.

        Raises:
            CommanderError: It is not there, does not answer, or refuses; with its reason.
        """
        name = client.srv_name
        self.find(name, client.wait_for_service, timeout_s, settle=not again)
        futures = [client.call_async(request)]
        if again and not self.wait(*futures, timeout_s=_SETTLE_S):
            futures.append(client.call_async(request))
        if not self.wait(*futures, timeout_s=timeout_s):
            for future in futures:
                client.remove_pending_request(future)
            raise CommanderError(f'{name} did not answer within {timeout_s:g} s; does its node '
                                 f'hang?', Code.NO_ANSWER)
        answer = next(future for future in futures if future.done()).result()
        if refusal := refusal_of(answer):
            raise CommanderError(f'{name}: {refusal}', code_of(answer))
        return answer

    def find(self, name: str, look: Callable[[float], bool], timeout_s: float, *,
             settle: bool = True) -> None:
        """Wait until a server is there, and has had the time to find this node, too.

        Args:
            name: Of the service or action, for the error.
            look: Waits for it for some time; tells whether it is there.
            timeout_s: How long [s].
            settle: Give a server that was not called before the time to find us.
        """
        if self._ended:
            raise CommanderError(f'{name} cannot be called: this commander was shut down; make '
                                 f'another one')
        if not look(timeout_s):
            raise CommanderError(
                f'nobody offers {name} after {timeout_s:g} s; is the system running, in this '
                f'namespace ({self.node.get_namespace()}) and ROS_DOMAIN_ID '
                f'({self._context.get_domain_id()}), and its node active?', Code.NO_ANSWER)
        if settle and name not in self._known:
            self._known.add(name)
            threading.Event().wait(_SETTLE_S)

    def _spin(self) -> None:
        while not self._ended and self._context.ok():
            self._executor.spin_once(timeout_sec=0.1)
