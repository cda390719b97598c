"""Stamps of several topics when the clock jumps back: which messages belong together.

A looped replay, a reset simulator or a corrected clock repeats times. Each stretch in which time
goes forward is a run with a number of its own; nothing is ever paired across runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

JUMP_NS = 1_000_000_000   # a stamp this much before one already seen: the clock jumped back [ns]
_LOOK_BACK = 8            # runs that a late topic may still belong to
_BESIDE = 50              # messages around a jump that count as beside it


def zero_among_others(stamps: np.ndarray) -> np.ndarray:
    """Return where a stamp is 0 only because the driver forgot it, bool like `stamps` (N,).

    A clock that really starts at 0 goes on from there; a forgotten stamp stands between others.
    """
    forgotten = np.zeros(len(stamps), dtype=bool)
    stamped = np.flatnonzero(stamps != 0)
    for index in np.flatnonzero(stamps == 0) if len(stamped) else ():
        place = np.searchsorted(stamped, index)
        before = stamps[stamped[place - 1]] if place > 0 else 0
        after = stamps[stamped[place]] if place < len(stamped) else None
        forgotten[index] = ((before > JUMP_NS or place == 0) and
                            (after is None or after > max(before - JUMP_NS, JUMP_NS)))
    return forgotten


def out_of_order(stamps: np.ndarray, runs: np.ndarray) -> int:
    """Count stamps below one that was recorded earlier in the same run."""
    return sum(int((part < np.maximum.accumulate(part)).sum())
               for run in np.unique(runs) for part in (stamps[runs == run],))


def clock_runs(positions: Sequence[np.ndarray], stamps: Sequence[np.ndarray]
               ) -> list[np.ndarray]:
    """Number the runs of a clock that several topics share, from 0.

    The first topic whose stamps fall by more than `JUMP_NS` opens a run; the others follow when
    their own stamps fall, or when they are nearer to the times of the new run than to those of
    the old one, so that sparse topics need not jump themselves.

    Args:
        positions: Places of the messages in the recording, int64 (N,) for each topic.
        stamps: Their stamps [ns], int64 (N,) for each topic.

    Returns:
        The run of each message, int64 (N,) for each topic.
    """
    runs = [np.zeros(len(one), dtype=np.int64) for one in stamps]
    if not any(len(one) and (one < np.maximum.accumulate(one) - JUMP_NS).any() for one in stamps):
        return runs
    walk = np.argsort(np.concatenate(positions), kind='stable')
    topic_of = np.concatenate([np.full(len(one), topic) for topic, one in enumerate(stamps)])
    index_of = np.concatenate([np.arange(len(one)) for one in stamps])
    latest: list[int] = []                   # newest recorded stamp of each run, of any topic
    run_of, highest = [0] * len(stamps), [None] * len(stamps)
    for topic, index in zip(topic_of[walk].tolist(), index_of[walk].tolist(), strict=True):
        stamp, run = int(stamps[topic][index]), run_of[topic]
        if not latest:
            latest.append(stamp)
        if highest[topic] is not None and stamp < highest[topic] - JUMP_NS:
            if run == len(latest) - 1:
                latest.append(stamp)
            run, highest[topic] = _nearest(stamp, latest, run + 1), stamp
        elif run < len(latest) - 1 and (nearest := _nearest(stamp, latest, run)) != run:
            run, highest[topic] = nearest, stamp
        run_of[topic] = runs[topic][index] = run
        latest[run] = stamp
        highest[topic] = stamp if highest[topic] is None else max(stamp, highest[topic])
    return runs


def runs_of_marks(positions: Sequence[int], stamps: Sequence[int], data_positions: np.ndarray,
                  data_stamps: np.ndarray, data_runs: np.ndarray) -> list[int]:
    """Return the run that each of a few marks belongs to.

    Marks are rare and may repeat an old time (latched messages), so they open no run: they join
    the one going on where they were recorded, or its neighbour if they were recorded beside the
    jump and their time fits there.

    Args:
        positions: Places of the marks in the recording.
        stamps: Their stamps [ns].
        data_positions: Places of all other messages, int64 (N,), sorted.
        data_stamps: Their stamps [ns].
        data_runs: Their runs.
    """
    found, newest = [], np.maximum.accumulate(data_runs)
    openings = {int(run): int(np.argmax(data_runs == run)) for run in np.unique(data_runs)}
    for position, stamp in zip(positions, stamps, strict=True):
        last = max(int(np.searchsorted(data_positions, position)) - 1, 0)
        run = int(newest[last])
        choices = {run: int(data_stamps[last])}
        opened = openings[run]
        if run > 0 and last - opened < _BESIDE and run - 1 in openings:
            choices[run - 1] = int(data_stamps[max(opened - 1, 0)])
        opens = openings.get(run + 1)
        if opens is not None and opens - last <= _BESIDE:
            choices[run + 1] = int(data_stamps[opens])
        found.append(min(choices, key=lambda choice: abs(stamp - choices[choice])))
    return found



def _nearest(stamp: int, latest: list[int], first: int) -> int:
    """Return the run from `first` on whose newest time is nearest; of equals the newest run."""
    choices = range(len(latest) - 1, max(first, len(latest) - _LOOK_BACK) - 1, -1)
    return min(choices, key=lambda run: abs(stamp - latest[run]), default=len(latest) - 1)
