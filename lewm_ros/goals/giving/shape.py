"""Whether a goal picture can be one of the camera that the model was trained with. No torch."""

from __future__ import annotations

from lewm_model.base import resources
from lewm_model.config import load_yaml
from lewm_model.images.tiles import tiles_of
from lewm_model.images.view import goal_square, View
from lewm_model.robots.robot import RobotDescription
import numpy as np


class GoalShape:
    """The shape of the pictures that a bundle was trained on.

    Args:
        bundle: Name or folder; empty, or an older one that does not say: every shape is taken
            here, and the planner judges.
        robot: Its crops are those of the pictures.

    Raises:
        ConfigError: If the bundle is not there, or says something malformed.
    """

    def __init__(self, bundle: str, robot: RobotDescription) -> None:
        self._view: View | None = None
        if bundle:
            settings = load_yaml(resources.find_named('models', bundle) / 'bundle.yaml')
            if 'view' in settings:
                self._view = View.from_dict(settings['view'])
                crops = [camera.crop for camera in robot.all_cameras]
                self._tiles = (None if self._view.misfit(crops)   # the planner will say so
                               else tiles_of(crops, self._view.frame_px))

    def check(self, rgb: np.ndarray) -> None:
        """Refuse a picture that this camera cannot have taken.

        Args:
            rgb: uint8 (H, W, 3).

        Raises:
            ImageError: Names both shapes.
        """
        if self._view is not None:
            goal_square(rgb, self._view, self._tiles)
