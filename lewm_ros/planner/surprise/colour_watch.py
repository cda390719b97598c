"""Whether colours or light changed while the planner looked. No rclpy.

A lamp that is switched on surprises a model that never saw other light, though nothing is wrong
with the robot. So that is remembered until somebody looks, and makes what follows milder.
"""

from __future__ import annotations

from lewm_model.images.recoloured import recoloured
import numpy as np


class ColourWatch:
    """Compares every judged picture with the one before.

    Attributes:
        changed: Whether colours changed since `forget`.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.changed = False
        self._before: np.ndarray | None = None

    def look(self, rgb: np.ndarray) -> None:
        """Take a picture, uint8 (H, W, 3)."""
        before, self._before = self._before, rgb
        if before is not None and before.shape == rgb.shape and recoloured(before, rgb):
            self.changed = True
