"""Running nodes against the SROS2 policies that are made for them."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
from pathlib import Path

from lewm_ros.startup.options import SOURCES, SystemOptions
from lewm_ros.startup.policies import policies, RIGHTS, Rights, SOMETIMES
from lewm_ros.startup.system import NodeSpec, SUPERVISOR
from rclpy.node import Node
from ros_helpers import Graph

_SETTLE_S = 2.0
_REST_S = 0.5        # for what nobody expects, where all that is expected is there
# A node without simulated time does not hear it; what depends on the robot, see the table.
_MAY_BE_UNUSED = {'/clock'}


def used_by(viewer: Node, spec: NodeSpec) -> Rights:
    """Return everything that a running node has, as the graph says; nothing is left out."""
    where = spec.executable, spec.namespace
    return Rights(*({name for name, _ in listed(*where)} for listed in (
        viewer.get_publisher_names_and_types_by_node,
        viewer.get_subscriber_names_and_types_by_node,
        viewer.get_service_names_and_types_by_node,
        viewer.get_client_names_and_types_by_node)))


def policies_of(folder: Path, robot: str) -> dict[str, Rights]:
    """Return the policies of every system there is with a robot, by enclave."""
    found: dict[str, Rights] = {}
    for source in SOURCES:
        found.update(policies(SystemOptions(sim=True, record=True, source=source, robot=robot,
                                            imagination=source == 'planner',
                                            root=str(folder / 'root'))))
    return found


def assert_allowed(graph: Graph, specs: Iterable[NodeSpec], folder: Path, robot: str) -> None:
    """Hold that every node may do what it does, and nothing else that the table does not name."""
    allowed, specs = policies_of(folder, robot), tuple(specs)

    def faults() -> list[str]:
        return [fault for spec in specs for fault in _faults(
            used_by(graph.node, spec), allowed[spec.enclave], spec,
            unused=robot == 'sim_reacher' and spec.executable != SUPERVISOR)]

    with contextlib.suppress(TimeoutError):    # the graph becomes known piece by piece
        graph.wait_for(lambda: not faults(), 'all that the nodes have', 60.0)
    graph.spin(_REST_S if robot == 'sim_reacher' else _SETTLE_S)
    assert not faults()


def _faults(used: Rights, may: Rights, spec: NodeSpec, *, unused: bool) -> list[str]:
    """Say what a node has and may not, and if `unused` what it may and has not."""
    found = []
    for kind in RIGHTS:
        missing = getattr(used, kind) - getattr(may, kind)
        needless = getattr(may, kind) - getattr(used, kind) - _MAY_BE_UNUSED - {
            _absolute(name) for name in SOMETIMES.get(spec.executable, {}).get(kind, ())}
        if missing:
            found.append(f'{spec.enclave} may not {kind} {sorted(missing)}')
        if needless and unused:
            found.append(f'{spec.enclave} need not {kind} {sorted(needless)}')
    return found


def _absolute(name: str) -> str:
    names = {'{state}': '/joint_states', '{image}': '/image', '{camera_info}': '/camera_info',
             '{click}': '/image_mouse_left'}
    return names.get(name, name if name.startswith('/') else f'/{name}')
