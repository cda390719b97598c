"""What a data set measured of the robot: the column of states and their names."""

from __future__ import annotations

from lewm_model.data.episodes import EpisodeFile
import numpy as np


def measured_states(data: EpisodeFile) -> tuple[list[str], np.ndarray]:
    """Return (names, column (N, P)) of the measured states; no names and nothing without any.

    A robot's states need not be its actions: a base has x, y and yaw, and is commanded by speeds.
    Sets that do not name their states have those of their actions, if as many, or numbers.
    """
    column = data.columns.get('qpos', data.columns.get('proprio'))
    if column is None or column.ndim != 2:
        return [], np.empty((0, 0))
    for key in ('state_names', 'joint_names'):
        names = list(data.attributes.get(key, ()))
        if len(names) == column.shape[1]:
            return names, column
    return [f'joint {place}' for place in range(column.shape[1])], column
