"""How a scene looks: switches for colours, light and camera, to see what a model can bear.

A look changes the finished list of what is drawn, never the simulation: physics and truth stay as
they are, and no task has to do anything for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lewm_model.errors import ConfigError
from lewm_sim.named_numbers import parse_named_numbers
import numpy as np

# Each is drawn evenly in [-strength, strength].
FACTORS = {
    'colours': 'red, green and blue of every material are shifted by up to this (they are in '
               '[0, 1])',
    'light': 'brightness is changed by up to this share',
    'camera': 'the camera is turned: the picture shifts by up to this share of its size, each '
              'way, and rolls by up to this [rad]',
}


def parse_factors(texts: list[str]) -> dict[str, float]:
    """Read switches such as 'light=0.3' and 'colours=0.1,camera=0.02'.

    Raises:
        ConfigError: If there is no such switch, or its strength is no share.
    """
    return check_factors(parse_named_numbers(texts, 'a switch', 'light=0.3'))


def check_factors(factors: Mapping[str, float]) -> dict[str, float]:
    """Return switches that exist, with strengths in (0, 1).

    Raises:
        ConfigError: The message says what is allowed.
    """
    for name, strength in factors.items():
        if name not in FACTORS:
            raise ConfigError(f'there is no switch {name!r}; there are {", ".join(FACTORS)}')
        if not 0 < strength < 1:
            raise ConfigError(f'{name} must be in (0, 1), got {strength:g}')
    return dict(factors)


@dataclass(frozen=True, eq=False)
class Look:
    """One look of a scene, drawn by `draw_look`."""

    colours: np.ndarray     # (n, 3), added to what is drawn; row: material, else geom, modulo n
    light: float            # factor
    shift: tuple[float, float]   # of the picture to the right and up, as shares of its height
    roll_rad: float

    def change(self, scene: Any, fovy_rad: float) -> None:
        """Change what MuJoCo is about to draw.

        Args:
            scene: `MjvScene`, after it was updated.
            fovy_rad: Vertical field of view of its camera.
        """
        for geom in scene.geoms[:scene.ngeom]:
            row = geom.matid if geom.matid >= 0 else geom.objid
            geom.rgba[:3] = np.clip(geom.rgba[:3] + self.colours[row % len(self.colours)], 0, 1)
        for light in scene.lights[:scene.nlight]:
            light.ambient[:] = np.asarray(light.ambient) * self.light
            light.diffuse[:] = np.asarray(light.diffuse) * self.light
        size = 2 * np.tan(fovy_rad / 2)      # of the picture, one unit in front of the camera
        for camera in scene.camera:
            forward, up = np.array(camera.forward), np.array(camera.up)
            right = np.cross(forward, up)
            forward = forward - size * (self.shift[0] * right + self.shift[1] * up)
            forward /= np.linalg.norm(forward)
            up = np.cos(self.roll_rad) * up + np.sin(self.roll_rad) * right
            up -= forward * (up @ forward)
            camera.forward[:], camera.up[:] = forward, up / np.linalg.norm(up)


def draw_look(factors: Mapping[str, float], rng: np.random.Generator, count: int = 64) -> Look:
    """Draw a look.

    Args:
        factors: Strength of each of `FACTORS`; what is left out stays as it is.
        rng: Draws the same numbers for the same factors, and for each factor alone.
        count: Colours drawn.
    """
    colours, light, camera = (factors.get(name, 0.0) for name in FACTORS)
    way = rng.uniform(-1, 1, 4)
    return Look(colours=colours * rng.uniform(-1, 1, (count, 3)), light=1 + light * way[0],
                shift=(camera * way[1], camera * way[2]), roll_rad=camera * way[3])
