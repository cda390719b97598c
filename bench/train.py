"""Training: our loop against a plain one over the same model and data, in samples per second."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.config import ModelConfig
    from lewm_model.data.episodes import EpisodeFile

    from bench._gpu_use import GpuUse
    from bench._loops import Subject
    from bench._own_process import OwnProcess
    from bench.report import Group, Report
    from bench.side_by_side import Variant

REFERENCE_WORKERS = 6
WARM_STEPS = 2   # before each turn: they start the workers and fill their queues


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--data', required=True, help='data set (HDF5), from `lewm ingest`')
    parser.add_argument('--config', nargs='+', default=['nano'], metavar='RECIPE',
                        help='recipes whose model and batch size are measured: YAML files or '
                             'shipped names (%(default)s)')
    parser.add_argument('--device', default='cpu', help='torch device (%(default)s)')
    parser.add_argument('--threads', type=int, help='CPU threads of the model (all cores)')
    parser.add_argument('--workers', type=int, default=min(REFERENCE_WORKERS, os.cpu_count() or 1),
                        help="of the plain loop's DataLoader (%(default)s); 0 is measured as well")
    parser.add_argument('--episodes', type=int, default=200,
                        help='of the data set that are used (%(default)s)')
    parser.add_argument('--batch-size', type=int, help="clips per step, instead of the recipe's")
    parser.add_argument('--steps', type=int, default=8,
                        help='optimiser steps of one turn (%(default)s)')
    parser.add_argument('--rounds', type=int, default=7, help='turns of each (%(default)s)')
    parser.add_argument('--compression', choices=('lzf', 'gzip', 'none'), default='lzf',
                        help="of the plain loop's file (%(default)s)")


def run(args: argparse.Namespace) -> Report:
    """Measure each recipe."""
    from lewm_model.data.episodes import EpisodeFile
    from tqdm import tqdm

    from bench.report import Report

    data = EpisodeFile.open(args.data)
    with tqdm(unit='round', dynamic_ncols=True, disable=None) as bar:
        groups = tuple(_measure(args, data, name, lambda done, total: bar.update())
                       for name in args.config)
    return Report('train', groups)


def _measure(args: argparse.Namespace, data: EpisodeFile, name: str,
             on_round: Callable[[int, int], None]) -> Group:
    from lewm_model.base.resources import find_named
    from lewm_model.config import ModelConfig
    from lewm_model.training.run import Recipe
    import torch

    from bench._gpu_use import GpuUse
    from bench._loops import Subject
    from bench._plain_loop import write_chunked
    from bench.report import Group
    from bench.side_by_side import side_by_side

    recipe = Recipe.from_yaml(find_named('config/train', name, '.yaml'),
                              batch_size=args.batch_size)
    sizes = ModelConfig.from_dict({**recipe.model, 'action_dim': data.action.shape[1]})
    with tempfile.TemporaryDirectory(prefix='lewm-bench-') as folder, ExitStack() as stack:
        mapped, chunked = Path(folder) / 'ours.h5', Path(folder) / 'plain.h5'
        ours = _part(data, args.episodes, sizes.image_size, mapped)
        write_chunked(ours, chunked, None if args.compression == 'none' else args.compression)
        threads = args.threads or torch.get_num_threads()
        subject = Subject(sizes, recipe.train, mapped, chunked, args.device, threads,
                          args.workers, Path(folder) / 'run')
        loops = _loops(subject, stack)
        use = GpuUse()
        stack.enter_context(use.watching())
        variants = {label: _variant(label, loop, loops, use, args.steps,
                                    recipe.train.batch_size, _dtype(label, args.device))
                    for label, loop in loops.items()}
        measured = side_by_side(variants, rounds=args.rounds, warmup=1, on_round=on_round)
        for loop in loops.values():
            loop.rest()
        parameters = sum(value.numel() for value in _model(sizes).parameters())
        per_sample_ms = {label: 1e3 * loop.cpu_s_per_step / recipe.train.batch_size
                         for label, loop in loops.items()}
        notes = {'model': f'{parameters:,} parameters, {sizes.image_size} px',
                 'clips per step': recipe.train.batch_size, 'steps per turn': args.steps,
                 'SIGReg projections': recipe.train.sigreg_projections,
                 'data': f'{ours.num_episodes} episodes, {len(ours)} frames; plain file: one '
                         f'{args.compression} chunk per frame; both in the page cache',
                 'threads': f'{threads} of the model, {args.workers} workers of '
                            f'the plain loader, none of ours; every loop has its own process',
                 'CPU ms per sample': '; '.join(f'{label} {spent_ms:.2f}' for label, spent_ms
                                                in per_sample_ms.items()),
                 **_use_notes(use, variants)}
    return Group(f'{name}, {args.device}', tuple(measured.values()), 'sample', notes)


def _loops(subject: Subject, stack: ExitStack) -> dict[str, OwnProcess]:
    """Start what is measured; the plain loop first."""
    from bench._loops import our_loop, plain_loop
    from bench._own_process import OwnProcess

    found: dict[str, OwnProcess] = {}

    def start(name: str, loop: Callable[..., None], *arguments: Any) -> None:
        found[name] = OwnProcess(loop, subject, *arguments)
        stack.callback(found[name].close)

    workers = f'{subject.workers} workers'
    bf16_pays = _bf16_pays(subject.device)
    start(f'plain loop, {workers}', plain_loop, subject.workers, 'fp32')
    if subject.workers:
        start('plain loop, 0 workers', plain_loop, 0, 'fp32')
    if bf16_pays:
        start(f'plain loop, {workers}, bf16', plain_loop, subject.workers, 'bf16')
    start('ours', our_loop)
    if _can_compile(subject.device):
        start('ours, compiled', partial(our_loop, compiled=True))
    start('ours, plain loader', partial(our_loop, plain_loader=True))
    if bf16_pays:
        start('ours, fp32', our_loop, 'fp32')
    if subject.device == 'cpu':   # elsewhere ours is the fused one
        start('ours, fused attention', partial(our_loop, plain_attention=True))
    start('ours, whole last block', partial(our_loop, plain_last_block=True))
    return found


def _variant(name: str, loop: OwnProcess, loops: dict[str, OwnProcess], use: GpuUse, steps: int,
             batch_size: int, dtype: str) -> Variant:
    from bench.side_by_side import Variant

    def prepare() -> None:
        for other in loops.values():   # nobody reads ahead in the turn of another
            other.rest()
        loop.run(WARM_STEPS)

    def call() -> None:
        with use.during(name):
            loop.run(steps)
    return Variant(call, units=steps * batch_size, prepare=prepare,
                   facts={'dtype': dtype})


def _part(data: EpisodeFile, episodes: int, image_size: int, path: Path) -> EpisodeFile:
    """Copy the first episodes to a contiguous file with frames of the model's size."""
    from lewm_model.data.episodes import EpisodeFile, import_h5py
    import numpy as np

    count = min(episodes, data.num_episodes)
    rows = int(data.ep_len[:count].sum())
    with import_h5py().File(path, 'w') as file:
        pixels = file.create_dataset('pixels', (rows, image_size, image_size, 3), np.uint8)
        for row in range(rows):
            pixels[row] = _resized(data.pixels[row], image_size)
        file['action'] = data.action[:rows]
        file['ep_len'] = data.ep_len[:count]
        file['ep_offset'] = data.ep_offset[:count]
    return EpisodeFile.open(path)


