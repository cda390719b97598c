"""Training: our loop against a plain one over the same model and data, in samples per second."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
import os
from pathlib import Path
import tempfile
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.config import ModelConfig, TrainConfig
    from lewm_model.data.clips import Clips
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.preprocess import ActionNormalizer
    from lewm_sim.bench._cpu_use import CpuUse
    from lewm_sim.bench._gpu_use import GpuUse
    from lewm_sim.bench._plain_loop import Batches
    from lewm_sim.bench.report import Group, Report
    from lewm_sim.bench.side_by_side import Variant
    import torch

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
    from lewm_sim.bench.report import Report
    import torch
    from tqdm import tqdm

    if args.threads:
        torch.set_num_threads(args.threads)
    data = EpisodeFile.open(args.data)
    with tqdm(unit='round', dynamic_ncols=True, disable=None) as bar:
        groups = tuple(_measure(args, data, name, lambda done, total: bar.update())
                       for name in args.config)
    return Report('train', groups)


def _measure(args: argparse.Namespace, data: EpisodeFile, name: str,
             on_round: Callable[[int, int], None]) -> Group:
    from lewm_model.config import ModelConfig
    from lewm_model.data.clips import Clips
    from lewm_model.preprocess import ActionNormalizer
    from lewm_model.resources import find_named
    from lewm_model.training.run import Recipe
    from lewm_sim.bench._cpu_use import CpuUse
    from lewm_sim.bench._gpu_use import GpuUse
    from lewm_sim.bench._plain_loop import write_chunked
    from lewm_sim.bench.report import Group
    from lewm_sim.bench.side_by_side import side_by_side
    import torch

    recipe = Recipe.from_yaml(find_named('config/train', name, '.yaml'),
                              batch_size=args.batch_size)
    sizes = ModelConfig.from_dict({**recipe.model, 'action_dim': data.action.shape[1]})
    with tempfile.TemporaryDirectory(prefix='lewm-bench-') as folder, ExitStack() as stack:
        ours = _part(data, args.episodes, sizes.image_size, Path(folder) / 'ours.h5')
        theirs = Path(folder) / 'plain.h5'
        write_chunked(ours, theirs, None if args.compression == 'none' else args.compression)
        normalizer = ActionNormalizer.fit(ours.action)
        clips = Clips(ours, normalizer, num_frames=sizes.history + 1, frameskip=sizes.frameskip)
        bench = _Bench(sizes, recipe.train, clips, normalizer, theirs, args.device, args.workers,
                       args.steps, Path(folder), stack)
        use, cpu = GpuUse(), CpuUse()
        stack.enter_context(use.watching())
        variants = {label: _watched(label, variant, use, cpu, bench)
                    for label, variant in bench.variants().items()}
        measured = side_by_side(variants, rounds=args.rounds, warmup=1, on_round=on_round)
        bench.rest()
        cpu.end()
        parameters = sum(value.numel() for value in _model(sizes).parameters())
        notes = {'model': f'{parameters:,} parameters, {sizes.image_size} px',
                 'clips per step': recipe.train.batch_size, 'steps per turn': args.steps,
                 'SIGReg projections': recipe.train.sigreg_projections,
                 'data': f'{ours.num_episodes} episodes, {len(ours)} frames; plain file: one '
                         f'{args.compression} chunk per frame; both in the page cache',
                 'threads': f'{torch.get_num_threads()} of the model, {args.workers} workers of '
                            f'the plain loader, none of ours',
                 'CPU ms per sample': '; '.join(
                     f'{label} {cpu.ms_per_unit(label):.2f}' for label in variants),
                 **_use_notes(use, variants)}
    return Group(f'{name}, {args.device}', tuple(measured.values()), 'sample', notes)


@dataclass(frozen=True)
class _Bench:
    """What the variants share."""

    sizes: ModelConfig
    config: TrainConfig
    clips: Clips
    normalizer: ActionNormalizer
    chunked: Path
    device: str
    workers: int
    steps: int
    folder: Path
    stack: ExitStack
    loaders: list[Batches] = field(default_factory=list)

    def variants(self) -> dict[str, Variant]:
        """Name what is measured; the plain loop first."""
        workers = f'{self.workers} workers'
        found = {f'plain loop, {workers}': self.plain(self.workers, 'fp32')}
        if self.workers:
            found['plain loop, 0 workers'] = self.plain(0, 'fp32')
        if _bf16_pays(self.device):
            found[f'plain loop, {workers}, bf16'] = self.plain(self.workers, 'bf16')
        found['ours'] = self.ours()
        found['ours, plain loader'] = self.ours(dense=True)
        if _bf16_pays(self.device):
            found['ours, fp32'] = self.ours(precision='fp32')
        if self.device == 'cpu':   # elsewhere ours is the fused one
            found['ours, fused attention'] = self.ours(usual_attention=True)
        found['ours, whole last block'] = self.ours(usual_last_block=True)
        return found

    def plain(self, workers: int, precision: str) -> Variant:
        from lewm_sim.bench._plain_loop import PlainLoop
        loop = PlainLoop(self.sizes, self.config, self._dense(workers), self.device, precision)
        return self._variant(loop.run, {'workers': workers, 'precision': precision})

    def ours(self, *, dense: bool = False, precision: str = 'auto', **usual: bool) -> Variant:
        from lewm_model.data.clips import ClipLoader
        from lewm_sim.bench._our_loop import DenseClips, OurLoop
        import torch
        clips = (DenseClips(self._dense(self.workers, torch.uint8)) if dense else
                 ClipLoader(self.clips, self.config.batch_size, self.config.seed))
        loop = OurLoop(self.sizes, replace(self.config, precision=precision), clips, self.device,
                       self.folder / 'run', **usual)
        self.stack.callback(loop.close)
        return self._variant(loop.run, {'workers': self.workers * dense, 'precision': precision,
                                        **usual})

    def _dense(self, workers: int, dtype: torch.dtype | None = None) -> Batches:
        from lewm_sim.bench._plain_loop import Batches, DenseSamples
        import torch
        samples = DenseSamples(self.chunked, self.clips, self.normalizer, dtype or torch.float32)
        batches = Batches(samples, self.config.batch_size, workers, pin=self.device != 'cpu')
        self.loaders.append(batches)
        self.stack.callback(batches.rest)
        return batches

    def _variant(self, call: Callable[[int], object], facts: dict[str, Any]) -> Variant:
        from lewm_sim.bench.side_by_side import Variant

        return Variant(lambda: call(self.steps), units=self.steps * self.config.batch_size,
                       facts=facts, prepare=lambda: call(WARM_STEPS))

    def rest(self) -> None:
        """End all workers, so that nobody reads ahead in the turn of another."""
        for batches in self.loaders:
            batches.rest()


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


def _watched(name: str, variant: Variant, use: GpuUse, cpu: CpuUse, bench: _Bench) -> Variant:
    """Attribute processor and GPU time to the variant; wait for the GPU before the clock stops."""
    import torch

    def prepare() -> None:
        bench.rest()
        cpu.begin(name, (bench.steps + WARM_STEPS) * bench.config.batch_size)
        variant.prepare()

    def call() -> None:
        with use.during(name):
            variant.call()
            if torch.device(bench.device).type == 'cuda':
                torch.cuda.synchronize(bench.device)
    return replace(variant, call=call, prepare=prepare)


def _use_notes(use: GpuUse, variants: dict[str, Variant]) -> dict[str, str]:
    shares = {name: use.percent(name) for name in variants}
    if not any(share is not None for share in shares.values()):
        return {}
    return {'GPU busy': '; '.join(f'{name} {share:.0f} %' for name, share in shares.items()
                                  if share is not None)}


def _bf16_pays(device: str) -> bool:
    from lewm_model.training.loop import use_bf16
    return use_bf16('auto', device)


def _model(sizes: ModelConfig) -> Any:
    from lewm_model.world_model import LeWorldModel
    return LeWorldModel(sizes)
