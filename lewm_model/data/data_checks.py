"""What looks wrong in a data set: facts that were counted, each with the first place it occurs.

Columns of numbers are looked at in full, pictures only as far as `max_frames` goes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
import hashlib

from lewm_model.data.episodes import EpisodeFile
import numpy as np

_AT_LIMIT = 1e-3        # of the range of an action: this near counts as at the limit
_SATURATED = 0.2        # share of rows at one limit that is worth a warning
_GAP = 1.5              # control steps between stamps, as an ingest splits episodes
_MAX_FRAMES = 20_000
_STILL = 0.01           # of the spread of a state: less is rest


@dataclass(frozen=True)
class Finding:
    """One sentence about a data set."""

    text: str
    is_problem: bool = False


def check_data_set(file: EpisodeFile, max_frames: int = _MAX_FRAMES) -> list[Finding]:
    """Look for missing numbers, odd actions, gaps, episodes that are there twice, frozen frames.

    Args:
        file: The data set.
        max_frames: Frames read at most, of episodes spread over the set.
    """
    return [*_check_missing(file), *_check_actions(file), *_check_stamps(file),
            *_check_duplicates(file), *_check_frozen(file, max_frames)]


def place_of(file: EpisodeFile, row: int) -> str:
    """Say where a row is."""
    episode = int(np.searchsorted(file.ep_offset, row, side='right')) - 1
    return f'row {row} (episode {episode}, step {row - int(file.ep_offset[episode])})'


def spread_episodes(file: EpisodeFile, max_frames: int) -> np.ndarray:
    """Choose episodes spread over the set that have at most so many rows together, at least 1."""
    count = int(np.clip(max_frames / file.ep_len.mean(), 1, file.num_episodes))
    return np.unique(np.linspace(0, file.num_episodes - 1, count).astype(int))


def _check_missing(file: EpisodeFile) -> list[Finding]:
    unknown = np.isnan(file.action).any(axis=1)
    last = np.zeros(len(file), dtype=bool)
    last[file.ep_offset + file.ep_len - 1] = True
    inside = unknown & ~last
    where = f', first at {place_of(file, int(np.argmax(inside)))}' if inside.any() else ''
    findings = [Finding(f'action is NaN in {unknown.sum()} rows: {(unknown & last).sum()} last '
                        f'rows of an episode (as it should be), {inside.sum()} others{where}',
                        is_problem=bool(inside.any()))]
    known_last = int((last & ~unknown).sum())
    if known_last:
        findings.append(Finding(f'{known_last} episodes have an action in their last row, which '
                                f'leads nowhere and is not used'))
    if np.isinf(file.action).any():
        row = int(np.argmax(np.isinf(file.action).any(axis=1)))
        findings.append(Finding(f'action is infinite, first at {place_of(file, row)}', True))
    for name in _numbers(file):
        values = np.asarray(file.columns[name]).reshape(len(file), -1)
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            findings.append(Finding(f'{name} is not finite in {wrong.sum()} rows, first at '
                                    f'{place_of(file, int(np.argmax(wrong)))}', True))
    return findings


def _numbers(file: EpisodeFile) -> list[str]:
    """Name the other columns of floating point numbers."""
    return [name for name in file.columns if name != 'pixels'
            and getattr(file.columns[name], 'dtype', np.dtype(object)).kind == 'f'
            and file.columns[name].ndim <= 2]


def action_names(file: EpisodeFile) -> list[str]:
    """Return one name per action, a number where the set does not say."""
    names = file.attributes.get('action_names')
    return [str(name) for name in names] if names is not None and len(
        names) == file.action.shape[1] else [str(i) for i in range(file.action.shape[1])]


def _check_actions(file: EpisodeFile) -> list[Finding]:
    findings = []
    for axis, name in enumerate(action_names(file)):
        values = file.action[:, axis]
        values = values[np.isfinite(values)]
        if not len(values):
            findings.append(Finding(f'action {name} is never known', True))
            continue
        low, high = float(values.min()), float(values.max())
        text = f'action {name}: {low:.4f} to {high:.4f} {sketch(values)}'
        problem = low == high
        if problem:
            text += ', never changes'
        if 'action_min' in file.attributes:
            low, high = (float(file.attributes[key][axis]) for key in ('action_min', 'action_max'))
            outside = int(((values < low - 1e-6) | (values > high + 1e-6)).sum())
            observed = file.attributes.get('action_limits') == 'observed'
            text += (f', {"observed " * observed}limits {low:g} to {high:g}, {outside} rows '
                     f'outside')
            problem |= outside > 0
        near = _AT_LIMIT * (high - low)
        shares = [float(share) for share in ((values <= low + near).mean(),
                                             (values >= high - near).mean())]
        if len(np.unique(values[:10_000])) <= 3 and low < high:
            text += ', a switch: few different values'
        elif low < high and max(shares) > _SATURATED:
            text += (f', SATURATED: {shares[0]:.0%} of rows at the lower, {shares[1]:.0%} at the '
                     f'upper end')
            problem = True
        findings.append(Finding(text, problem))
    return findings


def sketch(values: np.ndarray, bins: int = 16) -> str:
    """Draw a histogram in one line of text."""
    counts, _ = np.histogram(values, bins)
    marks = ' ▁▂▃▄▅▆▇█'
    heights = np.ceil(counts / max(counts.max(), 1) * (len(marks) - 1)).astype(int)
    return '|' + ''.join(marks[height] for height in heights) + '|'


def _check_stamps(file: EpisodeFile) -> list[Finding]:
    if 'stamp_ns' not in file.columns:
        return []
    stamps = np.asarray(file.columns['stamp_ns']).ravel().astype(np.int64)
    steps = np.diff(stamps)
    inside = np.ones(len(steps), dtype=bool)
    inside[(file.ep_offset + file.ep_len - 1)[:-1]] = False
    if not inside.any():
        return []
    control_ns = (file.control_dt_s or 0) * 1e9 or float(np.median(steps[inside]))
    findings = [Finding(f'stamps are {np.median(steps[inside]) / 1e6:.2f} ms apart '
                        f'({steps[inside].min() / 1e6:.2f} to {steps[inside].max() / 1e6:.2f})')]
    for wrong, what in ((inside & (steps <= 0), 'do not increase'),
                        (inside & (steps > _GAP * control_ns),
                         f'are more than {_GAP:g} control steps apart')):
        if wrong.any():
            findings.append(Finding(
                f'stamps {what} in {wrong.sum()} places inside episodes, first after '
                f'{place_of(file, int(np.argmax(wrong)))}', True))
    return findings


def _check_duplicates(file: EpisodeFile) -> list[Finding]:
    """Compare the actions of episodes, and the pictures where first and middle one agree."""
    suspects: dict[tuple, list[int]] = defaultdict(list)
    same_actions: dict[tuple, list[int]] = defaultdict(list)
    for episode, (offset, length) in enumerate(zip(file.ep_offset.tolist(), file.ep_len.tolist(),
                                                   strict=True)):
        actions = np.nan_to_num(file.action[offset:offset + length])
        first, middle = (_hash(file.pixels[offset + step]) for step in (0, length // 2))
        suspects[length, first, middle].append(episode)
        if actions.any():
            same_actions[length, _hash(actions)].append(episode)
    same_pictures: dict[str, list[int]] = defaultdict(list)
    for episode in (one for group in suspects.values() if len(group) > 1 for one in group):
        digest = hashlib.sha256()
        offset = int(file.ep_offset[episode])
        for row in range(offset, offset + int(file.ep_len[episode])):
            digest.update(np.ascontiguousarray(file.pixels[row]))
        same_pictures[digest.hexdigest()].append(episode)
    findings = []
    for found, what in ((same_pictures, 'the same pictures'), (same_actions, 'the same actions')):
        groups = [group for group in found.values() if len(group) > 1]
        if groups:
            extra = sum(len(group) - 1 for group in groups)
            shown = '; '.join(', '.join(map(str, group[:4])) for group in groups[:3])
            findings.append(Finding(f'{extra} episodes have {what} as another one: episodes '
                                    f'{shown}{" ..." * (len(groups) > 3)}', True))
    return findings or [Finding('no episode is there twice')]


def _hash(values: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values)).digest()


@dataclass
class _Motion:
    """How pictures follow the robot: what tells a frozen camera from motion too slow to show."""

    steps: list[float]            # of the robot, where pictures changed, in spreads of the state
    changes: list[float]          # mean difference of pictures that differ from the one before
    held: list[float]             # motion of the robot over each stretch of equal pictures
    after: list[float]            # change of the picture at the end of each stretch
    equal: int = 0                # frames that are equal to the one before though it moved

    @property
    def frozen(self) -> bool:
        """Whether the camera stood still while the robot moved.

        While pictures are equal, a robot that is seen moves less than where they change. If most
        are equal, in stretches of about one length that end in small changes, the motion is too
        slow to show.
        """
        if not self.held or not self.changes:
            return bool(self.held)
        slow = (self.equal > len(self.changes)
                and max(self.after, default=0) <= 3 * np.median(self.changes)
                and max(self.held) <= 4 * np.median(self.held))
        return not slow and max(self.held) > 1.5 * np.median(self.steps)


def _check_frozen(file: EpisodeFile, max_frames: int) -> list[Finding]:
    chosen = spread_episodes(file, max_frames)
    state = next((np.asarray(file.columns[name]).reshape(len(file), -1)
                  for name in ('qpos', 'proprio') if name in file.columns), None)
    if state is not None:
        state = np.where(np.isfinite(state), state, 0)
    spread = None if state is None else state.std(axis=0)
    pairs = equal = longest = 0
    longest_at = first_moving = -1
    motion = _Motion([], [], [], [])
    for episode in chosen:
        offset, length = int(file.ep_offset[episode]), int(file.ep_len[episode])
        before, run, held = None, 0, 0.0
        for row in range(offset, offset + length):
            picture = np.asarray(file.pixels[row])
            same = before is not None and np.array_equal(picture, before)
            step = 0.0 if state is None or before is None else float(
                np.max(np.abs(state[row] - state[row - 1]) / np.maximum(spread, 1e-12)))
            if before is not None and not same:
                motion.steps.append(step)
                motion.changes.append(float(np.abs(picture.astype(int) - before).mean()))
                if held:
                    motion.held.append(held)
                    motion.after.append(motion.changes[-1])
                held = 0.0
            run = run + 1 if same else 0
            if run > longest:
                longest, longest_at = run, row - run
            pairs += before is not None
            equal += same
            if same and step > _STILL:
                held += step
                motion.equal += 1
                first_moving = row if first_moving < 0 else first_moving
            before = picture
        motion.held += [held] if held else []    # to the end of the episode
    text = f'{equal} of {pairs} frames looked at are equal to the frame before'
    if equal:
        text += f', at most {longest} in a row after {place_of(file, longest_at)}'
    frozen = motion.frozen
    if motion.equal:
        height, width = file.pixels.shape[1:3]
        text += (f'; in {motion.equal} of them the robot moved, first at '
                 f'{place_of(file, first_moving)}: ' + (
                     'the camera was FROZEN' if frozen else
                     f'the motion is too slow to show at {width}x{height} px, or the camera '
                     f'repeats frames; ingest with a larger --image-size or control_dt_s'))
    elif equal and state is None:
        text += '; the camera was frozen, or the robot at rest'
    return [Finding(text, frozen or (state is None and equal > 0))]
