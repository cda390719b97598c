"""Say in words and pictures what a data set holds, so that people can trust it."""

from __future__ import annotations

from lewm_model.data.alignment import action_lag, Alignment, measure_alignment
from lewm_model.data.data_checks import check_data_set, sketch
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import measured_states, measured_truth
from lewm_model.data.rows import ChunkedRows, JoinedRows
import numpy as np

_WITNESSES = ('pixels', 'qpos', 'proprio')


def describe_data_set(file: EpisodeFile, found: list[Alignment] | None = None) -> str:
    """List columns, storage, episode lengths, the range of actions, and what looks wrong.

    Args:
        file: The data set.
        found: What `alignments` found, if that was asked before.
    """
    facts = file.attributes
    lines = [f'{file.path}: {len(file)} rows in {file.num_episodes} episodes of '
             f'{file.ep_len.min()} to {file.ep_len.max()} rows (median '
             f'{np.median(file.ep_len):.0f}); robot {facts.get("robot", "unknown")!r}, task '
             f'{facts.get("task", "unknown")!r}, control step {file.control_dt_s or "unknown"} s']
    if facts.get('acting'):
        lines.append(f'  {"who acted":12} {facts["acting"]}')
    if file.view is not None:
        lines.append(f'  view {file.view}')
    if file.shards:
        lines.append(f'  {len(file.shards)} files: {", ".join(map(str, file.shards[:4]))}'
                     f'{" ..." * (len(file.shards) > 4)}')
    for name, column in [('pixels', file.pixels), ('action', file.action)]:
        lines.append(f'  {name:12} {str(column.dtype):8} {column.shape}')
    for name in file.columns:
        column = file.columns[name]
        lines.append(f'  {name:12} {str(column.dtype):8} {column.shape}')
    for title, of in (('measured', measured_states), ('truth', measured_truth)):
        if (quantities := of(file)[0]):
            lines.append(f'  {title:12} ' + ', '.join(map(str, quantities)))
    lines.append(f'  pixels are {_storage(file)}')
    lines.append(f'  lengths of episodes {sketch(file.ep_len)} from {file.ep_len.min()} to '
                 f'{file.ep_len.max()} rows')
    findings = check_data_set(file)
    problems = sum(finding.is_problem for finding in findings)
    lines += [f'  {"! " * finding.is_problem}{finding.text}' for finding in findings]
    lag = action_lag(file)
    if lag is not None:
        best = max(lag, key=lag.get)
        problems += best != 0
        verdict = ('as it should be' if best == 0 else
                   f'SHIFTED by {best:+d}: the action of row t must lead from t to t+1')
        values = ', '.join(f't{step:+d} {value:.3f}' if step else f't {value:.3f}'
                           for step, value in sorted(lag.items()))
        lines.append(f'  {"! " * (best != 0)}correlation of the motion from row t to t+1 with the '
                     f'action of row {values}; {verdict}')
    for finding in alignments(file) if found is None else found:
        shifted = finding.verdict == 'shifted'
        problems += shifted
        lines.append(f'  {"! " * shifted}{finding.text()}')
    lines.append(f'  {problems} problems found (lines with !)' if problems else
                 '  no problems found')
    return '\n'.join(lines)


def alignments(file: EpisodeFile) -> list[Alignment]:
    """Measure by pictures, and by the state if there is one, which action leads to a change."""
    witnesses = [name for name in _WITNESSES if name == 'pixels' or name in file.columns]
    if 'qpos' in witnesses and 'proprio' in witnesses:
        witnesses.remove('proprio')   # the same in other numbers
    found = (measure_alignment(file, witness) for witness in witnesses)
    return [finding for finding in found if finding is not None]


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


def _storage(file: EpisodeFile) -> str:
    if isinstance(file.pixels, ChunkedRows):
        return ('chunked or compressed, read slowly through HDF5; "lewm convert-data --storage '
                'mapped" makes training faster')
    if isinstance(file.pixels, JoinedRows):
        return f'in {len(file.shards)} files, read as one'
    return f'contiguous, mapped into memory ({file.pixels.nbytes / 1e6:.1f} MB)'
