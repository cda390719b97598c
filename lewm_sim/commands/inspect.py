"""Show what a bag, a folder of bags, a data set or a robot file says; suggest a robot file."""

from __future__ import annotations

import argparse
from pathlib import Path

from lewm_model.bags.bag import Bag, find_bags
from lewm_model.data.data_picture import plot_data_set
from lewm_model.data.describe_data import alignments, contact_sheet, describe_data_set
from lewm_model.data.episode_video import write_episode_video
from lewm_model.data.shards import open_data
from lewm_model.errors import ConfigError, LewmError, without_path
from lewm_model.images.decode import write_image
from lewm_model.recordings.describe_bag import describe_survey
from lewm_model.recordings.suggest_robot import suggest_from
from lewm_model.recordings.survey import survey_bag
from lewm_model.robots.describe import describe_robot
from lewm_model.robots.robot import RobotDescription

_RECORDED = ('.mcap', '.db3', '.zstd', '.bag')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('path', nargs='+',
                        help='a bag (folder or file), a folder of bags, or a data set: an HDF5 '
                             "file, several, a folder of them or a pattern such as 'a/*.h5'; "
                             'or a robot file (.yaml)')
    parser.add_argument('--sheet', type=Path,
                        help='also write frames of some episodes into this picture (data sets)')
    parser.add_argument('--plot', type=Path, metavar='PNG',
                        help='also write a page of lengths, actions, alignment (data sets)')
    parser.add_argument('--video', type=Path, metavar='MP4',
                        help='also write an episode with its actions as a video (data sets)')
    parser.add_argument('--episode', type=int, default=0, metavar='N',
                        help='of --video (default: %(default)s)')
    parser.add_argument('--limit', type=int, default=3,
                        help='bags shown of a folder (default: %(default)s)')
    parser.add_argument('--robot-out', type=Path, metavar='YAML',
                        help='write the robot file that the first bag suggests')


def run(args: argparse.Namespace) -> int:
    """Describe the path on the terminal."""
    first = Path(args.path[0])
    if first.suffix in ('.yaml', '.yml'):
        for path in args.path:
            print(describe_robot(RobotDescription.from_yaml(path)))
        return 0
    if first.suffix in _RECORDED or (first.is_dir() and not any(first.glob('[!.]*.h5'))):
        return _show_bags(args)
    if args.robot_out:
        raise ConfigError(f'--robot-out needs a bag, {first} is none')
    file = open_data(args.path)
    found = alignments(file)
    print(describe_data_set(file, found))
    if args.sheet:
        write_image(args.sheet, contact_sheet(file))
        print(f'frames: {args.sheet}')
    if args.plot:
        plot_data_set(file, args.plot, found)
        print(f'page: {args.plot}')
    if args.video:
        write_episode_video(file, args.episode, args.video)
        print(f'video: {args.video}')
    return 0


def _show_bags(args: argparse.Namespace) -> int:
    for option, given in (('--sheet', args.sheet), ('--plot', args.plot),
                          ('--video', args.video)):
        if given:
            raise ConfigError(f'{option} needs a data set; run "lewm ingest" on the bags first')
    if args.robot_out and args.robot_out.exists():
        raise ConfigError(f'--robot-out: {args.robot_out} exists; choose another name')
    bags = find_bags(args.path)
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
        raise ConfigError(f'cannot write robot file {path}: {without_path(error)}') from error
    RobotDescription.from_yaml(path)
    print(f'robot file: {path}; check every line of it')
