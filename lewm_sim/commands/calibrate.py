"""Measure what is ordinary for a bundle, so that the planner can tell what is not."""

from __future__ import annotations

import argparse

from lewm_sim.commands._measured import add_measured_arguments, keep, open_measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_measured_arguments(parser)
    parser.add_argument('--pictures', type=int, default=64,
                        help='training frames to keep, to compare views with (64)')


def run(args: argparse.Namespace) -> int:
    """Measure, add the result to the bundle and print it."""
    from lewm_model.analysis.calibration import measure_ordinary
    from lewm_model.errors import ConfigError

    if not 1 <= args.pictures <= 4096:
        raise ConfigError(f'--pictures must be in [1, 4096], got {args.pictures}')
    folder, subject = open_measured(args)
    ordinary = measure_ordinary(subject, pictures=args.pictures, seed=args.seed)
    keep(subject, folder, args.command_line, ordinary=ordinary)
    found = ordinary.config
    print(f'{found.frames} predictions in {found.episodes} held-out episodes, mean error '
          f'{found.mean_error:.4g}\n'
          f'highest surprise of an episode, {found.surprise_quantile:g} quantile: 95 % interval '
          f'[{found.surprise_low:.3g}, {found.surprise_high:.3g}]; limit '
          f'{found.surprise_limit:.3g}\n'
          f'{found.pictures} pictures of the view; unfamiliar above {found.view_limit:.3g} times '
          f'the usual distance to the nearest\nrecorded in {folder}')
    return 0
