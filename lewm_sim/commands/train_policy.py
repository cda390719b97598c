"""Add to a bundle what answers without search: a prior, cloned behaviour, a memory, and others."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import shlex
from typing import Any, TYPE_CHECKING

from lewm_sim.commands._data import add_data_argument, followed_by, open_data_argument

if TYPE_CHECKING:
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.config import Config
    from lewm_model.held_out import HeldOut
    from lewm_model.training.policies import PolicyProgress, PolicyTrainConfig, Report
    from torch import Tensor

KINDS = {
    'prior': 'block that leads to the goal in time',
    'gcbc': 'behaviour cloned from the data, to a goal',
    'quantity_prior': 'block that leads to what quantities shall be, in time; reads with the '
                      'readout',
    'plan_prior': 'Gaussian over plans, to fuse a search with',
    'reach': 'how far places of the training set are from each other, for way-points',
    'readout': 'reads recorded quantities from latents, for goals without a picture',
    'decoder': 'paints what a latent shows, for people who watch',
    'memory': 'latents and blocks of the training set, to recall plans from; not trained'}

_SIZED = ('prior', 'gcbc', 'quantity_prior')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_training_arguments(parser)
    parser.add_argument('--kind', required=True, choices=tuple(KINDS), action='append',
                        help='; '.join([*(f'{name}: {text}' for name, text in KINDS.items()),
                                        'may be repeated: frames are read once']))


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what training of every kind needs."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    parser.add_argument('--steps', type=int, help='optimiser steps (4000; of a decoder 2000)')
    parser.add_argument('--farthest', type=int, metavar='STEPS',
                        help='learn to act for goals up to so many control steps away (as many '
                             'as the bundle plans)')
    parser.add_argument('--hidden-dim', type=int, metavar='N',
                        help='width of the layers of a prior, quantity_prior or gcbc (256): more '
                             'where there is much data')
    parser.add_argument('--hidden-layers', type=int, metavar='N', help='how many of them (3)')
    parser.add_argument('--seed', type=int, help='of weights and order (3072)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')
    parser.add_argument('--new-data', action='store_true',
                        help='learn from another set, of which the bundle has seen nothing: '
                             'its episodes are divided as for `lewm train`, and those that '
                             'are learnt from count as seen from then on')


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar, write the bundle and its card; one kind after the other."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.held_out import HeldOut
    from lewm_model.training.divide import also_trained, divide_new
    from lewm_model.training.policies import encode_all
    from lewm_model.training.quantity_prior import readout_of
    import torch

    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    asked = dict.fromkeys([args.kind] if isinstance(args.kind, str) else args.kind)
    kinds = sorted(asked, key=lambda kind: kind == 'quantity_prior')    # after what it reads with
    if 'quantity_prior' in kinds and 'readout' not in kinds:
        readout_of(bundle)
    settings = {kind: (_sizes(args, kind), _config(args, kind)) for kind in kinds}
    data = open_data_argument(args)
    subject = divide_new(bundle, data) if args.new_data else HeldOut(bundle, data)
    learnt = also_trained(bundle, subject) if args.new_data else {}
    with _bar(folder) as report:
        latents = encode_all(subject, report)
    for kind in kinds:
        line = args.command_line if len(kinds) == 1 else _line(args.command_line, kind,
                                                               first=kind == kinds[0])
        bundle = _add(bundle, folder, kind, settings[kind], subject, latents, line, learnt)
    return 0


def _add(bundle: Bundle, folder: Path, kind: str, settings: tuple[Config | None, Any],
         subject: HeldOut, latents: Tensor, line: str, learnt: dict[str, Any]) -> Bundle:
    """Train one network, write the bundle with it, and say what it is worth."""
    from dataclasses import replace

    from lewm_model.bundles.card import write_card
    from lewm_model.training.policies import train_policy

    with _bar(folder) as report:
        network, measured = train_policy(bundle, subject.data, kind, *settings, subject=subject,
                                         report=report, latents=latents)
    earlier = [one for one in bundle.provenance.get('commands', []) if not _made(one, kind)]
    bundle = replace(bundle, **{kind: network}, metrics={**bundle.metrics, kind: measured},
                     provenance={**bundle.provenance, **learnt,
                                 'commands': followed_by(earlier, subject.data, line)})
    bundle.save(folder)
    write_card(bundle, folder)
    errors = ', '.join(f'{100 * error:.0f} % for a frame {offset} control steps later'
                       for offset, error in measured.get('held_out_error', {}).items())
    print(f'{kind} with {measured["parameters"]:,} numbers added to {folder} in '
          f'{measured["minutes"]} min'
          + (f'; error of its blocks on held-out episodes: {errors}' if errors else ''))
    for one in getattr(network, 'readable', ()):
        print(f'  reads {one}, wrong by {one.read_error:.3g} (root mean square of held-out '
              f'frames), 95 % within {one.read_error_95:.3g}; training had [{one.low:.4g}, '
              f'{one.high:.4g}]')
    if 'explained' in measured:
        print(f'  explains {100 * measured["explained"]:.0f} % of the pixel variance of held-out '
              f'frames')
    for name, reason in measured.get('left_out', {}).items():
        print(f'  does not read {name}: {reason}')
    return bundle


@contextmanager
def _bar(folder: Path) -> Iterator[Report]:
    """Yield what shows the frames that are read, then the steps that are taken."""
    from tqdm import tqdm

    with tqdm(unit='frame', dynamic_ncols=True) as bar:
        def report(progress: PolicyProgress) -> None:
            if progress.phase != bar.unit:
                bar.unit = progress.phase
                bar.reset()
            bar.total = progress.total
            bar.update(progress.done - bar.n)
            if progress.phase == 'step':
                bar.set_postfix_str(f'loss {progress.loss:.3f}', refresh=False)

        try:
            yield report
        except KeyboardInterrupt:
            bar.write(f'interrupted; {folder} has what was finished before')
            raise


def _config(args: argparse.Namespace, kind: str) -> PolicyTrainConfig:
    """Return the training of a kind, with what was asked for.

    Raises:
        ConfigError: If the kind cannot be trained so.
    """
    from dataclasses import replace

    from lewm_model.training.policies import require_trainable, usual_config

    given = {'steps': args.steps, 'seed': args.seed, 'farthest': args.farthest}
    config = replace(usual_config(kind), **{key: value for key, value in given.items()
                                            if value is not None})
    require_trainable(kind, config)
    return config


def _sizes(args: argparse.Namespace, kind: str) -> Config | None:
    """Return the sizes that were asked for; None: the usual ones of the kind.

    Raises:
        ConfigError: If the kind has no such sizes, or a number is out of range.
    """
    from lewm_model.bundles.networks import NETWORKS
    from lewm_model.errors import ConfigError

    given = {name: value for name in ('hidden_dim', 'hidden_layers')
             if (value := getattr(args, name)) is not None}
    if not given:
        return None
    if kind not in _SIZED:
        raise ConfigError(f'--hidden-dim and --hidden-layers are for --kind '
                          f'{", ".join(_SIZED)}; got {kind}')
    return NETWORKS[kind].config(**given)


def _line(command_line: str, kind: str, first: bool) -> str:
    """Return the command that adds one of several kinds alone.

    After the first one a new set is new no more.
    """
    words, kept = iter(shlex.split(command_line)), []
    for word in words:
        if word == '--kind':
            next(words)
        elif not word.startswith('--kind=') and (first or word != '--new-data'):
            kept.append(word)
    return shlex.join([*kept, '--kind', kind])


def _made(line: str, kind: str) -> bool:
    """Tell whether a command line of the provenance is the one that added this kind before."""
    words = line.split()
    if words[:2] == ['lewm', 'train-prior']:
        return kind == 'prior'
    named = f' {line} '.replace('--kind=', '--kind ')
    return words[:2] == ['lewm', 'train-policy'] and f' --kind {kind} ' in named
