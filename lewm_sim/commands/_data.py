"""The data set argument that commands share: one file, or many as one set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.data.episodes import EpisodeFile

_LONGEST = 1000     # characters of a command on a card
_HELP = ("data set (HDF5), from `lewm ingest`; several files, a folder of them or a pattern such "
         "as 'a/*.h5' (in quotes) are one set")


def add_data_argument(parser: argparse.ArgumentParser, option: str | None = None) -> None:
    """Declare the data set: positional words, or a required option that may be repeated.

    Not an option with several words: it would swallow a positional argument after it.
    """
    if option is None:
        parser.add_argument('data', nargs='+', metavar='DATA', help=_HELP)
    else:
        parser.add_argument(option, dest='data', action='append', required=True, metavar='DATA',
                            help=f'{_HELP}; may be repeated')


def add_new_data_argument(parser: argparse.ArgumentParser) -> None:
    """Declare that the data set may be one that the bundle has seen nothing of."""
    parser.add_argument('--new-data', action='store_true',
                        help='the data set is not the one the bundle was trained from: judge by '
                             'all of its episodes (refused if any was trained on)')


def makers(data: EpisodeFile) -> list[str]:
    """Return the command lines that made a data set, in order, as far as it says."""
    return [line for key in ('collect_command', 'ingest_command', 'convert_command')
            for line in str(data.attributes.get(key) or '').split('; ') if line]


def followed_by(earlier: Sequence[str], data: EpisodeFile, line: str) -> list[str]:
    """Return the commands that made a bundle and what came now, from data that is new or not.

    One that names hundreds of folders is left out: the card would show nothing else.
    """
    new = [one for one in makers(data) if one not in earlier and len(one) <= _LONGEST]
    return [*earlier, *new, line]


def open_data_argument(args: argparse.Namespace) -> EpisodeFile:
    """Open what was given, with the facts of `--robot` if the command has that option."""
    from lewm_model.data.robot_facts import with_robot
    from lewm_model.data.shards import open_data
    from lewm_model.robots.robot import RobotDescription

    data = open_data(args.data)
    robot = getattr(args, 'robot', None)
    return data if robot is None else with_robot(data, RobotDescription.from_yaml(robot))
