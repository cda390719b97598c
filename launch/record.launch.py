"""Record episodes: of the simulated robot exploring, or of whatever drives yours.

    ros2 launch lewm_ros record.launch.py sim:=true episodes:=20
    ros2 launch lewm_ros record.launch.py robot:=my_robot.yaml root:=~/recordings

    ros2 launch lewm_ros record.launch.py robot:=my_robot.yaml source:=teleop

The first ends by itself. The second starts the recorder alone: who drives is up to you
(`plan.launch.py record:=true` has the planner too). The third adds the command node and lets a
person drive. Episodes are started and stopped by the services of recorder_node, by
`record_command` or by a joystick.
"""

from launch import LaunchDescription
from lewm_ros.startup.launch_actions import describe
from lewm_ros.startup.options import switch

_NAMES = ('sim', 'source', 'robot', 'root', 'task', 'episodes', 'steps', 'first', 'seed',
          'real_time_factor', 'image_size', 'params_file', 'use_sim_time', 'namespace', 'remap',
          'autostart', 'configure_timeout', 'use_respawn', 'respawn_delay', 'dds_profile',
          'discovery', 'log_level')


def generate_launch_description() -> LaunchDescription:
    """Take the recorder, and in simulation what it records, from the table of nodes."""
    return describe(_NAMES, {'source': ''}, _choose)


def _choose(given: dict[str, str]) -> dict[str, str]:
    source = given['source'] or ('explore' if switch('sim', given['sim']) else 'none')
    return {**given, 'record': 'true', 'source': source}
