"""Say in words and pictures what a data set holds, so that people can trust it; bags likewise."""

from __future__ import annotations

from lewm_model.data.describe_bag import describe_bag
from lewm_model.data.episodes import EpisodeFile
import numpy as np

__all__ = ['action_lag', 'contact_sheet', 'describe_bag', 'describe_data_set']


def describe_data_set(file: EpisodeFile) -> str:
    """List columns, episode lengths, the range of actions, and what looks wrong."""
    facts = file.attributes
    lines = [f'{file.path}: {len(file)} rows in {file.num_episodes} episodes of '
             f'{file.ep_len.min()} to {file.ep_len.max()} rows (median '
             f'{np.median(file.ep_len):.0f}); robot {facts.get("robot", "unknown")!r}, task '
             f'{facts.get("task", "unknown")!r}, control step {file.control_dt_s or "unknown"} s']
    for name, column in [('pixels', file.pixels), ('action', file.action), *file.columns.items()]:
        lines.append(f'  {name:12} {str(column.dtype):8} {column.shape}')
    names = facts.get('action_names') or [str(i) for i in range(file.action.shape[1])]
    for axis, name in enumerate(names):
        values = file.action[:, axis]
        text = f'  action {name}: {np.nanmin(values):.4f} to {np.nanmax(values):.4f}'
        if 'action_min' in facts:
            low, high = facts['action_min'][axis], facts['action_max'][axis]
            outside = int(((values < low - 1e-6) | (values > high + 1e-6)).sum())
            text += f', limits {low:g} to {high:g}, {outside} rows outside'
        lines.append(text)
    unknown = np.isnan(file.action).any(axis=1)
    last = np.zeros(len(file), dtype=bool)
    last[file.ep_offset + file.ep_len - 1] = True
    lines.append(f'  action is NaN in {unknown.sum()} rows: {(unknown & last).sum()} last rows of '
                 f'an episode (as it should be), {(unknown & ~last).sum()} others')
    lag = action_lag(file)
    if lag is not None:
        best = max(lag, key=lag.get)
        verdict = ('as it should be' if best == 0 else
                   f'SHIFTED by {best:+d}: the action of row t must lead from t to t+1')
        values = ', '.join(f't{step:+d} {value:.3f}' if step else f't {value:.3f}'
                           for step, value in sorted(lag.items()))
        lines.append(f'  correlation of the motion from row t to t+1 with the action of row '
                     f'{values}; {verdict}')
    return '\n'.join(lines)


def action_lag(file: EpisodeFile, lags: tuple[int, ...] = (-1, 0, 1)) -> dict[int, float] | None:
    """Correlate the motion from row t to t + 1 with the action of row t + lag.

    A set whose actions are shifted by one row trains without complaint and plans badly; here it
    shows. Only for actions that are joint velocities.

    Returns:
        Mean correlation over joints by lag; None where it makes no sense.
    """
    qpos = file.columns.get('qpos')
    if qpos is None or file.attributes.get('interface') != 'joint_velocity':
        return None
    reach = max(map(abs, lags))
    rows = np.concatenate([offset + np.arange(reach, max(length - 1 - reach, reach))
                           for offset, length in zip(file.ep_offset, file.ep_len, strict=True)])
    rows = rows[np.isfinite(file.action[rows]).all(axis=1)]
    motion = qpos[rows + 1] - qpos[rows] if len(rows) else np.empty((0, 1))
    if len(rows) < 10 or not (motion.std(axis=0) > 0).all():
        return None
    def correlate(lag: int) -> float:
        actions = np.nan_to_num(file.action[rows + lag])
        return float(np.mean([np.corrcoef(motion[:, joint], actions[:, joint])[0, 1]
                              for joint in range(motion.shape[1])]))

    return {lag: correlate(lag) for lag in lags}


def contact_sheet(file: EpisodeFile, episodes: int = 8, frames: int = 12) -> np.ndarray:
    """Tile evenly spaced frames of evenly spaced episodes, one episode per line.

    Returns:
        rgb, uint8 (H, W, 3).
    """
    chosen = np.unique(np.linspace(0, file.num_episodes - 1, episodes).round().astype(int))
    size, gap = file.pixels.shape[1:3], 2
    sheet = np.full((len(chosen) * (size[0] + gap) + gap, frames * (size[1] + gap) + gap, 3), 255,
                    dtype=np.uint8)
    for line, episode in enumerate(chosen):
        steps = np.linspace(0, file.ep_len[episode] - 1, frames).round().astype(int)
        for place, step in enumerate(steps):
            top, left = gap + line * (size[0] + gap), gap + place * (size[1] + gap)
            sheet[top:top + size[0], left:left + size[1]] = file.pixels[
                file.ep_offset[episode] + step]
    return sheet
