"""Drive a robot, or the simulated one, to goal pictures.

    ros2 launch lewm_ros plan.launch.py sim:=true
    ros2 launch lewm_ros plan.launch.py robot:=my_robot.yaml bundle:=my_bundle dry_run:=true
    ros2 launch lewm_ros plan.launch.py sim:=true record:=true root:=~/recordings

Which nodes that makes is written once, in `lewm_ros.startup.system`. A planner that ends leaves
the command node running, which stops the robot; when the command node ends, so does everything.
"""

from dataclasses import fields

from launch import LaunchDescription
from launch.actions import OpaqueFunction
from lewm_ros.startup.launch_actions import declared, start
from lewm_ros.startup.system import SystemOptions

_NAMES = [item.name for item in fields(SystemOptions)]


def generate_launch_description() -> LaunchDescription:
    """Declare every field of `SystemOptions` as an argument and start the table of nodes."""
    return LaunchDescription([*declared(_NAMES),
                              OpaqueFunction(function=start, args=[_NAMES])])
