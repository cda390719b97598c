"""The processes of a walk, strangers' and ours: started, killed, started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
import os
from pathlib import Path
import signal
import sys
from typing import Any

from lewm_ros.startup.lifecycle import LifecycleClient
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.processes import Child, stop
from lewm_ros.startup.system import NodeSpec, system
from lewm_ros.startup.transport import Transports
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.steps.ears import Ears, TrialError
from rclpy.utilities import get_rmw_implementation_identifier
import yaml

_PACKAGE = 'lewm_ros.trials.zoo.strangers'


class Processes:
    """Named child processes; all end with the `with` block.

    Args:
        log: Folder, one file per start of a process.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._children: dict[str, Child] = {}
        self._started = 0

    def __enter__(self) -> Processes:
        self.log.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_) -> None:
        self.end(*self._children)

    def start(self, name: str, *command: str, environment: dict[str, str] | None = None) -> Child:
        """Start `python command...`, with some more variables."""
        self._started += 1
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1', 'OMP_NUM_THREADS': '1',
                       'ROS_LOG_DIR': str(self.log / 'ros'), **(environment or {})}
        child = Child(name, [sys.executable, *command],
                      self.log / f'{self._started:02d}_{name.replace("/", "_")}.log', environment)
        self._children[name] = child
        return child

    def stranger(self, robot: ZooRobot, program: str, *words: str, namespace: str = '') -> Child:
        """Start a program of `strangers` for a robot."""
        spaced = ('--ros-args', '-r', f'__ns:=/{namespace}') if namespace else ()
        return self.start(f'{namespace}/{program}'.strip('/'), '-m', f'{_PACKAGE}.{program}',
                          *(words or (robot.name,)), *spaced)

    def child(self, name: str) -> Child:
        """Return a process by name."""
        return self._children[name]

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._children.pop(name).signal(signal.SIGKILL)

    def end(self, *names: str) -> None:
        """Ask processes to end, and insist."""
        stop([self._children.pop(name) for name in names if name in self._children])

    def must_live(self, name: str) -> None:
        """Raise if a process has ended."""
        if self._children[name].exit_status() is not None:
            raise TrialError(f'{name} ended: {self._children[name].last_lines(3)}')

    def died(self) -> list[str]:
        """Name the processes that have ended by themselves."""
        return [f'{name} ({child.exit_status()}): {child.last_lines(3)}'
                for name, child in self._children.items() if child.exit_status() is not None]


class Nodes:
    """Our nodes for one robot, from the table that launch reads.

    Args:
        processes: Owns what is started.
        robot: The fake robot.
        ears: Of its namespace, for the lifecycle.
        options: Of the system.
        parameters: By node, what a person sets for this robot; a standard params file.
    """

    def __init__(self, processes: Processes, robot: ZooRobot, ears: Ears,
                 options: dict[str, Any], parameters: dict[str, dict[str, Any]]) -> None:
        self.processes, self._ears = processes, ears
        file = processes.log / f'params{options.get("namespace", "")}.yaml'
        file.write_text(yaml.safe_dump({f'/**/{node}': {'ros__parameters': values}
                                        for node, values in parameters.items()}))
        chosen = SystemOptions(**{
            'use_sim_time': robot.simulated, **options,
            **({'params_file': str(file)} if parameters else {})})
        # Our simulator is the driver's part.
        self.specs = {spec.executable: spec for spec in system(chosen)
                      if spec.room != 'simulation'}
        self._transports = Transports.here(
            chosen.dds_profile, get_rmw_implementation_identifier(), chosen.discovery)

    def name(self, executable: str) -> str:
        """Return the name of the process of a node."""
        return f'{self._ears.node.get_namespace().strip("/")}/{executable}'.strip('/')

    def start(self, *executables: str, **parameters: Any) -> None:
        """Start nodes, all if none is named, and take them into the active state."""
        specs = [self.specs[one] for one in executables or self.specs]
        for spec in specs:
            given = {name: value for name, value in parameters.items() if name in spec.parameters}
            arguments = replace(spec, parameters={**spec.parameters, **given}).ros_arguments(
                *filter(None, [spec.params_file]))
            self.processes.start(self.name(spec.executable), '-m', spec.module, *arguments,
                                 environment=self._transports.of(spec))
        for spec in specs:
            if spec.lifecycle:
                self._activate(spec)

    def kill(self, executable: str) -> None:
        """SIGKILL one node."""
        self.processes.kill(self.name(executable))

    def end(self, *executables: str) -> None:
        """End nodes, the first one before the others."""
        first, *others = executables or self.specs
        self.processes.end(self.name(first))
        self.processes.end(*map(self.name, others))

    def _activate(self, spec: NodeSpec) -> None:
        client = LifecycleClient(self._ears.node, self._ears.executor, spec.path)
        client.configure(90.0)
        client.activate(30.0)


@contextmanager
def driven(processes: Processes, robot: ZooRobot, namespace: str, beside: Ears | None = None
           ) -> Iterator[Ears]:
    """Start the driver of a robot; yield ears that hear it, and `beside` while they wait."""
    if robot.ours:
        processes.start('driver', '-m', 'lewm_ros.simulation.sim_node')
    else:
        processes.stranger(robot, 'driver', namespace=namespace)
    ears = Ears(robot, namespace, beside.executor if beside else None)
    ears.check = lambda: processes.must_live(f'{namespace}/driver'.strip('/'))
    try:
        ears.wait_for(lambda: ears.truth, f'the driver of {robot.name}')
        yield ears
    finally:
        ears.close()
