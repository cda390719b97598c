"""Drive a robot, or the simulated one, to goal pictures.

    ros2 launch lewm_ros plan.launch.py sim:=true
    ros2 launch lewm_ros plan.launch.py robot:=my_robot.yaml bundle:=my_bundle dry_run:=true

Which nodes that makes is written once, in `lewm_ros.system`. A planner that ends leaves the
command node running, which stops the robot; when the command node ends, so does everything.
"""

from dataclasses import fields
import sys

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    Shutdown,
)
from launch_ros.actions import Node
from lewm_ros.system import NodeSpec, system, SystemOptions


def generate_launch_description() -> LaunchDescription:
    """Declare every field of `SystemOptions` as an argument and start the table of nodes."""
    arguments = [
        DeclareLaunchArgument(item.name, default_value=_text(item.default),
                              description=item.metadata['help'])
        for item in fields(SystemOptions)]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _start(context: LaunchContext) -> list[Action]:
    given = context.launch_configurations
    options = SystemOptions.from_text(
        {item.name: given[item.name] for item in fields(SystemOptions)})
    specs = system(options)
    actions = [_node(spec) for spec in specs]
    if options.autostart:
        lifecycle = [spec.path for spec in specs if spec.lifecycle]
        actions.append(ExecuteProcess(  # why not by launch's own events: see lewm_ros.lifecycle
            cmd=[sys.executable, '-m', 'lewm_ros.lifecycle', *lifecycle], output='screen',
            name='lifecycle'))
    return actions


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
