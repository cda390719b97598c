"""Many bags to one data set file, in parallel, with a report whose numbers add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import json
import logging
import multiprocessing
import os
from pathlib import Path
import signal
import tempfile

from lewm_model.config import DataConfig
from lewm_model.data.bag import Bag, find_bags
from lewm_model.data.episode_writer import Episode, write_episodes
from lewm_model.data.episodes import import_h5py
from lewm_model.data.interfaces import import_rosbags
from lewm_model.data.report import BagReport, IngestReport
from lewm_model.data.streams import read_frames, read_streams, Streams
from lewm_model.data.synchronize import EpisodeRows, synchronize
from lewm_model.errors import DatasetError, LewmError
from lewm_model.images import resize_square
from lewm_model.robot import RobotDescription
import numpy as np

_log = logging.getLogger(__name__)


def ingest(bags: list[str | Path], robot: RobotDescription, out: str | Path, config: DataConfig,
           *, workers: int = 1, force: bool = False, provenance: dict[str, str] | None = None,
           on_bag: Callable[[int, int], None] = lambda done, total: None) -> IngestReport:
    """Turn bags into one data set file and `<out>.report.json` beside it.

    Bags that cannot be read are reported and left out; the others are sorted by name, so the
    file does not depend on the number of workers.

    Args:
        bags: Bag folders, or folders of bag folders.
        robot: What the topics mean.
        out: The HDF5 file; appears when it is complete.
        config: Grid and frame size; its `control_dt_s` must be the robot's.
        workers: Processes.
        force: Replace an existing file.
        provenance: Further attributes of the file, such as the commands that led to it.
        on_bag: Called with (bags done, all bags).

    Raises:
        BagError: If a path holds no bags.
        DatasetError: If `out` exists, cannot be written, or no bag gave an episode.
    """
    out = Path(out)
    if out.exists() and not force:
        raise DatasetError(f'{out} exists; choose another name or replace it with --force')
    if config.control_dt_s != robot.control_dt_s:
        raise DatasetError(f'control_dt_s is {config.control_dt_s} in the data settings and '
                           f'{robot.control_dt_s} for robot {robot.robot!r}; make them equal')
    import_h5py()  # what is missing is said once, not by every worker
    import_rosbags()
    paths = find_bags(bags)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as scratch:
            reports = _convert(paths, robot, config, Path(scratch), workers, on_bag)
            report = IngestReport(robot.robot, config.image_size, tuple(reports))
            if not report.rows:
                raise DatasetError(f'no bag gave an episode of at least {config.min_rows} rows:\n'
                                   f'{report.text()}')
            lengths = [length for bag in reports for length in bag.lengths]
            write_episodes(out, _episodes(reports, Path(scratch)), lengths, robot,
                           config.image_size, {'task': report.task, **(provenance or {})})
        out.with_name(f'{out.name}.report.json').write_text(
            json.dumps(report.to_dict(), indent=1), encoding='utf-8')
    except OSError as error:
        raise DatasetError(f'cannot write {out}: {error}; free disk space or choose another '
                           f'place') from error
    return report


def _convert(paths: list[Path], robot: RobotDescription, config: DataConfig, scratch: Path,
             workers: int, on_bag: Callable[[int, int], None]) -> list[BagReport]:
    """Convert each bag into scratch files; return the reports in the order of `paths`."""
    reports: list[BagReport | None] = [None] * len(paths)
    if workers <= 1 or len(paths) == 1:
        for index, path in enumerate(paths):
            reports[index] = convert_bag(path, robot, config, scratch / str(index))
            on_bag(index + 1, len(paths))
    else:
        # spawn: a fork would copy the threads and locks of whoever calls us
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context('spawn'),
                                 initializer=_ignore_interrupt) as pool:
            jobs = {pool.submit(convert_bag, path, robot, config, scratch / str(index)): index
                    for index, path in enumerate(paths)}
            try:
                for done, job in enumerate(as_completed(jobs), start=1):
                    reports[jobs[job]] = job.result()
                    on_bag(done, len(paths))
            except BrokenProcessPool as error:
                raise DatasetError('a converting process was killed, perhaps for lack of memory; '
                                   'run the command again with fewer workers') from error
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    for report in reports:
        if report.error:
            _log.warning('left out: %s', report.error)
    return reports


def convert_bag(path: Path, robot: RobotDescription, config: DataConfig, part: Path) -> BagReport:
    """Convert one bag into `<part>.pixels.npy` and `<part>.columns.npz`.

    A bag that cannot be read is a report with `error`, not an exception. Memory stays bounded by
    one frame: pixels go straight to a memory map.
    """
    try:
        with Bag(path) as bag:
            streams = read_streams(bag, robot)
            synchronized = synchronize(streams, config)
            if synchronized.rows:
                _store_pixels(bag, streams, synchronized.episodes, config.image_size, part)
                _store_columns(synchronized.episodes, part)
            return BagReport(
                bag=bag.name, frames=synchronized.frames, dropped=synchronized.dropped,
                lengths=tuple(len(episode.stamps_ns) for episode in synchronized.episodes),
                sha256=bag.sha256(), tasks=streams.tasks)
    except LewmError as error:
        return BagReport(bag=Path(path).name, error=str(error))


def _store_pixels(bag: Bag, streams: Streams, episodes: tuple[EpisodeRows, ...], size: int,
                  part: Path) -> None:
    wanted = np.concatenate([episode.frame_index for episode in episodes])
    row_of = {int(position): row for row, position in enumerate(wanted)}
    pixels = np.lib.format.open_memmap(part.with_suffix('.pixels.npy'), mode='w+', dtype=np.uint8,
                                       shape=(len(wanted), size, size, 3))
    for position, rgb in read_frames(bag, streams, wanted):
        pixels[row_of.pop(position)] = resize_square(rgb, size)
    if row_of:
        raise DatasetError(f'{bag.path}: {len(row_of)} frames were there at first and gone on '
                           f'the second reading; is the bag still being written?')


def _store_columns(episodes: tuple[EpisodeRows, ...], part: Path) -> None:
    np.savez(part.with_suffix('.columns.npz'), **{
        name: np.concatenate([getattr(episode, name) for episode in episodes])
        for name in ('stamps_ns', 'positions', 'velocities', 'actions')})


def _episodes(reports: list[BagReport], scratch: Path) -> Iterator[Episode]:
    """Read the converted parts back, one bag at a time, and free them."""
    for index, report in enumerate(reports):
        if not report.lengths:
            continue
        part = scratch / str(index)
        pixels = np.load(part.with_suffix('.pixels.npy'), mmap_mode='r', allow_pickle=False)
        with np.load(part.with_suffix('.columns.npz'), allow_pickle=False) as file:
            columns = dict(file)
        start = 0
        for number, length in enumerate(report.lengths):
            rows = slice(start, start + length)
            start += length
            yield Episode(
                episode_id=f'{report.bag}/{number}', source=report.bag, sha256=report.sha256,
                pixels=pixels[rows], action=columns['actions'][rows],
                qpos=columns['positions'][rows], qvel=columns['velocities'][rows],
                stamp_ns=columns['stamps_ns'][rows])
        os.unlink(part.with_suffix('.pixels.npy'))


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, which stops the pool and removes the scratch files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
