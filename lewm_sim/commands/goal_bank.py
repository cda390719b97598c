"""Choose recorded frames as goals that people can pick, spread over what was seen."""

from __future__ import annotations

import argparse
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING

from lewm_sim.commands._data import add_data_argument, open_data_argument

if TYPE_CHECKING:
    from lewm_model.data.episodes import EpisodeFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_data_argument(parser)
    parser.add_argument('--out', type=Path, required=True, help='new folder of the bank')
    parser.add_argument('--count', type=int, default=64, help='frames wanted (%(default)s)')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='choose among every Nth frame of an episode (%(default)s)')
    parser.add_argument('--by', action='append', default=[], metavar='NAME',
                        help="quantity to spread the frames over, such as 'block x'; may be "
                             'repeated (default: what the simulator knew, else what the robot '
                             'measured of itself)')
    parser.add_argument('--robot', help='name or YAML file: of bags, and of data sets that do '
                                        'not say it')
    parser.add_argument('--image-size', type=int, default=64,
                        help='of bags: stored frames, square [px], as those of the model '
                             '(%(default)s)')


def run(args: argparse.Namespace) -> int:
    """Write the bank; say where its gallery is."""
    with tempfile.TemporaryDirectory() as scratch:
        data = (_ingested(args, Path(scratch)) if _are_bags(args.data)
                else open_data_argument(args))
        return _make(args, data)


def _make(args: argparse.Namespace, data: EpisodeFile) -> int:
    from lewm_model.data.make_goal_bank import make_goal_bank
    from lewm_model.goal_bank import GALLERY_FILE

    bank = make_goal_bank(data, args.out, count=args.count, every=args.every, by=args.by)
    print(f'{len(bank.entries)} goals of robot {bank.robot!r}, spread over '
          f'{", ".join(bank.spread)}; look at {args.out / GALLERY_FILE}')
    return 0


def _are_bags(words: list[str]) -> bool:
    first = Path(words[0])
    return first.is_dir() and not any(first.glob('[!.]*.h5'))


def _ingested(args: argparse.Namespace, scratch: Path) -> EpisodeFile:
    """Turn bags into a data set that is not kept."""
    from lewm_model.config import DataConfig
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.errors import ConfigError
    from lewm_model.ingest.ingest import ingest
    from lewm_model.robots.robot import RobotDescription

    if not args.robot:
        raise ConfigError(f'--robot is needed for bags ({args.data[0]}): name the robot they were '
                          f'recorded of')
    robot = RobotDescription.from_yaml(args.robot)
    path = scratch / f'{Path(args.data[0]).resolve().name}.h5'
    report = ingest(list(args.data), robot, path, DataConfig(
        image_size=args.image_size, control_dt_s=robot.control_dt_s))
    print(report.text())
    return EpisodeFile.open(path)
