"""A goal picture that was taken otherwise than the robot sees: exposure, camera moved a little.

Only the goal picture is changed, not what the robot sees on the way: a photograph from another
day. For worlds that look different altogether see `lewm_sim.look`.
"""

from __future__ import annotations

from collections.abc import Mapping

from lewm_model.errors import ConfigError
from lewm_model.images.shift import moved
from lewm_sim.named_numbers import parse_named_numbers
import numpy as np

# name -> what it does, the value that changes nothing, least and most
CHANGES = {
    'exposure': ('every pixel is multiplied by this, then cut off at white', 1.0, 0.05, 20.0),
    'gamma': ('every pixel, as a share of white, is raised to this power', 1.0, 0.05, 20.0),
    'shift': ('the picture is moved by so many pixels, each pair in a direction of its own; its '
              'border is repeated', 0.0, 0.0, 64.0),
}


def parse_changes(texts: list[str]) -> dict[str, float]:
    """Read changes such as 'gamma=0.7' and 'exposure=1.5,shift=2'.

    Raises:
        ConfigError: If there is no such change, or its number cannot be.
    """
    return check_changes(parse_named_numbers(texts, 'a change', 'gamma=0.7'))


def check_changes(changes: Mapping[str, float]) -> dict[str, float]:
    """Return changes that exist.

    Raises:
        ConfigError: The message says what is allowed.
    """
    for name, value in changes.items():
        if name not in CHANGES:
            raise ConfigError(f'there is no change {name!r}; there are {", ".join(CHANGES)}')
        _, _, least, most = CHANGES[name]
        if not least <= value <= most:
            raise ConfigError(f'{name} must be in [{least:g}, {most:g}], got {value:g}')
    return dict(changes)


def photograph(rgb: np.ndarray, changes: Mapping[str, float], direction_rad: float = 0.0
               ) -> np.ndarray:
    """Return the picture as it was taken, uint8 (H, W, 3); the shift comes first.

    Args:
        rgb: uint8 (H, W, 3).
        changes: See `CHANGES`.
        direction_rad: Of the shift; 0: to the right, then clockwise.
    """
    light = rgb.astype(np.float64) / 255
    size = changes.get('shift', 0.0)
    if size:
        light = moved(light, (size * np.cos(direction_rad), size * np.sin(direction_rad)))
    light = light ** changes.get('gamma', 1.0) * changes.get('exposure', 1.0)
    return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)
