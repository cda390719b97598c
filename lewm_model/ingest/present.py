"""What a data set file already holds: its bags, and whether more may be added to it."""

from __future__ import annotations

from dataclasses import asdict
import json
import logging
from pathlib import Path
from typing import Any

from lewm_model import __version__
from lewm_model.config import DataConfig
from lewm_model.errors import DatasetError, without_path
from lewm_model.images.tiles import WHOLE
from lewm_model.ingest.convert_bag import read_attribute, REPORT, SETTINGS
from lewm_model.ingest.report import BagReport
from lewm_model.robots.robot import RobotDescription
import numpy as np

_log = logging.getLogger(__name__)
_BEFORE_CROPS = {'crop': list(WHOLE), 'cameras': []}   # what older sets do not say
# on recorded rows; of robot and data settings
_NO_EFFECT = ('max_rate', 'stop_rate', 'camera_info_topic', 'max_bad_share',
              'position_min', 'position_max', 'deadband', 'keep_direction', 'clicks')


def describe_settings(robot: RobotDescription, config: DataConfig) -> str:
    """Return everything that the rows of a set depend on besides the bags, as JSON."""
    facts = asdict(robot)
    for camera in facts['cameras']:
        del camera['info_topic']   # no effect on recorded rows, as _NO_EFFECT
    return json.dumps({'lewm_ros': __version__, 'data': config.to_dict(), 'robot': facts},
                      default=_plain, sort_keys=True)


def read_present(path: Path, settings: str) -> dict[str, BagReport]:
    """Return the bags of an existing set by name, also those that gave no rows.

    Raises:
        DatasetError: If the set was not made by ingest, for this robot, with these settings.
    """
    _require_same(path, settings)
    reports = {bag.bag: bag for bag in map(BagReport.from_dict,
                                           json.loads(read_attribute(path, REPORT)))}
    # Bags without an episode do not change the file, only the report beside it.
    beside = report_path(path)
    try:
        listed = json.loads(beside.read_text(encoding='utf-8'))['bags'] if beside.exists() else []
        for bag in map(BagReport.from_dict, listed):
            if not bag.rows:
                reports.setdefault(bag.bag, bag)
    except (OSError, ValueError, KeyError, TypeError, DatasetError) as error:
        _log.warning('%s is damaged (%s), bags without episodes are read again', beside,
                     without_path(error))
    return reports


def report_path(path: Path) -> Path:
    """Return where the report for people and programs is."""
    return path.with_name(f'{path.name}.report.json')


def _require_same(path: Path, settings: str) -> None:
    text = read_attribute(path, SETTINGS)
    if not text or not read_attribute(path, REPORT):
        raise DatasetError(f'{path} exists and does not say how it was made, so nothing can be '
                           f'added to it; choose another name or replace it with --force')
    before, now = json.loads(text), json.loads(settings)
    before['robot'] = {**_BEFORE_CROPS, **before['robot']}
    changes = [f'{name}: {before[group][name]!r} there, {now[group][name]!r} now'
               for group in ('data', 'robot') for name in before[group]
               if name in now[group] and name not in _NO_EFFECT
               and before[group][name] != now[group][name]]
    if changes:
        raise DatasetError(f'{path} exists and was made with other settings '
                           f'({"; ".join(changes)}); use them again to add to it, choose another '
                           f'name, or replace it with --force')


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else str(value)
