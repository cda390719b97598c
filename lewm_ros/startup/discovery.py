"""Who can find the nodes of a system: by default only this machine. No rclpy.

A ROS 2 distribution announces every node to the whole subnet, and whoever hears that may call any
service, such as `~/enable`.
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
_RANGES = {'localhost': 'LOCALHOST', 'subnet': 'SUBNET', 'system': 'SYSTEM_DEFAULT'}
CHOICES = ('auto', *_RANGES)
_OLD_VARIABLE = 'ROS_LOCALHOST_ONLY'      # still obeyed, and stronger
_CHOOSE = (VARIABLE, _OLD_VARIABLE, 'ROS_DISCOVERY_SERVER')


def discovery_environment(choice: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add for every process of a system.

    Args:
        choice: One of CHOICES. auto: localhost, unless the environment already says something;
            system: what the middleware's own configuration says.
        environment: Of this process.
    """
    if choice == 'auto':
        chosen = any(environment.get(name) for name in _CHOOSE)
        return {} if chosen else {VARIABLE: _RANGES['localhost']}
    old = {_OLD_VARIABLE: '0'} if environment.get(_OLD_VARIABLE) else {}
    return {VARIABLE: _RANGES[choice], **old}