def _resized(frame: Any, size: int) -> Any:
    import cv2
    if frame.shape[0] == size:
        return frame
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA if
                      frame.shape[0] > size else cv2.INTER_CUBIC)


def _use_notes(use: GpuUse, variants: dict[str, Variant]) -> dict[str, str]:
    shares = {name: use.percent(name) for name in variants}
    if not any(share is not None for share in shares.values()):
        return {}
    return {'GPU busy': '; '.join(f'{name} {share:.0f} %' for name, share in shares.items()
                                  if share is not None)}


def _dtype(name: str, device: str) -> str:
    """Return the precision of a loop's products: ours takes bf16 where that pays."""
    asked = next((one for one in ('bf16', 'fp32') if name.endswith(one)), '')
    return asked or ('bf16' if name.startswith('ours') and _bf16_pays(device) else 'fp32')


def _bf16_pays(device: str) -> bool:
    from lewm_model.training.loop import use_bf16
    return use_bf16('auto', device)


def _can_compile(device: str) -> bool:
    """Tell whether torch.compile finds the compiler that it needs."""
    return device.startswith('cuda') or shutil.which('g++') is not None


def _model(sizes: ModelConfig) -> Any:
    from lewm_model.world_model import LeWorldModel
    return LeWorldModel(sizes)
