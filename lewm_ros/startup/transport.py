"""Transport settings for Fast DDS where nobody else has chosen any. No rclpy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lewm_model import resources
from lewm_model.errors import ConfigError

PROFILE = 'config/dds/fastdds_large_messages.xml'
VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_NEW, _OLD = VARIABLES
_WITH_OLD_NAME = ('humble', 'iron', 'jazzy')   # newer ones warn about it
_FILES_IN_CWD = ('DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml')


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
        chosen = (any(environment.get(name) for name in VARIABLES)
                  or any((cwd / name).exists() for name in _FILES_IN_CWD))
        if chosen or not rmw.startswith('rmw_fastrtps'):
            return {}
        path = resources.find(PROFILE)
    elif not (path := Path(choice).expanduser().absolute()).is_file():
        raise ConfigError(f'dds_profile must be auto, none or an existing file, got {choice!r}')
    return {_OLD if environment.get('ROS_DISTRO') in _WITH_OLD_NAME else _NEW: str(path)}
