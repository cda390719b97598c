"""A LeRobot data set to one data set file, with a report whose numbers add up.

Each episode becomes a small file in a hidden folder beside the result, then they are joined.
Whenever this is cut off nothing is half written, and running it again goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
from typing import Any

from lewm_model.base.rates import same_rate
from lewm_model.base.workers import run_conversions
from lewm_model.config import DataConfig, require
from lewm_model.data.episodes import import_h5py
from lewm_model.data.measured_states import STATES
from lewm_model.errors import ConfigError, DatasetError
from lewm_model.ingest.concatenate import concatenate
from lewm_model.ingest.episode_writer import robot_attributes
from lewm_model.ingest.scratch import Scratch, scratch_folder
from lewm_model.ingest.set_writer import sync_folder
from lewm_model.lerobot.column_names import action_order, named_states
from lewm_model.lerobot.episode import COMBINE, convert_episode, EpisodeReport, LeRobotChoice
from lewm_model.lerobot.files import import_parquet
from lewm_model.lerobot.meta import Feature, LeRobotEpisode, LeRobotSet
from lewm_model.lerobot.video import import_av
from lewm_model.quantities import to_json
from lewm_model.robots.robot import RobotDescription
import numpy as np

_TASKS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LeRobotConfig:
    """How to convert a LeRobot data set."""

    camera: str | None = None                  # column or its last part; None: the only camera
    action: str = 'action'                     # column
    state: str | None = 'observation.state'    # column that becomes `proprio`; None: none
    image_size: int = DataConfig().image_size  # stored frames, square [px]
    every: int = 1                             # frames per row, at least 1
    combine: str | None = None                 # one of COMBINE, needed where every > 1
    min_rows: int = DataConfig().min_rows      # shorter episodes hold no training clip
    name: str | None = None                    # such as lerobot/pusht; None: the folder's name

    def __post_init__(self) -> None:
        require(self.image_size >= 8, 'image_size', 'at least 8', self.image_size)
        require(self.every >= 1, 'every', 'at least 1', self.every)
        require(self.min_rows >= 2, 'min_rows', 'at least 2', self.min_rows)
        if self.combine not in (None, *COMBINE) or (self.every > 1 and self.combine is None):
            meanings = '; '.join(f'{name}: {meaning}' for name, meaning in COMBINE.items())
            raise ConfigError(f'one row stands for {self.every} frames, so say how their actions '
                              f'become one (--combine), got {self.combine!r}; {meanings}')


@dataclass(frozen=True)
class LeRobotReport:
    """What became of every frame; rows + skipped + left out = frames."""

    source: str
    version: str
    camera: str
    episodes: tuple[EpisodeReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Frames that became rows."""
        return sum(one.rows for one in self.episodes)

    def text(self) -> str:
        """Put it into words; reasons that several episodes share are said once."""
        good = [one for one in self.episodes if not one.error]
        frames = sum(one.frames for one in self.episodes)
        left_out = sum(one.frames for one in self.episodes if one.error)
        lines = [f'{self.source} (LeRobot {self.version}), camera {self.camera}: {frames} frames '
                 f'in {len(self.episodes)} episodes',
                 f'  {self.rows} rows in {len(good)} episodes',
                 f'  {frames - left_out - self.rows} frames skipped between rows',
                 f'  {left_out} frames in {len(self.episodes) - len(good)} episodes left out']
        reasons: dict[str, list[int]] = {}
        for one in self.episodes:
            if one.error:
                reasons.setdefault(one.error, []).append(one.index)
        for reason, numbers in reasons.items():
            more = f' and {len(numbers) - 5} more' * (len(numbers) > 5)
            lines.append(f'    episode {", ".join(map(str, numbers[:5]))}{more}: {reason}')
        return '\n'.join([*lines, *(f'  note: {note}' for note in self.notes)])


