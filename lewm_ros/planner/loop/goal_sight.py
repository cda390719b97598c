"""Goal pictures beside the newest frame: brought to its light and place. No rclpy.

What is corrected, and when, is up to `lewm_model.images.goal_correction`; the offline evaluation
asks it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lewm_model.images.goal_correction import correct_goal
from lewm_model.images.tiles import Tile
from lewm_ros.wire.reports import GoalRequest
import numpy as np


class GoalSight:
    """Corrects the goal pictures of one activation.

    A goal that comes before the first frame is used as it is, and looked at again with it.

    Args:
        tiles: Places of the cameras in the pictures.

    Attributes:
        which: What is corrected, one of CORRECTIONS.
        newest: The newest frame, uint8 (H, W, 3); None: there is none that counts.
    """

    def __init__(self, tiles: Sequence[Tile] = ()) -> None:
        self.which = 'off'
        self.newest: np.ndarray | None = None
        self._tiles = tiles
        self._unseen: GoalRequest | None = None   # given while there was no frame

    def look(self, rgb: np.ndarray) -> GoalRequest | None:
        """Take the newest frame; return a goal that shall be given anew because of it."""
        self.newest = rgb
        goal, self._unseen = self._unseen, None
        return goal

    def forget_frame(self) -> None:
        """Wait for the next frame: the scene is another one."""
        self.newest = None

    def forget_goal(self) -> None:
        """Give no goal anew."""
        self._unseen = None

    def give(self, goal: GoalRequest) -> tuple[GoalRequest, str]:
        """Return a goal as it would be seen now, and what there is to say about its picture."""
        waits = self.newest is None and goal.rgb is not None and self.which != 'off'
        self._unseen = goal if waits else None
        return self.alike(goal, self.newest)

    def alike(self, goal: GoalRequest, live: np.ndarray | None) -> tuple[GoalRequest, str]:
        """Return a goal as it would be seen beside a frame, and what there is to say about it.

        Args:
            goal: Without a picture it stays as it is.
            live: uint8 (H, W, 3); None: there is none.
        """
        if goal.rgb is None or live is None:
            return goal, ''
        found = correct_goal(goal.rgb, live, self.which, self._tiles)
        return replace(goal, rgb=found.rgb), found.text
