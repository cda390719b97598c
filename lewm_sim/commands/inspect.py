"""Show what a bag, a folder of bags or a data set holds; suggest a robot file for a bag."""

from __future__ import annotations

import argparse
from pathlib import Path

from lewm_model.data.bag import Bag, find_bags
from lewm_model.data.describe import contact_sheet, describe_data_set
from lewm_model.data.describe_bag import describe_survey
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.suggest_robot import suggest_from
from lewm_model.data.survey import survey_bag
from lewm_model.errors import ConfigError, LewmError
from lewm_model.images import write_image
from lewm_model.robot import RobotDescription

_RECORDED = ('.mcap', '.db3', '.zstd')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('path', type=Path,
                        help='a bag (folder or file), a folder of bags, or an HDF5 file')
    parser.add_argument('--sheet', type=Path,
                        help='also write frames of some episodes into this picture (data sets)')
    parser.add_argument('--limit', type=int, default=3,
                        help='bags shown of a folder (default: %(default)s)')
    parser.add_argument('--robot-out', type=Path, metavar='YAML',
                        help='write the robot file that the first bag suggests')


def run(args: argparse.Namespace) -> int:
    """Describe the path on the terminal."""
    if args.path.is_dir() or args.path.suffix in _RECORDED:
        return _show_bags(args)
    if args.robot_out:
        raise ConfigError(f'--robot-out needs a bag, {args.path} is none')
    file = EpisodeFile.open(args.path)
    print(describe_data_set(file))
    if args.sheet:
        write_image(args.sheet, contact_sheet(file))
        print(f'frames: {args.sheet}')
    return 0


def _show_bags(args: argparse.Namespace) -> int:
    if args.sheet:
        raise ConfigError('--sheet needs a data set; run "lewm ingest" on the bags first')
    if args.robot_out and args.robot_out.exists():
        raise ConfigError(f'--robot-out: {args.robot_out} exists; choose another name')
    bags = find_bags([args.path])
    for index, path in enumerate(bags[:args.limit]):
        with Bag(path) as bag:
            survey = survey_bag(bag)
            print(describe_survey(survey))
            if index:
                continue
            try:
                text = suggest_from(survey, bag,
                                    args.robot_out.stem if args.robot_out else 'my_robot')
            except LewmError as error:
                if args.robot_out:
                    raise
                print(f'  {error}')
                continue
        if args.robot_out:
            _write_robot(args.robot_out, text)
        elif len(bags) == 1:
            print(f'\nA robot file for this bag (--robot-out writes it):\n{text}', end='')
    if len(bags) > args.limit:
        print(f'... and {len(bags) - args.limit} more bags (--limit)')
    return 0


def _write_robot(path: Path, text: str) -> None:
    """Write a robot file that is known to load."""
    try:
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'cannot write robot file {path}: {error.strerror}') from error
    RobotDescription.from_yaml(path)
    print(f'robot file: {path}; check every line of it')
