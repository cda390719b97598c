"""Drive other processes' lifecycle nodes through their services, with time limits.

Services are answered, while the transition events that launch can wait for are lost when they
are published before launch's reader is known, which leaves a node inactive for ever on a busy
machine.
"""

from __future__ import annotations

from collections.abc import Callable
import time

from lewm_model.errors import LewmError
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.task import Future

TRANSITION_S = 90.0  # a cold start loads torch and a model from a slow disk
_STEP_S = 0.05       # how often `alive` is asked while waiting
_ANSWER_S = 5.0      # after this long without an answer, the node's state is asked for
_FIRST_S = 0.1       # without an answer about the state it is asked for again; then twice as long
_GOALS = {'configure': 'inactive', 'activate': 'active', 'deactivate': 'inactive',
          'cleanup': 'unconfigured'}
_STARTS = {'configure': 'unconfigured', 'activate': 'inactive', 'deactivate': 'active',
           'cleanup': 'inactive'}


class LifecycleError(LewmError):
    """A node cannot be reached, or refuses a transition."""


class LifecycleClient:
    """Configures, activates and deactivates one node.

    Args:
        node: Owner of the clients.
        executor: Spun while waiting; `node` must be in it.
        target: Fully qualified name of the lifecycle node.
        alive: Called while waiting; raises to end the wait, as when the process died.
    """

    def __init__(self, node: Node, executor: Executor, target: str,
                 alive: Callable[[], None] = lambda: None) -> None:
        self._target = target
        self._executor = executor
        self._alive = alive
        # In this order: a node that has discovered the second one's reader knows the first one's.
        self._change = node.create_client(ChangeState, f'{target}/change_state')
        self._get = node.create_client(GetState, f'{target}/get_state')

    def is_there(self) -> bool:
        """Tell whether both services of the node are known."""
        return self._get.service_is_ready() and self._change.service_is_ready()

    def configure(self, timeout_s: float) -> None:
        """Take the node from unconfigured to inactive; raises LifecycleError."""
        self._transition(Transition.TRANSITION_CONFIGURE, 'configure', timeout_s)

    def activate(self, timeout_s: float) -> None:
        """Take the node from inactive to active; raises LifecycleError."""
        self._transition(Transition.TRANSITION_ACTIVATE, 'activate', timeout_s)

    def deactivate(self, timeout_s: float) -> None:
        """Take the node from active to inactive; raises LifecycleError."""
        self._transition(Transition.TRANSITION_DEACTIVATE, 'deactivate', timeout_s)

    def cleanup(self, timeout_s: float) -> None:
        """Take the node from inactive to unconfigured; raises LifecycleError."""
        self._transition(Transition.TRANSITION_CLEANUP, 'cleanup', timeout_s)

    def state(self, timeout_s: float) -> str:
        """Return the node's state, such as 'active'; raises LifecycleError."""
        return self._state('get_state', time.monotonic() + timeout_s)

    def ask_state(self) -> Future:
        """Ask for the node's state without waiting; the answer has `current_state.label`."""
        return self._get.call_async(GetState.Request())

    def forget(self, question: Future) -> None:
        """Give up an answer that did not come."""
        self._get.remove_pending_request(question)

    def _state(self, name: str, deadline_s: float) -> str:
        """Ask for the state, which changes nothing, again and again until an answer comes."""
        patience_s = min(_FIRST_S, _ANSWER_S)
        while True:
            question = self._send(self._get, GetState.Request(), name, deadline_s)
            if self._answered(question, name, deadline_s, patience_s):
                return question.result().current_state.label
            self.forget(question)
            patience_s = min(2 * patience_s, _ANSWER_S)

    def _transition(self, transition: int, name: str, timeout_s: float) -> None:
        """Ask for a transition until the node has made it or refuses.

        An answer is lost when the node sends it before it has discovered this process's reader.
        So it is asked for the state first, and silence is followed by a look at the state: the
        transition may have been made, or the request may never have arrived.
        """
        deadline_s = time.monotonic() + timeout_s
        request = ChangeState.Request(transition=Transition(id=transition))
        self._state(name, deadline_s)
        answer = self._send(self._change, request, name, deadline_s)
        repeated = False
        while not self._answered(answer, name, deadline_s):
            state = self._send(self._get, GetState.Request(), name, deadline_s)
            if not self._answered(state, name, deadline_s):
                self.forget(state)
            else:
                label = state.result().current_state.label
                if label == _GOALS[name]:
                    return
                if label == _STARTS[name] and not answer.done():
                    answer = self._send(self._change, request, name, deadline_s)
                    repeated = True
        made_before = repeated and self.state(timeout_s) == _GOALS[name]
        if not answer.result().success and not made_before:
            raise LifecycleError(f'{self._target} refused to {name}; its log says why')

    def _send(self, client, request, name: str, deadline_s: float) -> Future:
        while not client.service_is_ready():
            self._wait(name, deadline_s, 'is not there')
        return client.call_async(request)

    def _answered(self, future: Future, name: str, deadline_s: float,
                  patience_s: float | None = None) -> bool:
        """Wait a little for an answer; tell whether it came."""
        patient_until_s = time.monotonic() + (_ANSWER_S if patience_s is None else patience_s)
        while not future.done() and time.monotonic() < patient_until_s:
            self._wait(name, deadline_s, 'did not answer')
        return future.done()

    def _wait(self, name: str, deadline_s: float, problem: str) -> None:
        self._alive()
        if time.monotonic() > deadline_s:
            raise LifecycleError(f'{self._target} {problem} in time ({name})')
        self._executor.spin_once(timeout_sec=_STEP_S)
