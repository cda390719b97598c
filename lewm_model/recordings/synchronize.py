"""Streams to control steps: which frame, which measured state, which action make one row.

The image is master. Row t holds the frame of t, the state at the frame's stamp, and the action
that *leaves* t, the one in force during [t, t + dt). The last row of an episode has no leaving
action (NaN), because what it led to was not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from lewm_model.config import DataConfig
from lewm_model.errors import BagError
from lewm_model.recordings.streams import Streams
import numpy as np

SAME_RATE = 0.05    # of the control step: a camera this near to it is at the control rate
RESAMPLED = 0.75    # of the control step: a camera at least this fast is thinned to it
_JUDGED = 10         # steps between frames that tell a rate
DUPLICATE = 'stamp of the frame before'
INACTIVE = 'outside a recorded episode (episode_info)'
TOO_FAST = 'camera faster than the control rate'
NO_JOINTS = 'no joint state close enough before and after'
NO_ACTION = 'no command yet'
RAN_OUT = 'no command in force, the last one ran out'
UNKNOWN_ACTION = 'the command in force is not known (not finite, cancelled, or not for all joints)'
NO_VIEW = 'no frame of another camera close enough'
TOO_SHORT = 'episode shorter than min_rows'


@dataclass(frozen=True)
class EpisodeRows:
    """The rows of one uninterrupted episode, n of them, one control step apart."""

    frame_index: np.ndarray   # int64 (n,), position of the frame on its topic
    stamps_ns: np.ndarray     # int64 (n,)
    positions: np.ndarray     # float64 (n, P)
    velocities: np.ndarray    # float64 (n, P), NaN where the robot reports none
    actions: np.ndarray       # float64 (n, A), robot units, the last row NaN
    other_index: np.ndarray | None = None   # int64 (n, C - 1), frames of the further cameras

    @property
    def frames(self) -> np.ndarray:
        """The frames of all cameras on their topics, int64 (n, C)."""
        first = self.frame_index[:, None]
        return first if self.other_index is None else np.hstack([first, self.other_index])


@dataclass(frozen=True)
class Synchronized:
    """All episodes of one recording, and where its other frames went."""

    episodes: tuple[EpisodeRows, ...]
    frames: int               # recorded
    dropped: dict[str, int]   # frames by reason; rows + dropped = frames
    notes: tuple[str, ...] = ()   # of the streams, and how the camera was thinned

    @property
    def rows(self) -> int:
        """Frames that became rows."""
        return sum(len(episode.stamps_ns) for episode in self.episodes)


def synchronize(streams: Streams, config: DataConfig) -> Synchronized:
    """Put a recording on the control grid.

    Frames: each is a row if the camera runs at the control rate; of a faster camera the frames
    nearest to an even grid. Of further cameras the frame nearest to that of the first, at most
    half a control step away. State: linear between the neighbours of the stamp. Action:
    zero-order hold. Gaps over `max_gap` control steps, episode marks, clocks that jump back and
    commands that ran out split the recording; nothing is ever interpolated or held across an
    episode mark or a jump.

    Raises:
        BagError: If the camera is slower than the control rate.
    """
    dt_ns = round(config.control_dt_s * 1e9)
    parts = streams.split()
    camera_step_ns = _check_rate(streams, parts, dt_ns)
    done = [_synchronize_run(part, config, dt_ns) for part in parts]
    reasons = [reason for _, dropped_for in done for reason in dropped_for if reason]
    for reason, count in streams.left_out.items():
        reasons += [reason] * count
    dropped = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    notes = streams.notes + _pauses(streams, dropped)
    if dropped.get(TOO_FAST):
        notes += (f'{streams.image_topic}: {dropped[TOO_FAST]} frames left out to resample '
                  f'{1e9 / camera_step_ns:.2f} Hz to the control rate of {1e9 / dt_ns:.2f} Hz',)
    return Synchronized(
        episodes=tuple(chain.from_iterable(episodes for episodes, _ in done)),
        frames=len(streams.frame_stamps_ns) + sum(streams.left_out.values()),
        dropped=dropped, notes=notes)


def _synchronize_run(streams: Streams, config: DataConfig, dt_ns: int
                     ) -> tuple[list[EpisodeRows], np.ndarray]:
    """Return the episodes of one run of the clock, and why each frame is no row ('': it is)."""
    max_gap_ns = config.max_gap * dt_ns
    stamps = streams.frame_stamps_ns
    dropped_for = np.full(len(stamps), '', dtype=object)
    dropped_for[1:][np.diff(stamps) == 0] = DUPLICATE

    mark = _mark(streams, stamps)
    dropped_for[~streams.mark_active[mark] & (dropped_for == '')] = INACTIVE

    for part in _runs(stamps, mark, np.flatnonzero(dropped_for == ''), max_gap_ns):
        skipped = np.setdiff1d(part, part[_on_grid(stamps[part], dt_ns)], assume_unique=True)
        dropped_for[skipped] = TOO_FAST

    others, complete = _others_at(streams, stamps, mark, dt_ns // 2)
    dropped_for[~complete & (dropped_for == '')] = NO_VIEW
    positions, velocities, known = _joints_at(streams, stamps, mark, max_gap_ns)
    dropped_for[~known & (dropped_for == '')] = NO_JOINTS
    actions, no_action = _actions_from(streams, stamps, mark, dt_ns)
    has_action = no_action == ''

    episodes = []
    rows = np.flatnonzero(dropped_for == '')
    for run in _runs(stamps, mark, rows, max_gap_ns, may_go_on=has_action):
        if len(run) == 1 and not has_action[run[0]]:
            dropped_for[run] = no_action[run]
        elif len(run) < config.min_rows:
            dropped_for[run] = TOO_SHORT
        else:
            leaving = actions[run]
            leaving[-1] = np.nan
            episodes.append(EpisodeRows(
                frame_index=streams.frame_index[run], stamps_ns=stamps[run],
                positions=positions[run], velocities=velocities[run], actions=leaving,
                other_index=others[run] if streams.others else None))
    return episodes, dropped_for


def _mark(streams: Streams, stamps: np.ndarray) -> np.ndarray:
    """Return which episode mark holds at each stamp."""
    return np.searchsorted(streams.mark_stamps_ns, stamps, side='right') - 1


def _check_rate(streams: Streams, parts: tuple[Streams, ...], dt_ns: int) -> float:
    """Return the usual time between frames [ns]; refuse a camera that gives no even rows."""
    steps = [np.diff(np.unique(part.frame_stamps_ns)) for part in parts]
    if not any(map(len, steps)):
        return float(dt_ns)
    usual_ns = float(np.median(np.concatenate(steps)))
    judged = [(usual_ns, 1.25), *((_period(one), 1 + SAME_RATE) for one in steps
                                  if len(one) >= _JUDGED)]
    for period_ns, slowest in judged:
        if period_ns > slowest * dt_ns:
            raise BagError(
                f'{streams.name}: frames on {streams.image_topic} come at {1e9 / period_ns:.2f} '
                f'Hz, slower than the control rate of {1e9 / dt_ns:.2f} Hz; raise the camera rate '
                f'or control_dt_s of the robot, to {period_ns / 1e9:.4g} s or more')
    for period_ns, _ in judged[1:]:
        if RESAMPLED * dt_ns < period_ns < (1 - SAME_RATE) * dt_ns:
            raise BagError(
                f'{streams.name}: frames on {streams.image_topic} come at {1e9 / period_ns:.2f} '
                f'Hz, near, but not at the control rate of {1e9 / dt_ns:.2f} Hz: no choice of '
                f'frames is evenly spaced. Set control_dt_s of the robot to '
                f'{period_ns / 1e9:.4g} s, or to {period_ns / RESAMPLED / 1e9:.4g} s or more, or '
                f'change the camera rate')
    return usual_ns


def _period(steps: np.ndarray) -> float:
    """Return the time between frames [ns], however they jitter, also if some are lost.

    Jitter cancels in the sum of steps; a step over a lost frame counts as two.
    """
    usual = np.median(steps)
    steps = steps[steps < 3.5 * usual]   # pauses
    return float(steps.sum() / max(np.round(steps / usual).sum(), 1))


def _pauses(streams: Streams, dropped: dict[str, int]) -> tuple[str, ...]:
    """Say how long commands paused, if any ran out."""
    if not dropped.get(RAN_OUT):
        return ()
    parts = [part.action_stamps_ns for part in streams.split()]
    longest_ns = max(int(np.diff(stamps).max(initial=0)) for stamps in parts)
    return (f'commands ran out; the longest pause between two was {longest_ns / 1e9:.2f} s. A '
            f'sent command is in force for command_hold_s of the robot file (set it to the '
            f'time-out of the controller), an executed one for a control step',)


def _runs(stamps: np.ndarray, mark: np.ndarray, rows: np.ndarray, max_gap_ns: float,
          may_go_on: np.ndarray | None = None) -> list[np.ndarray]:
    """Split `rows` where time has a gap, an episode mark lies, or `may_go_on` says stop."""
    if not len(rows):
        return []
    split = (np.diff(stamps[rows]) > max_gap_ns) | (np.diff(mark[rows]) != 0)
    if may_go_on is not None:
        split |= ~may_go_on[rows[:-1]]
    return np.split(rows, np.flatnonzero(split) + 1)


def _on_grid(stamps: np.ndarray, dt_ns: int) -> np.ndarray:
    """Choose frames one control step apart from a run without gaps."""
    if len(stamps) > 2 and np.median(np.diff(stamps)) < 0.75 * dt_ns:
        grid = np.arange(stamps[0], stamps[-1] + 1, dt_ns)
        after = np.clip(np.searchsorted(stamps, grid), 1, len(stamps) - 1)
        nearer_before = grid - stamps[after - 1] <= stamps[after] - grid
        return np.unique(after - nearer_before)
    # At the control rate every frame is a row, except a burst after a hiccup of the driver.
    kept = [0]
    for index in range(1, len(stamps)):
        if stamps[index] - stamps[kept[-1]] >= 0.5 * dt_ns:
            kept.append(index)
    return np.array(kept)


def _others_at(streams: Streams, stamps: np.ndarray, mark: np.ndarray, tolerance_ns: int
               ) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest frame of each further camera, and where all are near enough."""
    index = np.zeros((len(stamps), len(streams.others)), np.int64)
    complete = np.ones(len(stamps), dtype=bool)
    for column, camera in enumerate(streams.others):
        times = camera.stamps_ns
        if not len(times):
            complete[:] = False
            continue
        after = np.clip(np.searchsorted(times, stamps), 0, len(times) - 1)
        before = np.clip(after - 1, 0, None)
        near = np.where(np.abs(stamps - times[before]) <= np.abs(times[after] - stamps),
                        before, after)
        index[:, column] = camera.index[near]
        complete &= (np.abs(times[near] - stamps) <= tolerance_ns) & (
            _mark(streams, times)[near] == mark)
    return index, complete


