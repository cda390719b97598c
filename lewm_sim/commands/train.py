"""Train a model on a data set and write a bundle; run it again to go on after an interruption."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
import shlex
from typing import TYPE_CHECKING

from lewm_sim.commands._data import add_data_argument, makers, open_data_argument

if TYPE_CHECKING:
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.training.loop import Progress
    from lewm_model.training.run import Recipe
    from torch.utils.tensorboard import SummaryWriter

# Names on the screen, where others say more.
_TERMS = {'pictures': 'unpainted', 'rollout': 'open loop'}
SEARCH_STEPS = 1000   # of each short run; the order of the weights is visible by then


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_data_argument(parser)
    parser.add_argument('--config', default='nano',
                        help='recipe: a YAML file or a shipped name (pico, nano, nano96, paper: '
                             'docs/training.md)')
    parser.add_argument('--out', type=Path, required=True, help='folder of the bundle to write')
    # torchrun takes `--run` for an abbreviation of an option of its own.
    parser.add_argument('--run', '--run-folder', type=Path,
                        help='folder of checkpoints and TensorBoard logs (runs/<name of --out>)')
    parser.add_argument('--steps', type=int, help="optimiser steps, instead of the recipe's")
    parser.add_argument('--batch-size', type=int, help='clips per step, over all processes, '
                        "instead of the recipe's")
    parser.add_argument('--loss', choices=('lewm', 'pldm'), help='what keeps latents from '
                        'collapsing: SIGReg (lewm), or the terms of PLDM, to compare with (the '
                        "recipe's)")
    parser.add_argument('--sigreg-weight', type=float, help="lambda, instead of the recipe's")
    parser.add_argument('--decoder-weight', type=float, help='of an auxiliary decoder, which '
                        'keeps parts of the scene that are lost without (0: none)')
    parser.add_argument('--inverse-weight', type=float, help='of an auxiliary network that tells '
                        'the actions from the latents around them (0: none)')
    parser.add_argument('--state-weight', type=float, help="of an auxiliary linear readout of the "
                        "robot's measured states from latents (0: none)")
    parser.add_argument('--rollout-weight', type=float, help='of the error of predictions that go '
                        'on from predictions, `rollout_steps` of the recipe ahead (0: none)')
    parser.add_argument('--light-jitter', type=float, help='how far exposure, white balance and '
                        'gamma vary from frame to frame, so that the model does not care for '
                        'light: 0.3 for exposures of 0.7 to 1.4 (0: not at all)')
    parser.add_argument('--camera-jitter', type=float, help='how far pictures shift and roll '
                        'from frame to frame, so that the model does not care for a camera that '
                        'moved a little: 0.02 for two percent of their size (0: not at all)')
    parser.add_argument('--frame-statistics', choices=('imagenet', 'data'), help='what colours '
                        'are normalised by: data for pictures that are nearly all white, or dark '
                        "(the recipe's)")
    parser.add_argument('--begin-with', metavar='BUNDLE', help='begin with the weights of a '
                        'bundle that was trained on the same data, to add a term of the loss, say')
    parser.add_argument('--seed', type=int, help="seed, instead of the recipe's")
    parser.add_argument('--search-lambda', action='store_true',
                        help='find a --sigreg-weight in a few short runs (--steps each, '
                             f'{SEARCH_STEPS}) instead of training; writes no bundle')
    parser.add_argument('--robot', help='name or YAML file of the robot, where the data set does '
                                        'not say it (public sets)')
    parser.add_argument('--device', default='cpu', help='torch device (cpu)')
    parser.add_argument('--threads', type=int, help='CPU threads of each process (all)')


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar and TensorBoard; under torchrun, together."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.data.robot_facts import require_robot
    from lewm_model.errors import ConfigError
    from lewm_model.training.distributed import joined_processes
    from lewm_model.training.run import Recipe, train_bundle
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    data = open_data_argument(args)
    if not args.search_lambda:
        require_robot(data)
    recipe = Recipe.from_yaml(find_named('config/train', args.config, '.yaml'),
                              steps=args.steps, batch_size=args.batch_size, seed=args.seed,
                              loss=args.loss, sigreg_weight=args.sigreg_weight,
                              inverse_weight=args.inverse_weight,
                              decoder_weight=args.decoder_weight,
                              state_weight=args.state_weight,
                              rollout_weight=args.rollout_weight,
                              light_jitter=args.light_jitter,
                              camera_jitter=args.camera_jitter,
                              frame_statistics=args.frame_statistics)
    run_folder = args.run or Path('runs') / args.out.name
    with joined_processes(args.device) as (group, device):
        if args.search_lambda:
            if group.size > 1:
                raise ConfigError('--search-lambda uses one process; start it without torchrun')
            return _search(args, data, recipe, run_folder)
        start = f'torchrun --nproc-per-node {group.size} -m lewm_sim.cli'
        words = shlex.split(args.command_line)   # lewm train ...
        command = shlex.join(words if group.size == 1 else [*start.split(), *words[1:]])
        earlier = makers(data)
        begin = (Bundle.load(find_named('models', args.begin_with))
                 if args.begin_with else None)
        if begin:
            earlier = begin.provenance.get('commands', earlier)
        board = _board(run_folder) if group.is_main else None
        with _screen(run_folder, board, recipe.train.log_every, group.is_main) as report:
            bundle = train_bundle(data, recipe, run_folder=run_folder, bundle_folder=args.out,
                                  commands=[*earlier, command], report=report, device=device,
                                  group=group, begin_with=begin)
        if bundle:
            print(f'bundle written to {args.out} (model {bundle.model_id})')
    return 0


def _search(args: argparse.Namespace, data: EpisodeFile, recipe: Recipe, run_folder: Path) -> int:
    from lewm_model.errors import ConfigError
    from lewm_model.training.lambda_search import PICTURE, search_lambda, TABLE

    if recipe.train.loss != 'lewm':
        raise ConfigError(f'--search-lambda looks for the weight of SIGReg, which loss '
                          f'{recipe.train.loss!r} does not have')
    recipe = replace(recipe, train=replace(recipe.train, steps=args.steps or SEARCH_STEPS))
    folder = run_folder / 'lambda'
    with _screen(folder, None, recipe.train.log_every) as report:
        best = search_lambda(data, recipe, run_folder=folder, report=report, device=args.device)
    print(f'best: --sigreg-weight {best.sigreg_weight:g} (SIGReg {best.sigreg:.2f}, prediction '
          f'{best.prediction:.3f} of the copy error, worst probe {best.worst_probe:.2f}); '
          f'{folder / TABLE} and {PICTURE} have the others')
    return 0


@contextmanager
def _screen(folder: Path, board: SummaryWriter | None, every: int, is_main: bool = True
            ) -> Iterator[Callable[[Progress], None]]:
    """Yield what shows a run's progress: a bar, a line per health check, and the board."""
    from tqdm import tqdm

    with tqdm(unit='step', dynamic_ncols=True, disable=not is_main) as bar:
        looked = ''

        def report(progress: Progress) -> None:
            nonlocal looked
            if bar.total is None or progress.step < bar.n:   # a run begins, perhaps resumed
                bar.reset(progress.steps)
                bar.initial = bar.n = progress.step - 1
            bar.update(progress.step - bar.n)
            if progress.health:
                looked = (f', gates {progress.health.gate_norm:.2f}, action effect '
                          f'{progress.health.action_effect:.2f}')
                bar.write(_check_line(progress))
            if progress.warning:
                bar.write(f'warning: {progress.warning}')
            terms = ''.join(f', {_TERMS.get(name, name)} {value:.3g}'
                            for name, value in progress.terms.items())
            bar.set_postfix_str(f'prediction {progress.prediction:.4f}, SIGReg '
                                f'{progress.sigreg:.2f}{terms}{looked}, '
                                f'{progress.clips_per_s:.0f} clips/s', refresh=False)
            try:
                if board:
                    _write(board, progress, every)
            except OSError as error:   # a full disk; checkpoints have their own message
                raise _cannot_log(folder, error) from error
        try:
            yield report
        except KeyboardInterrupt:
            if is_main:
                bar.write(f'interrupted; the same command goes on from {folder}')
            raise
        finally:
            if board:
                board.close()


