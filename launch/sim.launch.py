"""Start the simulated robot alone: clock, camera, joints and a drive that obeys commands.

ros2 launch lewm_ros sim.launch.py task:=reacher
"""

from launch import LaunchDescription
from lewm_ros.startup.launch_actions import describe

_NAMES = ('task', 'robot', 'image_size', 'real_time_factor', 'params_file', 'namespace', 'remap',
          'discovery', 'log_level')


def generate_launch_description() -> LaunchDescription:
    """Take the simulator from the table of nodes: somebody else drives it."""
    return describe(_NAMES, choose=lambda given: {**given, 'sim': 'true', 'source': 'none'})
