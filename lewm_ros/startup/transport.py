"""Transport settings for Fast DDS where nobody else has chosen any. No rclpy.

Nodes that read cameras get room for large pictures in shared memory. Nodes that stop the robot
get none of it: a process that is stopped (SIGSTOP, a debugger) or killed while it holds the lock
of its port in shared memory blocks everybody who sends to it, for a second and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path

from lewm_model.base import resources
from lewm_model.errors import ConfigError
from lewm_ros.startup.discovery import discovery_environment, VARIABLE as _RANGE
from lewm_ros.startup.system import NodeSpec

PROFILE = 'config/dds/fastdds_large_messages.xml'
VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_NEW, _OLD = VARIABLES
UDP = 'config/dds/fastdds_udp.xml'
UDP_LOCALHOST = 'config/dds/fastdds_udp_localhost.xml'
_WITH_OLD_NAME = ('humble', 'iron', 'jazzy')   # newer ones warn about it
_FILES_IN_CWD = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')


@dataclass(frozen=True)
class Transports:
    """The variables to add for each node of a system."""

    pictures: dict[str, str]
    unblocked: dict[str, str]
    discovery: dict[str, str] = field(default_factory=dict)   # of every node

    @classmethod
    def here(cls, choice: str, rmw: str, discovery: str) -> Transports:
        """Return those for processes that are started by this one.

        Args:
            choice: See `transport_environment`.
            rmw: The middleware.
            discovery: See `discovery_environment`.
        """
        everywhere = discovery_environment(discovery, os.environ)
        where = (choice, {**os.environ, **everywhere}, Path.cwd(), rmw)
        return cls(transport_environment(*where), unblocked_environment(*where), everywhere)

    def of(self, node: NodeSpec) -> dict[str, str]:
        """Return those of one node."""
        own = self.unblocked if node.stops_robot else self.pictures if node.reads_camera else {}
        return {**self.discovery, **own}


def transport_environment(choice: str, environment: Mapping[str, str], cwd: Path, rmw: str
                          ) -> dict[str, str]:
    """Return the variables to add for nodes that exchange pictures.

    Args:
        choice: 'auto', 'none', or a profile file.
        environment: Of this process; what it chooses stays.
        cwd: Folder in which Fast DDS would look for a file of its own accord.
        rmw: The middleware, such as 'rmw_fastrtps_cpp'.

    Raises:
        ConfigError: If the file does not exist.
    """
    if choice == 'none':
        return {}
    if choice == 'auto':
        return _ours(PROFILE, environment, cwd, rmw)
    if not (path := Path(choice).expanduser().absolute()).is_file():
        raise ConfigError(f'dds_profile must be auto, none or an existing file, got {choice!r}')
    return {_variable(environment): str(path)}


def unblocked_environment(choice: str, environment: Mapping[str, str], cwd: Path, rmw: str
                          ) -> dict[str, str]:
    """Return the variables to add for nodes that must not wait for any other process.

    Arguments as those of `transport_environment`; a file, which is for pictures, is as 'auto'.
    """
    if choice == 'none' or environment.get('FASTDDS_BUILTIN_TRANSPORTS'):
        return {}
    if environment.get(_RANGE) != 'LOCALHOST':
        return _ours(UDP, environment, cwd, rmw)
    if environment.get('ROS_STATIC_PEERS'):
        return {}    # they only count with a range that makes rmw choose the transports
    found = _ours(UDP_LOCALHOST, environment, cwd, rmw)
    return {**found, _RANGE: 'SYSTEM_DEFAULT'} if found else {}


def _ours(profile: str, environment: Mapping[str, str], cwd: Path, rmw: str) -> dict[str, str]:
    chosen = (any(environment.get(name) for name in VARIABLES)
              or any((cwd / name).exists() for name in _FILES_IN_CWD))
    if chosen or not rmw.startswith('rmw_fastrtps'):
        return {}
    return {_variable(environment): str(resources.find(profile))}


def _variable(environment: Mapping[str, str]) -> str:
    return _OLD if environment.get('ROS_DISTRO') in _WITH_OLD_NAME else _NEW
