"""ROS 2 nodes around the latent world model; the only package that imports rclpy."""

from importlib import import_module
from pkgutil import extend_path
from typing import Any

# Run from a checkout, ./lewm_ros comes first on sys.path and would hide the generated messages,
# which live in the installed package of the same name: let both be one package.
__path__ = extend_path(__path__, __name__)

_HOMES = {'Code': 'wire.reasons', 'Commander': 'commander.commander',
          'CommanderError': 'commander.link'}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}; it has {__all__}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
