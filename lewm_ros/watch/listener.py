"""Hears what a running system says about itself; asks for lifecycle states, sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lewm_ros.msg import ControllerState, EpisodeInfo, Goal, GuardState, PlanStatus
from lewm_ros.node.entities import Entities
from lewm_ros.node.guard import Guard
from lewm_ros.node.senders import Senders
from lewm_ros.watch.snapshot import captured_s, Driver, Health, Heard, Snapshot
from lewm_ros.wire import qos
from lewm_ros.wire.episodes import msg_to_recording
from lewm_ros.wire.goals import msg_to_goal_facts
from lewm_ros.wire.guard_state import msg_to_guard_report
from lewm_ros.wire.reports import ControllerReport, GoalRequest, GuardReport
from lewm_ros.wire.status import msg_to_controller_report, msg_to_health, msg_to_plan_report
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.task import Future

_LOOK_S = 0.5       # between two looks at the graph
_ANSWER_S = 3.0     # a node that has not told its state by then is asked again
_KEPT_S = 60.0      # a planner that was silent for so long is forgotten
_LIFECYCLE = ('command_node', 'planner_node')


class Listener:
    """Keeps the newest of everything; `snapshot` hands it out.

    Args:
        node: Owner of the readers; its namespace is the system's.
        now_s: The steady clock.
    """

    def __init__(self, node: Node, now_s: Callable[[], float]) -> None:
        self._node, self._now_s = node, now_s
        self._began_s = now_s()
        self._guard = Guard(_Silent(), now_s=now_s)
        self._senders = Senders(node, 'plan_status', '/diagnostics')
        self._nodes: frozenset[str] = frozenset()
        self._drivers: dict[int, Driver] = {}
        self._controller: Heard[ControllerReport] | None = None
        self._guard_report: Heard[GuardReport] | None = None
        self._goal: GoalRequest | None = None
        self._health: dict[str, Heard[Health]] = {}
        self._episode = ''
        self._lifecycle: dict[str, str] = {}
        self._asked: dict[str, tuple[float, Future]] = {}
        self._clients = {name: node.create_client(GetState, f'{name}/get_state')
                         for name in _LIFECYCLE}
        own = Entities(node, self._guard)
        for kind, topic, callback, profile in (
                (PlanStatus, 'plan_status', self._on_plan, qos.RECORD),
                (ControllerState, 'controller_state', self._on_controller, qos.RECORD),
                (GuardState, 'guard_state', self._on_guard, qos.LATCHED),
                (Goal, 'goal', self._on_goal, qos.LATCHED),
                (EpisodeInfo, 'episode_info', self._on_episode, qos.LATCHED),
                (DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.RECORD)):
            own.subscription(kind, topic, callback, profile)
        own.timer(_LOOK_S, self._look)
        self._look()

    def snapshot(self) -> Snapshot:
        """Return what was heard until now."""
        return Snapshot(
            now_s=self._now_s(), began_s=self._began_s, nodes=self._nodes,
            drivers=tuple(self._drivers.values()), controller=self._controller,
            guard=self._guard_report, goal=self._goal, health=dict(self._health),
            lifecycle=dict(self._lifecycle), episode=self._episode, refused=self._guard.fault)

    # What arrives ----------------------------------------------------------------------------

    def _on_plan(self, message: PlanStatus, info: dict[str, Any]) -> None:
        report, now_s = msg_to_plan_report(message), self._now_s()
        _, name = self._senders.of(info)
        known = self._drivers.get(report.session)
        self._drivers[report.session] = (
            known.heard(report, now_s, name) if known
            else Driver(name, Heard(report, now_s), captured_s(report, now_s)))

    def _on_controller(self, message: ControllerState) -> None:
        self._controller = Heard(msg_to_controller_report(message), self._now_s())

    def _on_guard(self, message: GuardState) -> None:
        self._guard_report = Heard(msg_to_guard_report(message), self._now_s())

    def _on_goal(self, message: Goal) -> None:
        self._goal = msg_to_goal_facts(message)

    def _on_episode(self, message: EpisodeInfo) -> None:
        self._episode = msg_to_recording(message)

    def _on_diagnostics(self, message: DiagnosticArray, info: dict[str, Any]) -> None:
        namespace, sender = self._senders.of(info)
        if sender and namespace != self._node.get_namespace():
            return      # /diagnostics is one topic for all robots
        for name, level, summary in msg_to_health(message):
            # others publish there too: drivers, controllers
            if name in self._nodes and (not sender or sender == name):
                self._health[name] = Heard(Health(level, summary), self._now_s())

    # The graph -------------------------------------------------------------------------------

    def _look(self) -> None:
        node, now_s = self._node, self._now_s()
        self._nodes = frozenset(name for name, namespace in node.get_node_names_and_namespaces()
                                if namespace == node.get_namespace())
        self._drivers = {session: one for session, one in self._drivers.items()
                         if now_s - one.said.at_s < _KEPT_S}
        for name, client in self._clients.items():
            asked_s, answer = self._asked.get(name, (0.0, None))
            if answer is not None and answer.done():
                self._lifecycle[name] = answer.result().current_state.label
            elif answer is not None and now_s - asked_s < _ANSWER_S:
                continue
            elif answer is not None:
                client.remove_pending_request(answer)
                self._lifecycle.pop(name, None)
            self._asked.pop(name, None)
            if client.service_is_ready():
                self._asked[name] = now_s, client.call_async(GetState.Request())


class _Silent:
    """A logger for a program whose output is a screen."""

    def error(self, text: str) -> None:
        """Say nothing: `Guard.fault` is on the screen."""

    warning = error
