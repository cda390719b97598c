"""Which nodes make a system, with which parameters: the one table, as plain data.

The launch files and `bringup` all read it, so what the demo runs is what `ros2 launch` runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lewm_model.base import resources
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.options import SystemOptions
from lewm_sim.tasks import load_task
import yaml

# A params file section for every node, under a name that comes last and that no file uses: rcl
# takes the sections of all files in the order in which their names first appeared.
_EVERY_NODE = '/**/*'
OWN_PACKAGE = 'lewm_ros'
SUPERVISOR = 'supervisor'
NODES = ('command_node', 'guard_node', 'planner_node', 'goal_node', 'teleop_node', 'explore_node',
         'imagination_node', 'recorder_node', 'sim_node', SUPERVISOR)   # all of ours
_GUARD_NEEDS_S = 1.0   # it notices a dead command node after 0.2 s, then speaks for a while


@dataclass(frozen=True)
class NodeSpec:
    """One process: `lib/<package>/<executable>` where installed, else `python -m <module>`."""

    room: str                          # folder of lewm_ros that it lives in; '': somebody else's
    executable: str                    # also the node's name
    namespace: str                     # absolute
    parameters: dict[str, Any]
    lifecycle: bool = False            # must be configured and activated
    essential: bool = False            # the system ends with it
    finishes: bool = False             # its normal end is the system's
    respawn: bool = False              # started again when it died
    survived_s: float = 0.0            # the others go on this long after its end
    reads_camera: bool = False         # pictures reach it over the middleware
    stops_robot: bool = False          # no other process may keep it waiting
    log_level: str = 'info'
    remappings: tuple[str, ...] = ()   # 'from:=to'; the first that fits counts
    package: str = OWN_PACKAGE
    arguments: tuple[str, ...] = ()    # before those of ROS
    params_file: str = ''              # wins over `parameters`, except for those in `chosen`
    chosen: frozenset[str] = frozenset()  # names of parameters that a person gave as arguments

    @property
    def module(self) -> str:
        """The Python module of the process."""
        return f'lewm_ros.{self.room}.{self.executable}'

    @property
    def path(self) -> str:
        """Fully qualified node name."""
        return f'{self.namespace.rstrip("/")}/{self.executable}'

    @property
    def enclave(self) -> str:
        """Whose keys it has where SROS2 is on, see `policies`; a viewer has a person's."""
        own = self.package == OWN_PACKAGE
        return self.path if own else f'{self.namespace.rstrip("/")}/operator'

    def ros_arguments(self, *params_files: str | Path) -> list[str]:
        """Return the command line that gives a process this name, rules and parameters.

        Args:
            params_files: Read after the parameters of the table, in this order.
        """
        arguments = ['--ros-args', '-r', f'__node:={self.executable}',
                     '-r', f'__ns:={self.namespace}', *self.own_arguments()]
        for rule in self.remappings:
            arguments += ['-r', rule]
        for path in params_files:
            arguments += ['--params-file', str(path)]
        return arguments

    def own_arguments(self) -> list[str]:
        """Return what launch has no words for: enclave, log level, the table's parameters."""
        arguments = ['--enclave', self.enclave, '--log-level', self.log_level]
        for name, value in self.parameters.items():
            arguments += ['-p', f'{name}:={_yaml(value)}']
        return arguments

    def chosen_yaml(self) -> str:
        """Return a params file with what a person gave as arguments; it wins if read last."""
        chosen = {name: value for name, value in self.parameters.items() if name in self.chosen}
        return yaml.safe_dump({_EVERY_NODE: {'ros__parameters': chosen}})


