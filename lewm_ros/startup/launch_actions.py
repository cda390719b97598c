"""What the launch files have in common: the table of nodes as launch actions.

Imported by launch files only; `launch` and `launch_ros` come with a ROS distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
import sys

from launch import LaunchContext
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    Shutdown,
)
from launch_ros.actions import Node
from lewm_ros.startup.system import NodeSpec, system, SystemOptions


def declared(names: Sequence[str], defaults: dict[str, str] | None = None
             ) -> list[DeclareLaunchArgument]:
    """Declare fields of `SystemOptions` as launch arguments.

    Args:
        names: Of the fields.
        defaults: Where a launch file has another default.
    """
    return [DeclareLaunchArgument(
        item.name, default_value=(defaults or {}).get(item.name, _text(item.default)),
        description=item.metadata['help']) for item in fields(SystemOptions) if item.name in names]


def start(context: LaunchContext, names: Sequence[str], fixed: dict[str, str] | None = None
          ) -> list[Action]:
    """Return the actions that start the system which the launch arguments `names` describe.

    Args:
        context: Has the arguments.
        names: Those that were declared.
        fixed: Options that this launch file does not leave to people.
    """
    given = {name: context.launch_configurations[name] for name in names}
    options = SystemOptions.from_text({**given, **(fixed or {})})
    specs = system(options)
    actions: list[Action] = [_node(spec) for spec in specs]
    lifecycle = [spec.path for spec in specs if spec.lifecycle]
    if options.autostart and lifecycle:
        # why not by launch's own events: see lewm_ros.startup.lifecycle
        actions.append(ExecuteProcess(
            cmd=[sys.executable, '-m', 'lewm_ros.startup.lifecycle', *lifecycle], output='screen',
            name='lifecycle'))
    return actions


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _node(spec: NodeSpec) -> Node:
    return Node(
        package='lewm_ros', executable=spec.executable, name=spec.executable,
        namespace=spec.namespace, parameters=[spec.parameters], output='screen',
        arguments=['--ros-args', '--log-level', spec.log_level],
        on_exit=[OpaqueFunction(function=_end, args=[spec])] if spec.essential else None)


def _end(context: LaunchContext, spec: NodeSpec) -> list[Action]:
    # while everything is being shut down anyway, a second request would be an error
    reason = f'{spec.executable} ended, and the system with it'
    return [] if context.is_shutdown else [LogInfo(msg=reason), Shutdown(reason=reason)]
