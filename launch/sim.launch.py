"""Start the simulated robot alone: clock, camera, joints and a drive that obeys commands.

ros2 launch lewm_ros sim.launch.py task:=reacher
"""

from dataclasses import fields

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from lewm_ros.startup.system import system, SystemOptions

_ARGUMENTS = ('task', 'robot', 'image_size', 'real_time_factor', 'namespace', 'log_level')


def generate_launch_description() -> LaunchDescription:
    """Take the simulator from the table of nodes."""
    arguments = [
        DeclareLaunchArgument(item.name, default_value=str(item.default),
                              description=item.metadata['help'])
        for item in fields(SystemOptions) if item.name in _ARGUMENTS]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    given = {name: context.launch_configurations[name] for name in _ARGUMENTS}
    nodes = system(SystemOptions.from_text({**given, 'sim': 'true'}))
    spec = next(node for node in nodes if node.executable == 'sim_node')
    return [Node(package='lewm_ros', executable=spec.executable, name=spec.executable,
                 namespace=spec.namespace, parameters=[spec.parameters], output='screen',
                 arguments=['--ros-args', '--log-level', spec.log_level])]