def _yaml(value: Any) -> str:
    """Write a parameter as rcl's parser reads it; texts are quoted so '007' stays a text."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def system(options: SystemOptions, chosen: Collection[str] = ()) -> tuple[NodeSpec, ...]:
    """Return the nodes, in the order in which they are activated and stopped.

    The command node comes first both times: before anything plans there is somebody who stops
    the robot, and when the system ends it says zero while everybody still listens.

    Args:
        options: What a person chose, or the defaults.
        chosen: Names of the options that a person gave, which win over `options.params_file`.
    """
    task = load_task(options.task)
    robot, bundle = options.robot or task.robot_file, options.bundle or task.bundle
    common = {'use_sim_time': options.sim_time}
    rules = _remappings(options)

    def node(program: str, parameters: dict[str, Any], **kwargs: Any) -> NodeSpec:
        room, executable = program.split('/')
        # What the system ends with is not started again, nor a window that somebody closed.
        respawn = (options.use_respawn and not kwargs.get('essential', False)
                   and 'package' not in kwargs)
        return NodeSpec(room, executable, options.root_namespace, parameters, respawn=respawn,
                        log_level=options.log_level, remappings=rules,
                        params_file=options.params_file,
                        chosen=frozenset(chosen) & parameters.keys(), **kwargs)

    nodes = []
    if options.source != 'none':
        # On a real robot a person has to enable motion; the simulated one can hurt nobody.
        nodes.append(node(
            'command/command_node', {**common, 'robot': robot, 'require_enable': not options.sim},
            lifecycle=True, essential=True, survived_s=_GUARD_NEEDS_S, stops_robot=True))
        # Not essential: it is there for the case that the command node is not.
        nodes.append(node('guard/guard_node', {**common, 'robot': robot}, stops_robot=True))
    if options.source == 'planner':
        nodes += [
            # Not essential: without it the command node must live on and stop the robot.
            node('planner/planner_node', {**common, 'robot': robot, 'bundle': bundle,
                                          'plan': options.plan, 'backend': options.backend,
                                          'device': options.device, 'dry_run': options.dry_run},
                 lifecycle=True, reads_camera=True),
            node('goals/goal_node', {**common, 'robot': robot, 'bundle': bundle,
                                     'goal_image': options.goal_image,
                                     'goal_root': options.goal_root,
                                     'goal_bank': options.goal_bank, 'clicks': options.clicks},
                 reads_camera=True)]
    if options.source == 'teleop':
        nodes.append(node('sources/teleop_node', {**common, 'robot': robot}, reads_camera=True))
    if options.source == 'explore':
        nodes.append(node('sources/explore_node', {
            **common, 'robot': robot, 'task': options.task, 'episodes': options.episodes,
            'steps': options.steps, 'first': options.first, 'seed': options.seed},
            essential=True, finishes=True, reads_camera=True))
    if options.imagination or (options.rviz and options.source == 'planner'):
        # A process of its own with torch: it may end, and the robot drives on.
        nodes.append(node('show/imagination_node', {**common, 'robot': robot, 'bundle': bundle},
                          reads_camera=True))
    if options.rviz:
        nodes.append(node('/rviz2', common, package='rviz2', arguments=_rviz_arguments(
            options, robot), reads_camera=True))
    if options.record:
        nodes.append(node('recording/recorder_node', {
            **common, 'robot': robot, 'task': options.task if options.sim else '',
            'root': str(Path(options.root).expanduser().absolute())}, reads_camera=True))
    if options.sim:
        # It publishes the clock that the others follow, so it has no use_sim_time.
        nodes.append(node('simulation/sim_node', {
            'task': options.task, 'robot': robot, 'image_size': (
                options.image_size or load_task(options.task).facts.image_sizes[0]),
            'real_time_factor': options.real_time_factor}, essential=True))
    return tuple(nodes)


def _rviz_arguments(options: SystemOptions, robot: str) -> tuple[str, ...]:
    """Return which displays RViz has; ours are of any robot, so its frame comes with them."""
    if options.rviz_config:
        return ('-d', options.rviz_config)
    ours = resources.find_named('config/rviz', 'plan', '.rviz')
    return ('-d', str(ours), '-f', RobotDescription.from_yaml(robot).drawn_frame)


def supervisor(options: SystemOptions, nodes: Sequence[NodeSpec]) -> NodeSpec | None:
    """Return the process that configures, activates and watches `nodes`; None: nothing to do."""
    managed = [node for node in nodes if node.lifecycle]
    if not (options.autostart and managed):
        return None
    return NodeSpec('startup', SUPERVISOR, options.root_namespace, {
        'nodes': ' '.join(node.path for node in managed),
        'respawned': ' '.join(node.path for node in managed if node.respawn),
        'configure_timeout_s': options.configure_timeout},
        essential=True, log_level=options.log_level)


_OF_EACH_WORLD = ('/clock:=clock', '/tf:=tf', '/tf_static:=tf_static')


def _remappings(options: SystemOptions) -> tuple[str, ...]:
    """Return the rules for every node, a person's first.

    Simulated robots in namespaces have a clock each, `<namespace>/clock`: two publishers on one
    /clock would make time jump for both. So do their scenes, whose frames have the same names.
    """
    own_world = options.sim and options.namespace.strip('/')
    return (*options.remap.split(), *(_OF_EACH_WORLD if own_world else []))
