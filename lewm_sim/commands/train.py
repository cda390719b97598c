"""Train a model on a data set and write a bundle; run it again to go on after an interruption."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.training.loop import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('data', help='data set (HDF5), from `lewm ingest`')
    parser.add_argument('--config', default='nano',
                        help='recipe: a YAML file or a shipped name (nano, paper)')
    parser.add_argument('--out', type=Path, required=True, help='folder of the bundle to write')
    parser.add_argument('--run', type=Path,
                        help='folder of checkpoints and TensorBoard logs (runs/<name of --out>)')
    parser.add_argument('--steps', type=int, help="optimiser steps, instead of the recipe's")
    parser.add_argument('--batch-size', type=int, help="clips per step, instead of the recipe's")
    parser.add_argument('--seed', type=int, help="seed, instead of the recipe's")
    parser.add_argument('--device', default='cpu', help='torch device (cpu)')
    parser.add_argument('--threads', type=int, help='CPU threads (all)')


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar and TensorBoard."""
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.resources import find_named
    from lewm_model.training.run import Recipe, train_bundle
    import torch
    from tqdm import tqdm

    if args.threads:
        torch.set_num_threads(args.threads)
    data = EpisodeFile.open(args.data)
    recipe = Recipe.from_yaml(find_named('config/train', args.config, '.yaml'),
                              steps=args.steps, batch_size=args.batch_size, seed=args.seed)
    run_folder = args.run or Path('runs') / args.out.name
    earlier = [line for key in ('collect_command', 'ingest_command')
               if (line := data.attributes.get(key))]
    command = args.command_line
    board = _board(run_folder)
    with tqdm(unit='step', dynamic_ncols=True) as bar:
        def report(progress: Progress) -> None:
            bar.total = progress.steps
            bar.update(progress.step - bar.n)
            _write(board, progress, recipe.train.log_every)
            bar.set_postfix_str(f'prediction {progress.prediction:.4f} '
                                f'SIGReg {progress.sigreg:.2f} {progress.clips_per_s:.0f} clips/s',
                                refresh=False)
            if progress.health:
                probes = ' '.join(f'{name} {value:.3f}'
                                  for name, value in progress.health.probes.items())
                bar.write(f'step {progress.step}: held out prediction '
                          f'{progress.health.prediction:.4f}, SIGReg {progress.health.sigreg:.2f},'
                          f' latent std {progress.health.latent_std:.2f}, rank '
                          f'{progress.health.effective_rank:.1f}, probes {probes}')
        try:
            bundle = train_bundle(data, recipe, run_folder=run_folder, bundle_folder=args.out,
                                  commands=[*earlier, command], report=report,
                                  device=args.device)
        except KeyboardInterrupt:
            bar.write(f'interrupted; the same command goes on from {run_folder}')
            raise
    board.close()
    print(f'bundle written to {args.out} (model {_weights_id(args.out, bundle)})')
    return 0


def _weights_id(folder: Path, bundle: object) -> str:
    from lewm_model.bundle import Bundle
    return Bundle.load(folder).model_id


def _board(folder: Path):
    from lewm_model.errors import MissingPackageError
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPackageError('tensorboard', 'train', 'logging a training run') from error
    return SummaryWriter(folder / 'tensorboard')


def _write(board, progress: Progress, every: int) -> None:
    if progress.step % every == 0:
        for name in ('prediction', 'sigreg', 'grad_norm', 'learning_rate', 'clips_per_s'):
            board.add_scalar(f'training/{name}', getattr(progress, name), progress.step)
    if progress.health:
        for name in ('prediction', 'copy_error', 'sigreg', 'latent_std', 'effective_rank'):
            board.add_scalar(f'held_out/{name}', getattr(progress.health, name), progress.step)
        for name, value in progress.health.probes.items():
            board.add_scalar(f'probe/{name}', value, progress.step)
