"""Every node that there is, from the table of systems, and how tests start them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import subprocess

from lewm_ros.startup.lifecycle import LifecycleClient, TRANSITION_S
from lewm_ros.startup.options import SOURCES, SystemOptions
from lewm_ros.startup.system import NodeSpec, system
from ros_helpers import Graph

_START_S = 120.0   # torch from a slow disk on a busy machine


def every_spec(folder: Path, **options) -> dict[str, NodeSpec]:
    """Return every node of every system, whoever drives, by name."""
    found: dict[str, NodeSpec] = {}
    for source in SOURCES:
        for spec in system(SystemOptions(sim=True, record=True, source=source,
                                         imagination=source == 'planner',
                                         root=str(folder / 'root'), **options)):
            found.setdefault(spec.executable, spec)
    return found


def start(graph: Graph, specs: Iterable[NodeSpec], logs: Path) -> dict[str, subprocess.Popen]:
    """Start nodes, each with a log file, and take those with a lifecycle to active.

    One that ends by itself comes last: it waits for the others only for so long.
    """
    specs = sorted(specs, key=lambda spec: spec.finishes)
    processes: dict[str, subprocess.Popen] = {}

    def bring_up(several: list[NodeSpec]) -> None:
        for spec in several:
            processes[spec.executable] = graph.spawn(
                spec.module, parameters=spec.parameters, output=logs / f'{spec.executable}.log')
        names = {spec.executable for spec in several}

        def all_there() -> bool:
            for name, process in processes.items():
                assert process.poll() is None, f'{name}: {(logs / f"{name}.log").read_text()}'
            return names <= set(graph.node.get_node_names())

        graph.wait_for(all_there, f'the nodes {", ".join(names)}', _START_S)
        for spec in several:
            if spec.lifecycle:
                client = LifecycleClient(graph.node, graph.executor, spec.path)
                client.configure(TRANSITION_S)
                client.activate(TRANSITION_S)

    for finishes in (False, True):
        bring_up([spec for spec in specs if spec.finishes is finishes])
    return processes
