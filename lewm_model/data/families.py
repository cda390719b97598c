"""Families of episodes: those that begin alike, which a split may keep on one side.

A public Push-T set has 18,685 episodes from 101 starts: divided by episode, every start that
was held out is in the training data as well.
"""

from __future__ import annotations

from lewm_model.data.episodes import EpisodeFile
import numpy as np

START_COLUMNS = ('truth', 'qpos', 'proprio', 'state')   # the first that there is
TOLERANCE = 0.02     # largest difference in a coordinate, in standard deviations over all rows
_PICTURE = 8         # side of the reduced first frame, where no state was measured
_GREY = 64.0         # what counts as the standard deviation of its values


def families(data: EpisodeFile) -> np.ndarray:
    """Return for each episode the number of the first one that begins as it does, int (E,).

    The start is what is known of the state at the first row, the truth where a simulator wrote
    it, or else the first picture.
    """
    starts = _starts(data)
    leaders: list[int] = []
    places = np.empty_like(starts)       # of the leaders, the first len(leaders) rows
    found = np.empty(len(starts), dtype=np.int64)
    for number, start in enumerate(starts):
        distances = np.abs(places[:len(leaders)] - start).max(axis=1, initial=0)
        near = np.flatnonzero(distances <= TOLERANCE)
        if len(near):
            found[number] = leaders[near[0]]
        else:
            found[number] = number
            places[len(leaders)] = start
            leaders.append(number)
    return found


def _starts(data: EpisodeFile) -> np.ndarray:
    for name in START_COLUMNS:
        if name in data.columns:
            column = np.asarray(data.columns[name], np.float64).reshape(len(data.pixels), -1)
            spread = np.nanstd(column, axis=0)
            return np.nan_to_num(column[data.ep_offset] / np.where(spread > 1e-9, spread, 1.0))
    reduced = []
    for row in data.ep_offset:
        frame = np.asarray(data.pixels[int(row)], np.float64).mean(axis=-1)
        sides = [np.array_split(np.arange(side), _PICTURE) for side in frame.shape]
        reduced.append([frame[np.ix_(rows, columns)].mean() for rows in sides[0]
                        for columns in sides[1]])
    return np.array(reduced) / _GREY
