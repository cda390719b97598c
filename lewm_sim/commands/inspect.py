"""Show what a bag, a folder of bags or a data set holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from lewm_model.data.bag import find_bags
from lewm_model.data.describe import contact_sheet, describe_bag, describe_data_set
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_model.images import write_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('path', type=Path, help='a bag folder, a folder of bags, or an HDF5 file')
    parser.add_argument('--sheet', type=Path,
                        help='also write frames of some episodes into this picture (data sets)')
    parser.add_argument('--limit', type=int, default=3,
                        help='bags shown of a folder (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Describe the path on the terminal."""
    if args.path.is_dir():
        if args.sheet:
            raise ConfigError('--sheet needs a data set; run "lewm ingest" on the bags first')
        bags = find_bags([args.path])
        for bag in bags[:args.limit]:
            print(describe_bag(bag))
        if len(bags) > args.limit:
            print(f'... and {len(bags) - args.limit} more bags (--limit)')
        return 0
    file = EpisodeFile.open(args.path)
    print(describe_data_set(file))
    if args.sheet:
        write_image(args.sheet, contact_sheet(file))
        print(f'frames: {args.sheet}')
    return 0
