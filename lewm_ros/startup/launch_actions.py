"""What the launch files have in common: the table of nodes as launch actions.

Imported by launch files only; `launch` and `launch_ros` come with a ROS distribution.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
import shutil
import tempfile

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from lewm_ros.node.run_node import REFUSED
from lewm_ros.startup import params_file
from lewm_ros.startup.options import default_text, SystemOptions
from lewm_ros.startup.system import NodeSpec, supervisor, system
from lewm_ros.startup.transport import Transports
from lewm_ros.startup.viewers import require_programs
from rclpy.utilities import get_rmw_implementation_identifier

Given = dict[str, str]


class SystemEnded(Exception):
    """Ends launch with a reason and a status that is not zero."""


def describe(names: Sequence[str], defaults: Mapping[str, str] | None = None,
             choose: Callable[[Given], Given] = lambda given: given) -> LaunchDescription:
    """Return a launch file's whole content: arguments, and the system that they describe.

    Args:
        names: Fields of `SystemOptions` that are arguments.
        defaults: Where this launch file has another default.
        choose: Gets the arguments as texts and returns them with what it decides for people.
    """
    defaults = defaults or {}
    given: set[str] = set()

    def note(context: LaunchContext) -> None:
        """Before the defaults are filled in, only what a person gave is there."""
        given.clear()
        given.update(name for name in names if name in context.launch_configurations)

    def start(context: LaunchContext) -> list[Action]:
        values = {name: context.launch_configurations[name] for name in names}
        return _actions(SystemOptions.from_text(choose(values)), given)

    declared = [_declare(item, defaults.get(item.name, default_text(item.name)))
                for item in fields(SystemOptions) if item.name in names]
    return LaunchDescription([OpaqueFunction(function=note), *declared,
                              OpaqueFunction(function=start)])


def _declare(item, default: str) -> DeclareLaunchArgument:
    choices = item.metadata['choices']
    return DeclareLaunchArgument(
        item.name, default_value=default, description=item.metadata['help'],
        choices=list(choices) if default in choices else None)


def _actions(options: SystemOptions, given: set[str]) -> list[Action]:
    specs = system(options, given)
    require_programs(specs)
    watching = supervisor(options, specs)
    if options.params_file:
        params_file.check(options.params_file, namespace=options.root_namespace,
                          substitutions=True)
    folder = Path(tempfile.mkdtemp(prefix='lewm_ros_launch_'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    chosen = params_file.write_chosen(specs, folder)
    transports = Transports.here(options.dds_profile, get_rmw_implementation_identifier(),
                                 options.discovery)
    return [_node(spec, options, chosen.get(spec.executable), transports)
            for spec in (*specs, *filter(None, [watching]))]


def _node(spec: NodeSpec, options: SystemOptions, chosen: Path | None,
          transports: Transports) -> Node:
    files = [ParameterFile(spec.params_file, allow_substs=True)] if spec.params_file else []
    return Node(
        package=spec.package, executable=spec.executable, name=spec.executable,
        namespace=spec.namespace, output='screen', arguments=list(spec.arguments),
        ros_arguments=spec.own_arguments(),
        parameters=files + ([str(chosen)] if chosen else []),
        remappings=[tuple(rule.rsplit(':=', 1)) for rule in spec.remappings],
        additional_env={'PYTHONUNBUFFERED': '1', **transports.of(spec)},
        respawn=spec.respawn, respawn_delay=options.respawn_delay,
        on_exit=lambda event, context: _ended(event, context, spec))


def _ended(event: ProcessExited, context: LaunchContext, spec: NodeSpec) -> list[Action]:
    """End everything, with a reason, when the system cannot do without a process that ended."""
    # while everything is being shut down anyway, a second request would be an error
    if context.is_shutdown:
        return []
    if spec.finishes and event.returncode == 0:
        reason = f'{spec.executable} has finished, and the system with it'
        return [LogInfo(msg=reason), Shutdown(reason=reason)]
    if event.returncode == REFUSED:
        raise SystemEnded(f'{spec.executable} refused to start; its last lines say why')
    if not spec.essential:
        return []

    def end(_: LaunchContext) -> None:
        raise SystemEnded(f'{spec.executable} ended (exit code {event.returncode}), and the '
                          f'system with it')

    return [TimerAction(period=spec.survived_s, actions=[OpaqueFunction(function=end)])]
