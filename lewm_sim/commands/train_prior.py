"""Add a prior to a bundle, which plans without search or gives the search a start."""

from __future__ import annotations

import argparse

from lewm_sim.commands._data import add_data_argument, open_data_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    parser.add_argument('--steps', type=int, help='optimiser steps (4000)')
    parser.add_argument('--seed', type=int, help='of weights and order (3072)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar, write the bundle and its card."""
    from dataclasses import replace

    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import write_card
    from lewm_model.resources import find_named
    from lewm_model.training.prior import PriorProgress, PriorTrainConfig, train_prior
    import torch
    from tqdm import tqdm

    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    given = {'steps': args.steps, 'seed': args.seed}
    config = PriorTrainConfig.from_dict({key: value for key, value in given.items()
                                         if value is not None})
    with tqdm(unit='frame', dynamic_ncols=True) as bar:
        def report(progress: PriorProgress) -> None:
            if progress.phase != bar.unit:
                bar.unit = progress.phase
                bar.reset()
            bar.total = progress.total
            bar.update(progress.done - bar.n)
            if progress.phase == 'step':
                bar.set_postfix_str(f'loss {progress.loss:.3f}', refresh=False)

        try:
            prior, measured = train_prior(bundle, open_data_argument(args), config=config,
                                          report=report)
        except KeyboardInterrupt:
            bar.write(f'interrupted; {folder} is as it was')
            raise
    earlier = [line for line in bundle.provenance.get('commands', [])
               if not line.startswith('lewm train-prior')]
    bundle = replace(bundle, prior=prior, metrics={**bundle.metrics, 'prior': measured},
                     provenance={**bundle.provenance, 'commands': [*earlier, args.command_line]})
    bundle.save(folder)
    write_card(bundle, folder)
    errors = ', '.join(f'{100 * error:.0f} % for a frame {offset} control steps later'
                       for offset, error in measured['held_out_error'].items())
    print(f'prior with {measured["parameters"]:,} parameters added to {folder} in '
          f'{measured["minutes"]} min; error of its blocks on held-out episodes: {errors}')
    return 0
