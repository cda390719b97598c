"""Which nodes make a system, with which parameters: the one table, as plain data.

The launch file and `bringup` both read it, so what the demo runs is what `ros2 launch` runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
import re
from typing import Any

from lewm_model.errors import ConfigError
from lewm_sim.tasks import load_task

SOURCES = ('planner', 'explore', 'teleop', 'none')
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
_NAMESPACE = re.compile(r'(/?[A-Za-z_][A-Za-z0-9_]*)(/[A-Za-z_][A-Za-z0-9_]*)*')


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={'help': text})


@dataclass(frozen=True)
class SystemOptions:
    """What a person may choose; also the arguments of the launch file and of `bringup`."""

    sim: bool = _option(False, 'start the simulated robot too')
    task: str = _option('reacher', 'what is simulated')
    robot: str = _option('', 'robot description, name or file; empty: the one of the task')
    bundle: str = _option('reacher-nano', 'model bundle, name or folder')
    plan: str = _option('', 'planner settings, a name of config/plan or a file; empty: as the '
                        'bundle recommends')
    backend: str = _option('torch-tuned:fp32', 'engine that runs the model, see docs/engines.md')
    goal_image: str = _option('', 'picture that is the goal from the start; empty: none')
    goal_root: str = _option('', 'the only folder from which goals are read; empty: none')
    namespace: str = _option('', 'namespace of all nodes and topics')
    dry_run: bool = _option(False, 'plan and report, but never move the robot')
    autostart: bool = _option(True, 'configure and activate the lifecycle nodes')
    source: str = _option('planner', f'who drives, one of {", ".join(SOURCES)}; explore: random '
                          'motion of the simulated robot; teleop: a person, on '
                          'teleop_command; none: somebody else')
    record: bool = _option(False, 'start the recorder of episodes too')
    root: str = _option('recordings', 'folder of recordings; the recorder writes nowhere else')
    episodes: int = _option(10, 'how many to explore')
    steps: int = _option(60, 'control steps per explored episode')
    first: int = _option(0, 'number of the first explored episode')
    seed: int = _option(0, 'of the exploration')
    real_time_factor: float = _option(1.0, 'simulated seconds per real second to aim for')
    image_size: int = _option(64, 'height and width of the simulated camera picture [px]')
    log_level: str = _option('info', f'one of {", ".join(LOG_LEVELS)}')

    def __post_init__(self) -> None:
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f'log_level must be one of {", ".join(LOG_LEVELS)}, '
                              f'got {self.log_level!r}')
        if self.source not in SOURCES:
            raise ConfigError(f'source must be one of {", ".join(SOURCES)}, got {self.source!r}')
        if self.source == 'explore' and not (self.sim and self.record):
            raise ConfigError('source explore moves the simulated robot for the recorder; add '
                              'sim and record')
        if self.namespace.strip('/') and not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigError(f'namespace must be names joined by "/", such as "cell_1/left", '
                              f'got {self.namespace!r}')

    @classmethod
    def from_text(cls, values: dict[str, str]) -> SystemOptions:
        """Build from texts, as launch arguments are.

        Raises:
            ConfigError: If a switch is neither true nor false, a number is none, or a value
                is not allowed.
        """
        return cls(**{item.name: _value(item.name, values[item.name], type(item.default))
                      for item in fields(cls) if item.name in values})


def _value(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        return _switch(name, text)
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigError(f'{name} must be of type {kind.__name__}, got {text!r}') from error


def _switch(name: str, text: str) -> bool:
    if text.lower() in ('true', '1', 'yes', 'on'):
        return True
    if text.lower() in ('false', '0', 'no', 'off'):
        return False
    raise ConfigError(f'{name} must be true or false, got {text!r}')


@dataclass(frozen=True)
class NodeSpec:
    """One process: `lib/lewm_ros/<executable>` where installed, else `python -m <module>`."""

    room: str                          # folder of lewm_ros that it lives in
    executable: str                    # also the node's name
    namespace: str                     # absolute
    parameters: dict[str, Any]
    lifecycle: bool = False            # must be configured and activated
    essential: bool = False            # the system ends with it
    finishes: bool = False             # its normal end is the system's
    log_level: str = 'info'

    @property
    def module(self) -> str:
        """The Python module of the process."""
        return f'lewm_ros.{self.room}.{self.executable}'

    @property
    def path(self) -> str:
        """Fully qualified node name."""
        return f'{self.namespace.rstrip("/")}/{self.executable}'

    def ros_arguments(self) -> list[str]:
        """Return the command line that gives a process this name and these parameters."""
        arguments = ['--ros-args', '-r', f'__node:={self.executable}',
                     '-r', f'__ns:={self.namespace}', '--log-level', self.log_level]
        for name, value in self.parameters.items():
            arguments += ['-p', f'{name}:={_yaml(value)}']
        return arguments


def _yaml(value: Any) -> str:
    """Write a parameter as rcl's parser reads it; texts are quoted so '007' stays a text."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def system(options: SystemOptions) -> tuple[NodeSpec, ...]:
    """Return the nodes, in the order in which they are activated and stopped.

    The command node comes first both times: before anything plans there is somebody who stops
    the robot, and when the system ends it says zero while everybody still listens.
    """
    robot = options.robot or load_task(options.task).robot
    common = {'use_sim_time': options.sim}

    def node(program: str, parameters: dict[str, Any], **kwargs: Any) -> NodeSpec:
        room, executable = program.split('/')
        return NodeSpec(room, executable, '/' + options.namespace.strip('/'), parameters,
                        log_level=options.log_level, **kwargs)

    nodes = []
    if options.source != 'none':
        # On a real robot a person has to enable motion; the simulated one can hurt nobody.
        nodes.append(node(
            'command/command_node', {**common, 'robot': robot, 'require_enable': not options.sim},
            lifecycle=True, essential=True))
        # Not essential: it is there for the case that the command node is not.
        nodes.append(node('guard/guard_node', {**common, 'robot': robot}))
    if options.source == 'planner':
        nodes += [
            # Not essential: without it the command node must live on and stop the robot.
            node('planner/planner_node', {**common, 'robot': robot, 'bundle': options.bundle,
                                  'plan': options.plan, 'backend': options.backend,
                                  'dry_run': options.dry_run}, lifecycle=True),
            node('goals/goal_node', {**common, 'robot': robot, 'goal_image': options.goal_image,
                               'goal_root': options.goal_root})]
    if options.source == 'teleop':
        nodes.append(node('sources/teleop_node', {**common, 'robot': robot}))
    if options.source == 'explore':
        nodes.append(node('sources/explore_node', {
            **common, 'robot': robot, 'task': options.task, 'episodes': options.episodes,
            'steps': options.steps, 'first': options.first, 'seed': options.seed},
            essential=True, finishes=True))
    if options.record:
        nodes.append(node('recording/recorder_node', {
            **common, 'robot': robot, 'task': options.task if options.sim else '',
            'root': str(Path(options.root).expanduser().absolute())}))
    if options.sim:
        # It makes the time, so it does not listen to it.
        nodes.append(node('simulation/sim_node', {
            'task': options.task, 'robot': robot, 'image_size': options.image_size,
            'real_time_factor': options.real_time_factor}, essential=True))
    return tuple(nodes)
