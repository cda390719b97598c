"""One bag to one small data set file of its own: the step of an ingest that can be repeated."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

from lewm_model.bags.bag import Bag
from lewm_model.bags.files import recorded_files, sha256_of
from lewm_model.config import DataConfig
from lewm_model.data.measured_states import TRUTH as TRUTH_QUANTITIES
from lewm_model.data.rows import import_h5py, unreadable
from lewm_model.errors import BagError, DatasetError, LewmError, MissingPackageError, without_path
from lewm_model.ingest.episode_writer import (
    EpisodeTable,
    robot_attributes,
    row_columns,
    SIM_STATE,
    TRUTH,
)
from lewm_model.ingest.report import BagReport
from lewm_model.ingest.set_writer import SetWriter
from lewm_model.quantities import to_json
from lewm_model.recordings.pictures import PictureReader
from lewm_model.recordings.streams import read_streams, Streams
from lewm_model.recordings.synchronize import synchronize, Synchronized
from lewm_model.recordings.truth import TRUTH_TOPIC
from lewm_model.robots.robot import RobotDescription
import numpy as np

REPORT = 'ingest_report'        # attributes of every file that ingest writes
SETTINGS = 'ingest_settings'
_TRUTH_MISSING = (f'some frames have no {TRUTH_TOPIC} of their stamp, so the set gets no columns '
                  f'{SIM_STATE} and {TRUTH} from this bag')
VIEW = 'view'                   # attribute: number, shape and crop of the cameras


def convert_bag(path: Path, robot: RobotDescription, config: DataConfig, part: Path,
                settings: str, name: str = '') -> BagReport:
    """Convert one bag into the data set file `part`, unless that was done before.

    Memory holds the stamps, joint states and commands of the bag, and one frame.

    Args:
        path: The bag.
        robot: What its topics mean.
        config: Grid and frame size.
        part: The file to write; appears when complete, and only if the bag has an episode.
        settings: Everything the rows depend on besides the bag, as text; a part that was made
            with other settings, or from other content, is made anew.
        name: What the bag is called in the set; '': as its folder.

    Returns:
        What became of the bag. One that cannot be read is a report with `error`.

    Raises:
        DatasetError: If the part cannot be written.
    """
    name, sha256, notes = name or Path(path).name, '', ()
    try:
        with Bag(path) as bag:
            before = fingerprint(path)
            sha256 = hash_bag(path)
            report = _finished(part, sha256, settings)
            if report is not None:
                return report
            streams = read_streams(bag, robot, max_bad_share=config.max_bad_share)
            notes = _notes(bag, streams)
            synchronized = synchronize(streams, config)
            notes = _notes(bag, synchronized)
            report = BagReport(
                bag=name, frames=synchronized.frames, dropped=synchronized.dropped,
                lengths=tuple(len(episode.stamps_ns) for episode in synchronized.episodes),
                sha256=sha256, tasks=streams.tasks, acting=streams.acting, notes=notes)
            if not report.rows:
                return report
            return _write(part, bag, streams, synchronized, robot, config, report, before,
                          settings)
    except (DatasetError, MissingPackageError):
        raise   # the fault of this machine, not of the bag
    except (LewmError, OSError) as error:   # OSError: of reading, the writer makes its own
        return BagReport(bag=name, error=str(error), sha256=sha256, notes=notes)


def hash_bag(path: Path) -> str:
    """Return the hash of a bag's recorded files.

    Raises:
        BagError: If it cannot be read.
    """
    try:   # without opening it: a large set holds thousands
        return sha256_of(sorted(recorded_files(path)) if path.is_dir() else [path])
    except OSError as error:
        raise BagError(f'{path} cannot be read: {without_path(error)}') from error


def read_attribute(path: Path, name: str) -> str:
    """Return a text attribute of a data set file, '' if it has none.

    Raises:
        DatasetError: If the file cannot be read.
    """
    try:
        with import_h5py().File(path, 'r') as file:
            return str(file.attrs.get(name, ''))
    except MissingPackageError:
        raise
    except Exception as error:  # of damaged files h5py raises nearly any kind
        raise unreadable(path, error) from error


def _notes(bag: Bag, read: Streams | Synchronized) -> tuple[str, ...]:
    return (*bag.notes, *read.notes)


def fingerprint(path: Path) -> tuple:
    """Return sizes and times of a bag's files, to notice that it is still being written."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    return tuple((file.name, status.st_size, status.st_mtime_ns)
                 for file in files if (status := file.stat()))


def _finished(part: Path, sha256: str, settings: str) -> BagReport | None:
    """Return the report of a part made before from the same content in the same way."""
    if not part.is_file() or read_attribute(part, SETTINGS) != settings:
        return None
    report = BagReport.from_dict(json.loads(read_attribute(part, REPORT)))
    return report if report.sha256 == sha256 else None


def _write(part: Path, bag: Bag, streams: Streams, synchronized: Synchronized,
           robot: RobotDescription, config: DataConfig, report: BagReport, before: tuple,
           settings: str) -> BagReport:
    """Write the part; return the report with what was found on reading the frames."""
    episodes, table = synchronized.episodes, EpisodeTable()
    known = all(np.isfinite(episode.velocities).all() for episode in episodes)
    truths = [streams.truth and streams.truth.at(episode.stamps_ns) for episode in episodes]
    told = all(truth is not None for truth in truths)
    missing = () if told or streams.truth is None else (_TRUTH_MISSING,)
    frames = np.concatenate([episode.frames for episode in episodes])
    pictures, written = PictureReader(bag, streams, config.image_size), 0
    with SetWriter(part, np.array(report.lengths), config.image_size,
                   row_columns(robot, with_velocities=known, truth=(
                       tuple(values.shape[1] for values in truths[0]) if told else None)
                   )) as writer:
        start = 0
        for number, (episode, truth) in enumerate(zip(episodes, truths, strict=True)):
            writer.write(start, {
                'action': episode.actions, 'proprio': episode.positions,
                'qpos': episode.positions, 'stamp_ns': episode.stamps_ns,
                **({'qvel': episode.velocities} if known else {}),
                **(dict(zip((SIM_STATE, TRUTH), truth, strict=True)) if told else {})})
            table.add(f'{report.bag}/{number}', report.bag, report.sha256, episode.stamps_ns)
            start += len(episode.stamps_ns)
        for row, square in pictures.squares(frames):
            writer.write_pixels(row, square[None])
            written += 1
        if written < len(frames) or fingerprint(bag.path) != before:
            raise BagError(f'{bag.path} changed while it was read; ingest it when recording has '
                           f'ended')
        report = replace(report, notes=_notes(bag, synchronized) + missing)
        writer.write_episodes(table.columns())
        if told:
            writer.set_attributes({TRUTH_QUANTITIES: to_json(streams.truth.quantities)})
        writer.set_attributes({**robot_attributes(robot), VIEW: pictures.view.to_json(),
                               SETTINGS: settings, REPORT: json.dumps(report.to_dict())})
    return report
