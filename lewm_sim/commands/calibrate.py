"""Measure what is ordinary for a bundle, so that the planner can tell what is not."""

from __future__ import annotations

import argparse

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    open_data_argument,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--pictures', type=int, default=64,
                        help='training frames to keep, to compare views with (64)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of frames (0)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')


def run(args: argparse.Namespace) -> int:
    """Measure, add the result to the bundle and print it."""
    from dataclasses import replace

    from lewm_model.analysis.calibration import measure_ordinary
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import write_card
    from lewm_model.errors import ConfigError
    from lewm_model.held_out import HeldOut
    from lewm_model.resources import find_named
    import torch

    if not 1 <= args.pictures <= 4096:
        raise ConfigError(f'--pictures must be in [1, 4096], got {args.pictures}')
    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    subject = HeldOut(bundle, open_data_argument(args), new_data=args.new_data)
    ordinary = measure_ordinary(subject, pictures=args.pictures, seed=args.seed)
    commands = [*bundle.provenance.get('commands', []), args.command_line]
    bundle = replace(bundle, ordinary=ordinary,
                     provenance={**bundle.provenance, 'commands': commands})
    bundle.save(folder)
    write_card(bundle, folder)
    found = ordinary.config
    print(f'{found.frames} predictions in {found.episodes} held-out episodes, mean error '
          f'{found.mean_error:.4g}\n'
          f'highest surprise of an episode, {found.surprise_quantile:g} quantile: 95 % interval '
          f'[{found.surprise_low:.3g}, {found.surprise_high:.3g}]; limit '
          f'{found.surprise_limit:.3g}\n'
          f'{found.pictures} pictures of the view; unfamiliar above {found.view_limit:.3g} times '
          f'the usual distance to the nearest\nrecorded in {folder}')
    return 0
