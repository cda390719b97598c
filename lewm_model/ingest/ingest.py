"""Many bags to one data set file, in parallel, with a report whose numbers add up.

Each bag becomes a small data set of its own in a hidden folder beside the result; when all are
done they are joined, after the episodes of the set that is there already, and the new file takes
the old one's place. Whenever this is cut off, the old set is intact, and running it again goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import logging
import os
from pathlib import Path
from typing import Any

from lewm_model.bags.bag import find_bags
from lewm_model.bags.interfaces import import_rosbags
from lewm_model.base.rates import same_rate
from lewm_model.base.workers import run_conversions
from lewm_model.config import DataConfig
from lewm_model.data.episodes import import_h5py
from lewm_model.data.measured_states import TRUTH as TRUTH_QUANTITIES
from lewm_model.errors import DatasetError, LewmError, without_path
from lewm_model.ingest.concatenate import concatenate
from lewm_model.ingest.convert_bag import (
    convert_bag,
    hash_bag,
    read_attribute,
    REPORT,
    SETTINGS,
    VIEW,
)
from lewm_model.ingest.episode_writer import robot_attributes
from lewm_model.ingest.names import named_bags
from lewm_model.ingest.present import describe_settings, read_present, report_path
from lewm_model.ingest.report import acting_text, BagReport, IngestReport
from lewm_model.ingest.scratch import Scratch, scratch_folder
from lewm_model.ingest.set_writer import sync_folder
from lewm_model.ingest.views import leave_out_other_views, view_of_set
from lewm_model.robots.robot import RobotDescription

ACTING = 'acting'   # attribute: in how many episodes each data policy acted

_log = logging.getLogger(__name__)


def ingest(bags: list[str | Path], robot: RobotDescription, out: str | Path, config: DataConfig,
           *, workers: int = 1, force: bool = False, provenance: dict[str, str] | None = None,
           on_bag: Callable[[int, int], None] = lambda done, total: None) -> IngestReport:
    """Let one data set file hold these bags, and `<out>.report.json` beside it say how.

    If `out` exists and was made for the same robot with the same settings, the bags that it does
    not hold are added at its end; its episodes stay as they are. Adding writes the whole file
    anew. Bags that cannot be read are reported and left out. Bags of one run are in the order of
    their paths, so the file does not depend on the number of workers.

    Interrupt it at any time and run it again: finished bags are not converted again.

    Args:
        bags: Bag folders, or folders of bag folders.
        robot: What the topics mean.
        out: The HDF5 file; appears, or is replaced, when the new one is complete.
        config: Grid and frame size; its `control_dt_s` must be the robot's.
        workers: Processes.
        force: Start anew instead of adding to an existing file.
        provenance: Further attributes of the file, such as the commands that led to it; those
            of several runs are joined by '; '.
        on_bag: Called with (bags done, all bags).

    Raises:
        BagError: If a path holds no bags.
        DatasetError: If `out` cannot be written or added to, holds a bag of the same name with
            other content, or no bag gave an episode.
    """
    out = Path(out)
    if not same_rate(config.control_dt_s, robot.control_dt_s):
        raise DatasetError(f'control_dt_s is {config.control_dt_s} in the data settings and '
                           f'{robot.control_dt_s} for robot {robot.robot!r}; make them equal')
    import_h5py()  # what is missing is said once, not by every worker
    import_rosbags()
    paths = find_bags(bags)
    settings = describe_settings(robot, config)
    with scratch_folder(out) as scratch:
        present = read_present(out, settings) if out.exists() and not force else {}
        jobs = [(name, path, robot, config, scratch.part(name), settings, present.get(name))
                for name, path in named_bags(paths, present).items()]
        found: list[BagReport | None] = [None] * len(jobs)
        for done, (index, report) in enumerate(_run(jobs, workers), start=1):
            found[index] = report
            on_bag(done, len(jobs))
        held = view_of_set(out) if present else None
        found, view = leave_out_other_views(found, scratch, held)
        report = _merge(robot, config, present, found)
        known = {VIEW: view.to_json()} if view and (held or not present) else {}
        _join(out, scratch, report, {
            **robot_attributes(robot), **known, 'task': report.task, SETTINGS: settings,
            **({ACTING: acting_text(report.acting)} if report.acting else {})},
            config, provenance or {})
        if scratch.holds_parts():
            scratch.remove()
    return report


def _run(jobs: list[tuple], workers: int) -> Iterator[tuple[int, BagReport]]:
    """Yield (index, report) of each bag, in any order."""
    # What is there already first: a contradiction shows before the long work.
    order = sorted(range(len(jobs)), key=lambda index: jobs[index][-1] is None)
    for place, report in run_conversions(_add, [jobs[index] for index in order], workers):
        if jobs[order[place]][-1] is None:
            for text in (report.error and f'left out: {report.error}', *report.notes):
                if text:
                    _log.warning('%s: %s', report.bag, text)
        yield order[place], report


def _add(name: str, path: Path, robot: RobotDescription, config: DataConfig, part: Path,
         settings: str, before: BagReport | None) -> BagReport:
    """Convert one bag, or recognise it as one that the set holds."""
    if before is None or not before.sha256 or (before.error and not before.rows):
        return convert_bag(path, robot, config, part, settings, name)
    try:
        sha256 = hash_bag(path)
    except (LewmError, OSError) as error:
        if before.rows:
            _log.warning('%s is in the set and cannot be compared with it: %s', path,
                         without_path(error))
        return before
    if sha256 == before.sha256:
        return before
    if before.rows:
        raise DatasetError(f'the set holds a bag called {name} with other content (sha256 '
                           f'{before.sha256} there, {sha256} in {path}); episodes are never '
                           f'replaced: rename the new bag, name both folders in one command if '
                           f'they number their bags alike, or make the whole set anew with '
                           f'--force')
    return convert_bag(path, robot, config, part, settings, name)


def _merge(robot: RobotDescription, config: DataConfig, present: dict[str, BagReport],
           found: list[BagReport]) -> IngestReport:
    """List the bags whose episodes are in the set, in their order, then the others."""
    held = [bag for bag in present.values() if bag.rows]
    names = {bag.bag for bag in held}
    new = [bag for bag in found if bag.bag not in names]
    names |= {bag.bag for bag in new}
    others = [bag for bag in present.values() if bag.bag not in names]
    return IngestReport(robot.robot, config.image_size, (*held, *new, *others),
                        before=tuple(bag.bag for bag in held))


def _join(out: Path, scratch: Scratch, report: IngestReport, facts: dict[str, Any],
          config: DataConfig, provenance: dict[str, str]) -> None:
    """Write the set, if there is something new for it, and the report."""
    if not report.rows:
        raise DatasetError(f'no bag gave an episode of at least {config.min_rows} rows:\n'
                           f'{report.text()}')
    new = [bag for bag in report.bags if bag.rows and bag.bag not in report.before]
    if new:
        sources = [*([out] if report.before else []),
                   *(scratch.part(bag.bag) for bag in new)]
        commands = {name: _joined(read_attribute(out, name) if report.before else '', text)
                    for name, text in provenance.items()}
        concatenate(scratch.whole, sources, {
            **facts, **_truth(sources), **commands,
            REPORT: json.dumps([bag.to_dict() for bag in report.bags])},
            extend_first=bool(report.before))
        os.replace(scratch.whole, out)
        sync_folder(out.parent)
    unfinished = scratch.folder / 'report.json'
    unfinished.write_text(json.dumps(report.to_dict(), indent=1), encoding='utf-8')
    os.replace(unfinished, report_path(out))


def _truth(sources: list[Path]) -> dict[str, str]:
    """Return the attribute that says what the truth is, if all sources have one.

    Raises:
        DatasetError: If they measured different quantities.
    """
    said = {source: read_attribute(source, TRUTH_QUANTITIES) for source in sources}
    first = said[sources[0]]
    for source, text in said.items():
        if first and text and text != first:
            raise DatasetError(f'{source} and {sources[0]} have a truth of different quantities: '
                               f'{text} and {first}; the task changed in between, ingest them '
                               f'into different files')
    return {TRUTH_QUANTITIES: first} if all(said.values()) else {}


def _joined(before: str, now: str) -> str:
    """Append a command to those of earlier runs, once."""
    parts = before.split('; ') if before else []
    return '; '.join([*parts, *(part for part in now.split('; ') if part not in parts)])
