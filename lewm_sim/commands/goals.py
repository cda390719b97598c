"""Save goal pictures from held-out episodes, for the demo."""

from __future__ import annotations

import argparse
from pathlib import Path

from lewm_sim.commands._data import add_data_argument, open_data_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    parser.add_argument('--count', type=int, default=10, help='pictures (10)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice (0)')
    parser.add_argument('--out', type=Path, help='folder (goals/ inside the bundle)')


def run(args: argparse.Namespace) -> int:
    """Write the pictures and their true poses."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_sim.goals import write_goals

    folder = find_named('models', args.bundle)
    path = write_goals(Bundle.load(folder), open_data_argument(args),
                       args.out or folder / 'goals', count=args.count, seed=args.seed)
    print(f'{args.count} goals written to {path}')
    return 0
