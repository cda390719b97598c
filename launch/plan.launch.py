"""Drive a robot, or the simulated one, to goal pictures.

    ros2 launch lewm_ros plan.launch.py sim:=true
    ros2 launch lewm_ros plan.launch.py robot:=my_robot.yaml bundle:=my_bundle dry_run:=true
    ros2 launch lewm_ros plan.launch.py robot:=my_robot.yaml params_file:=my_parameters.yaml
    ros2 launch lewm_ros plan.launch.py sim:=true record:=true root:=~/recordings
    ros2 launch lewm_ros plan.launch.py sim:=true task:=push_t rviz:=true

Which nodes that makes is written once, in `lewm_ros.startup.system`. A planner that ends leaves
the command node running, which stops the robot; when the command node ends, so does everything.
"""

from dataclasses import fields

from launch import LaunchDescription
from lewm_ros.startup.launch_actions import describe
from lewm_ros.startup.options import SystemOptions


def generate_launch_description() -> LaunchDescription:
    """Make every field of `SystemOptions` an argument and start the table of nodes."""
    return describe([item.name for item in fields(SystemOptions)])
