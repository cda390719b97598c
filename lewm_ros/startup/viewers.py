"""Programs of other packages that a system may have: today RViz."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from lewm_model.errors import ConfigError
from lewm_ros.startup.system import NodeSpec, OWN_PACKAGE


def require_programs(nodes: Iterable[NodeSpec]) -> None:
    """Refuse a system one of whose programs is not installed, before anything starts.

    Raises:
        ConfigError: Names the package, and how it is installed.
    """
    for node in nodes:
        if node.package != OWN_PACKAGE:
            program_of(node.package, node.executable)


def program_of(package: str, executable: str) -> Path:
    """Return the path of a program of another package.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        prefix = get_package_prefix(package)
    except PackageNotFoundError:
        raise ConfigError(
            f'{executable} needs the ROS package {package}, which is not installed here; install '
            f'it (apt install ros-$ROS_DISTRO-{package.replace("_", "-")}), or leave rviz away: '
            f'imagination alone publishes the same topics for any other viewer') from None
    path = Path(prefix) / 'lib' / package / executable
    if not path.is_file():
        raise ConfigError(f'the ROS package {package} in {prefix} has no program {executable}')
    return path