def _check_line(progress: Progress) -> str:
    health = progress.health
    probes = ' '.join(f'{name} {value:.3f}' for name, value in health.probes.items())
    return (f'step {progress.step}: held out prediction {health.prediction:.4f}, SIGReg '
            f'{health.sigreg:.2f}, latent std {health.latent_std:.2f}, rank '
            f'{health.effective_rank:.1f}, gates {health.gate_norm:.2f}, action effect '
            f'{health.action_effect:.2f}, probes {probes}; {progress.clips_per_s:.0f} clips/s, '
            f'{progress.remaining_s / 60:.1f} min left')


def _board(folder: Path) -> SummaryWriter:
    from lewm_model.errors import MissingPackageError
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPackageError('tensorboard', 'train', 'logging a training run') from error
    try:
        return SummaryWriter(folder / 'tensorboard')
    except OSError as error:
        raise _cannot_log(folder, error) from error


def _cannot_log(folder: Path, error: OSError) -> Exception:
    from lewm_model.errors import TrainingError, without_path
    return TrainingError(f'cannot write to {folder / "tensorboard"}: {without_path(error)}; '
                         f'checkpoints are intact, free some space or make it writable and run '
                         f'again')


def _write(board: SummaryWriter, progress: Progress, every: int) -> None:
    if progress.step % every == 0:
        for name in ('prediction', 'sigreg', 'grad_norm', 'learning_rate', 'clips_per_s'):
            board.add_scalar(f'training/{name}', getattr(progress, name), progress.step)
        for name, value in progress.terms.items():
            board.add_scalar(f'training/{name}', value, progress.step)
        board.add_scalar('training/remaining_minutes', progress.remaining_s / 60, progress.step)
    if progress.health:
        for field in fields(progress.health):
            if field.name != 'probes':
                board.add_scalar(f'held_out/{field.name}', getattr(progress.health, field.name),
                                 progress.step)
        for name, value in progress.health.probes.items():
            board.add_scalar(f'probe/{name}', value, progress.step)