def _joints_at(streams: Streams, stamps: np.ndarray, mark: np.ndarray, max_gap_ns: float
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interpolate joint states; also return where both neighbours are close and finite.

    Joints that are reported in messages of their own are interpolated between those messages.
    """
    positions = np.full((len(stamps), streams.positions.shape[1]), np.nan)
    velocities, known = positions.copy(), np.ones(len(stamps), dtype=bool)
    for columns, rows in _parts(streams):
        times = streams.joint_stamps_ns[rows]
        if not len(times):   # another run of the clock may have them
            known[:] = False
            continue
        before = np.searchsorted(times, stamps, side='right') - 1
        after = np.searchsorted(times, stamps, side='left')
        inside = (before >= 0) & (after < len(times))
        before, after = np.clip(before, 0, None), np.clip(after, None, len(times) - 1)
        span = times[after] - times[before]
        marks = _mark(streams, times)
        known &= (inside & (span <= max_gap_ns) & (marks[before] == mark)
                  & (marks[after] == mark))
        # Integer differences first: stamps of a wall clock do not fit a double to the nanosecond.
        share = np.where(span > 0, (stamps - times[before]) / np.maximum(span, 1), 0.0)[:, None]
        for found, recorded in ((positions, streams.positions), (velocities, streams.velocities)):
            values = recorded[rows][:, columns]
            found[:, columns] = values[before] + share * (values[after] - values[before])
    return positions, velocities, known & np.isfinite(positions).all(axis=1)


def _parts(streams: Streams) -> list[tuple[np.ndarray, np.ndarray | slice]]:
    """Return the columns of joints that come in the same messages, and the rows that have them."""
    given = streams.joint_given
    if given is None:
        return [(np.arange(streams.positions.shape[1]), slice(None))]
    parts: dict[bytes, list[int]] = {}
    for column in range(given.shape[1]):
        parts.setdefault(given[:, column].tobytes(), []).append(column)
    return [(np.array(columns), given[:, columns[0]]) for columns in parts.values()]


def _actions_from(streams: Streams, stamps: np.ndarray, mark: np.ndarray, dt_ns: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Return the action that leaves each frame, (F, A), and why there is none, texts (F,).

    The hold is sampled in the middle of the step: a command published a moment after the frame
    it reacts to, as in any live system, still is that frame's, and a later one never is. A
    command whose time is over at that point (`action_until_ns`) has run out.
    """
    times = streams.action_stamps_ns
    why = np.full(len(stamps), NO_ACTION, dtype=object)
    if not len(times):
        return np.full((len(stamps), streams.actions.shape[1]), np.nan), why
    until = times + dt_ns if streams.action_until_ns is None else streams.action_until_ns
    middle = stamps + dt_ns // 2
    last = np.searchsorted(times, middle, side='right') - 1
    held = np.clip(last, 0, None)
    # A command from before a reset is not in force after it; one after it is never looked at.
    begun = (last >= 0) & (_mark(streams, times)[held] == mark)
    in_force = begun & (middle <= until[held])
    actions = np.where(in_force[:, None], streams.actions[held], np.nan)
    why[begun] = RAN_OUT
    why[in_force] = UNKNOWN_ACTION
    why[np.isfinite(actions).all(axis=1)] = ''
    return actions, why
