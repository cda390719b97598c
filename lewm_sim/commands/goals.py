"""Save goal pictures from held-out episodes, for the demo."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    parser.add_argument('--data', required=True, help='data set (HDF5) the bundle was made from')
    parser.add_argument('--count', type=int, default=10, help='pictures (10)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice (0)')
    parser.add_argument('--out', type=Path, help='folder (goals/ inside the bundle)')


def run(args: argparse.Namespace) -> int:
    """Write the pictures and their true poses."""
    from lewm_model.bundle import Bundle
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.resources import find_named
    from lewm_sim.goals import write_goals

    folder = find_named('models', args.bundle)
    path = write_goals(Bundle.load(folder), EpisodeFile.open(args.data),
                       args.out or folder / 'goals', count=args.count, seed=args.seed)
    print(f'{args.count} goals written to {path}')
    return 0