def import_lerobot(folder: str | Path, out: str | Path, config: LeRobotConfig, *,
                   robot: RobotDescription | None = None, workers: int = 1, force: bool = False,
                   provenance: dict[str, str] | None = None,
                   on_episode: Callable[[int, int], None] = lambda done, total: None
                   ) -> LeRobotReport:
    """Convert a data set; `out` appears when it is complete.

    Episodes that cannot be read are reported and left out. Interrupt it at any time and run it
    again: finished episodes are not converted again.

    Args:
        folder: What holds meta, data and videos.
        out: The HDF5 file.
        config: What to take, and how.
        robot: States names and limits of the actions; None: the names of the data set, and as
            limits the smallest and largest action that occurs.
        workers: Processes.
        force: Replace an existing file.
        provenance: Further attributes of the file.
        on_episode: Called with (episodes done, all episodes).

    Raises:
        DatasetError: If the folder is not readable as LeRobot 2.x or 3.0, lacks the columns, `out`
            exists or cannot be written, or no episode could be converted.
        MissingPackageError: If pyarrow or PyAV is not installed.
    """
    out = Path(out)
    import_h5py()
    import_parquet()
    if out.exists() and not force:
        raise DatasetError(f'{out} exists; choose another name, or replace it with --force')
    source = LeRobotSet(folder)
    camera = source.choose_camera(config.camera)
    if camera.dtype == 'video':
        import_av()
    action = source.choose_numbers(config.action, '--action')
    state = (None if config.state is None else
             source.choose_numbers(config.state, '--state; --no-state for none'))
    choice = LeRobotChoice(
        name=config.name or source.folder.path.resolve().name, version=source.version,
        fps=float(source.fps), camera=camera.key, is_video=camera.dtype == 'video',
        action=(action.key, action.width), state=state and (state.key, state.width),
        image_size=config.image_size, every=config.every, combine=config.combine or 'last',
        order=tuple(range(action.width)) if robot is None else action_order(action, robot))
    facts = _facts(source, choice, action, state, robot)
    episodes = source.episodes(camera)
    with scratch_folder(out) as scratch:
        jobs = [(source.folder.path, episode, choice, _part(scratch, episode), config.min_rows)
                for episode in episodes]
        found: list[EpisodeReport | None] = [None] * len(jobs)
        for done, (index, report) in enumerate(
                run_conversions(convert_episode, jobs, workers), start=1):
            found[index] = report
            on_episode(done, len(jobs))
        report = _join(out, scratch, LeRobotReport(
            choice.name, choice.version, choice.camera, tuple(found)), episodes, choice,
            {**facts, **(provenance or {})})
        scratch.remove()
    return report


def _part(scratch: Scratch, episode: LeRobotEpisode) -> Path:
    return scratch.part(f'episode-{episode.index}')


def _facts(source: LeRobotSet, choice: LeRobotChoice, action: Feature, state: Feature | None,
           robot: RobotDescription | None) -> dict[str, Any]:
    """Return what the file says about the robot, besides limits that have to be observed."""
    control_dt_s = choice.every / choice.fps
    states = ({} if state is None else {
        'state_names': list(state.names), STATES: to_json(named_states(state, robot))})
    facts = {'robot': source.robot_type, 'control_dt_s': control_dt_s,
             'action_names': list(action.names), **states}
    if robot is None:
        return facts
    if not same_rate(robot.control_dt_s, control_dt_s):
        raise DatasetError(
            f'robot {robot.robot!r} has {robot.action_dim} actions '
            f'({", ".join(robot.joint_names)}) every {robot.control_dt_s:g} s, the data set has '
            f'{action.width} ({", ".join(action.names)}) every {control_dt_s:g} s; choose another '
            f'robot, or --every')
    return {**{name: value for name, value in robot_attributes(robot).items()
               if name not in ('state_names', STATES)},
            'action_limits': f'robot {robot.robot}', **states}


def _join(out: Path, scratch: Scratch, report: LeRobotReport, episodes: list[LeRobotEpisode],
          choice: LeRobotChoice, facts: dict[str, Any]) -> LeRobotReport:
    """Write the set and the report."""
    good = [episode for episode, one in zip(episodes, report.episodes, strict=True)
            if not one.error]
    if not good:
        raise DatasetError(f'no episode could be converted:\n{report.text()}')
    parts = [_part(scratch, episode) for episode in good]
    if 'action_min' not in facts:
        limits, notes = _observed_limits(parts, facts['action_names'])
        facts = {**facts, **limits}
        report = LeRobotReport(report.source, report.version, report.camera, report.episodes,
                               notes)
    tasks = list(dict.fromkeys(task for episode in good for task in episode.tasks))
    more = [f'and {len(tasks) - _TASKS_SHOWN} more'] * (len(tasks) > _TASKS_SHOWN)
    concatenate(scratch.whole, parts, {
        **facts, 'task': '; '.join([*tasks[:_TASKS_SHOWN], *more]), 'source': choice.name,
        'source_format': f'LeRobot {choice.version}',
        'lerobot_choice': json.dumps(asdict(choice), sort_keys=True)}, extend_first=False)
    os.replace(scratch.whole, out)
    sync_folder(out.parent)
    unfinished = scratch.folder / 'report.json'
    unfinished.write_text(json.dumps(asdict(report), indent=1), encoding='utf-8')
    os.replace(unfinished, out.with_name(f'{out.name}.report.json'))
    return report


def _observed_limits(parts: list[Path], names: list[str]
                     ) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the range of the actions that occur, as limits; wider than 0 for every action."""
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for part in parts:
        with import_h5py().File(part, 'r') as file:
            actions = file['action'][:-1]
        low = np.fmin(low, np.fmin.reduce(actions, axis=0))
        high = np.fmax(high, np.fmax.reduce(actions, axis=0))
    known = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(known, low, 0.0), np.where(known, high, 0.0)
    still = high <= low
    margin = np.maximum(1e-3, 1e-3 * np.abs(low))
    low, high = np.where(still, low - margin, low), np.where(still, high + margin, high)
    notes = ['action limits are the smallest and largest action that occurs, not those of the '
             'robot; state these with --robot']
    if still.any():
        notes.append('actions that never change: '
                     + ', '.join(name for name, one in zip(names, still, strict=True) if one))
    return {'action_min': low, 'action_max': high, 'action_limits': 'observed'}, tuple(notes)
