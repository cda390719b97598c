"""Where episodes begin and end in a recording: marks of the recorder and resets."""

from __future__ import annotations

from collections.abc import Iterable
import json
from typing import Any

from lewm_model.recordings.timeline import runs_of_marks
import numpy as np

EPISODE_TYPE = 'lewm_ros/msg/EpisodeInfo'
EPISODE_TOPIC = 'episode_info'
RESET_TYPE, RESET_TOPIC = 'std_msgs/msg/Header', 'scene_reset'   # the simulator teleported
# Constants of EpisodeInfo.msg; a bag may be older than our files, so by value.
PHASES = ('IDLE', 'RECORDING', 'PAUSED', 'SUCCESS', 'FAILURE', 'DISCARDED')
_RECORDING, _DISCARDED = PHASES.index('RECORDING'), PHASES.index('DISCARDED')


def read_marks(events: list, places: np.ndarray, stamps: np.ndarray, runs: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return stamps of episode borders, whether recording goes on after each, and their runs.

    A recording without episode marks is one episode from the first to the last frame of a run.

    Args:
        events: (place in the recording, stamp, EpisodeInfo or None for a reset).
        places: Of all messages of the streams.
        stamps: Of those messages.
        runs: Of those messages.

    Returns:
        Stamps int64 (E,), active bool (E,), runs int64 (E,); the first of each run holds for ever.
    """
    walk = np.argsort(places, kind='stable')
    of_events = (runs_of_marks([place for place, *_ in events], [stamp for _, stamp, _ in events],
                               places[walk], stamps[walk], runs[walk])
                 if runs.any() else [0] * len(events))
    infos = [message for *_, message in events if message is not None]
    discarded = {message.episode_id for message in infos if message.phase == _DISCARDED}
    found, active = [], not infos
    for run in range(int(runs.max(initial=0)) + 1):
        found.append((np.iinfo(np.int64).min, active, run))   # recording goes on over a jump
        inside = [event for event, where in zip(events, of_events, strict=True) if where == run]
        for _, stamp, message in sorted(inside, key=lambda event: event[1]):
            if message is not None:
                active = message.phase == _RECORDING and message.episode_id not in discarded
            found.append((stamp, active, run))
    mark_stamps, mark_active, mark_runs = zip(*found, strict=True)
    return (np.array(mark_stamps, dtype=np.int64), np.array(mark_active, dtype=bool),
            np.array(mark_runs, dtype=np.int64))


def read_acting(marks: Iterable[Any]) -> tuple[str, ...]:
    """Return which data policies acted, sorted, as marks of `lewm collect` say; () of others."""
    found = set()
    for mark in marks:
        try:
            said = json.loads(mark.metadata_json or '{}')
        except ValueError:      # whatever somebody's recorder writes there is no reason to fail
            continue
        if isinstance(said, dict) and isinstance(said.get('acting', said.get('policy')), str):
            found.add(said.get('acting', said.get('policy')))
    return tuple(sorted(found))
