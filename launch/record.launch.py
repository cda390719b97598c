"""Record episodes: of the simulated robot exploring, or of whatever drives yours.

    ros2 launch lewm_ros record.launch.py sim:=true episodes:=20
    ros2 launch lewm_ros record.launch.py robot:=my_robot.yaml root:=~/recordings

    ros2 launch lewm_ros record.launch.py robot:=my_robot.yaml source:=teleop

The first ends by itself. The second starts the recorder alone: who drives is up to you
(`plan.launch.py record:=true` has the planner too). The third adds the command node and lets a
person drive. Episodes are started and stopped by the services of recorder_node, by
`record_command` or by a joystick.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import OpaqueFunction
from lewm_ros.startup.launch_actions import declared, start

_NAMES = ('sim', 'source', 'robot', 'root', 'task', 'episodes', 'steps', 'first', 'seed',
          'real_time_factor', 'image_size', 'namespace', 'autostart', 'log_level')


def generate_launch_description() -> LaunchDescription:
    """Take the recorder, and in simulation what it records, from the table of nodes."""
    return LaunchDescription([*declared(_NAMES, {'source': ''}), OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    given = context.launch_configurations
    simulated = given['sim'].lower() in ('true', '1', 'yes', 'on')
    source = given['source'] or ('explore' if simulated else 'none')
    return start(context, _NAMES, {'record': 'true', 'source': source})
