"""What nav2's lifecycle manager asks of the nodes that it manages, bond off, in Python.

Follows navigation2 1.3 (nav2_lifecycle_manager/src/lifecycle_manager.cpp and
nav2_util/lifecycle_service_client): the order of calls, the time limits and what counts as
success. The original is C++ on rclcpp, which has no wheels, so it cannot run in these tests.
"""

from __future__ import annotations

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from ros_helpers import Graph

SERVICE_TIMEOUT_S = 5.0     # nav2's default of `service_timeout`
_GOALS = {Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
          Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
          Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
          Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
          Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED}
_UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)


class Nav2Manager:
    """`node_names` up in order, down in reverse order; the first failure ends a command."""

    def __init__(self, graph: Graph, node_names: list[str], patience_s: float = 120.0) -> None:
        self._graph = graph
        self._names = node_names
        self._patience_s = patience_s   # nav2 waits for ever; a test does not
        self._change, self._get = (
            {name: graph.node.create_client(kind, f'{name}/{service}') for name in node_names}
            for kind, service in ((ChangeState, 'change_state'), (GetState, 'get_state')))
        for name, client in self._get.items():   # its clients block until the server is up
            graph.wait_for(client.service_is_ready, f'{name}/get_state', patience_s)

    def startup(self) -> bool:
        """Configure all, then activate all."""
        return all(self._all(transition) for transition in _UP)

    def pause(self) -> bool:
        """Deactivate all."""
        return self._all(Transition.TRANSITION_DEACTIVATE)

    def resume(self) -> bool:
        """Activate all."""
        return self._all(Transition.TRANSITION_ACTIVATE)

    def reset(self) -> bool:
        """Deactivate all, then clean up all."""
        return (self._all(Transition.TRANSITION_DEACTIVATE)
                and self._all(Transition.TRANSITION_CLEANUP))

    def shutdown(self) -> None:
        """Deactivate, clean up and finalize all; failures are logged and passed over."""
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
                           Transition.TRANSITION_UNCONFIGURED_SHUTDOWN):
            self._all(transition)

    def states(self) -> list[str]:
        """Return the labels of the states, in the order of the nodes."""
        return [self._ask(client, GetState.Request()).current_state.label
                for client in self._get.values()]

    def _all(self, transition: int) -> bool:
        names = self._names if transition in _UP else self._names[::-1]
        return all(self._one(name, transition) for name in names)

    def _one(self, name: str, transition: int) -> bool:
        # nav2 only waits for an answer here: what counts is the state that it asks for next.
        request = ChangeState.Request()
        request.transition.id = transition
        self._ask(self._change[name], request, self._patience_s)
        state = self._ask(self._get[name], GetState.Request())
        return state.current_state.id == _GOALS[transition]

    def _ask(self, client, request, timeout_s: float = SERVICE_TIMEOUT_S):
        self._graph.wait_for(client.service_is_ready, client.srv_name, SERVICE_TIMEOUT_S)
        future = client.call_async(request)
        self._graph.wait_for(future.done, f'an answer of {client.srv_name}', timeout_s)
        return future.result()
