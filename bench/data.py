"""Training clips per second from mapped frames, against random reads of a compressed file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
import tempfile
import time
from typing import Any, TYPE_CHECKING

import numpy as np

from bench.report import Group, Report
from bench.side_by_side import ratio, side_by_side, Variant

if TYPE_CHECKING:
    from lewm_model.data.clips import Clips
    from lewm_model.data.episodes import EpisodeFile

NUM_FRAMES, FRAMESKIP, SHARDS = 4, 5, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--data', default='data/reacher.h5',
                        help='data set to take frames and actions from (%(default)s)')
    parser.add_argument('--size', type=int, default=224, help='frames [px] (%(default)s)')
    parser.add_argument('--rows', type=int, default=1600,
                        help='frames of the compared files, 150 kB each at 224 px (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=32, help='clips per call (%(default)s)')
    parser.add_argument('--rounds', type=int, default=15, help='measured calls (%(default)s)')
    parser.add_argument('--workdir', type=Path,
                        help='where the compared files are meanwhile (a temporary folder)')


def run(args: argparse.Namespace) -> Report:
    """Write the same frames in both ways, then read the same kind of batch from each."""
    from lewm_model.data.shards import open_data
    from tqdm import tqdm

    data = open_data(args.data)
    with tempfile.TemporaryDirectory(prefix='lewm-bench-', dir=args.workdir) as folder, \
            tqdm(unit='round', disable=None) as bar:
        def on_round(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        layouts = _compare_layouts(data, args, Path(folder), on_round)
        bar.reset()
        return Report('data', (layouts, _compare_sizes(data, args, on_round)))


def _compare_layouts(data: EpisodeFile, args: argparse.Namespace, folder: Path,
                     on_round: Callable[[int, int], None]) -> Group:
    from lewm_model.data.episodes import EpisodeFile
    from lewm_model.data.rows import import_h5py
    from lewm_model.data.shards import join

    count = max(SHARDS, int(np.searchsorted(np.cumsum(data.ep_len), args.rows, side='right')))
    mapped = _write(data, range(count), folder / 'mapped.h5', args.size)
    codec, options = _public_codec(args.size)
    packed = _write(data, range(count), folder / 'packed.h5', args.size, options)
    shards = [_write(data, part, folder / f'shard_{index}.h5', args.size)
              for index, part in enumerate(np.array_split(np.arange(count), SHARDS))]
    sets = {'mapped': EpisodeFile.open(mapped), 'packed': EpisodeFile.open(packed),
            'shards': join([EpisodeFile.open(path) for path in shards], folder)}
    clips = {name: _clips(file) for name, file in sets.items()}
    size = args.batch_size
    with import_h5py().File(packed, 'r', rdcc_nbytes=256 << 20) as file:   # the reference's cache
        variants = {
            f'plain h5py, {codec} chunks, all {NUM_FRAMES * FRAMESKIP} rows of a clip as the '
            'reference': _plain(file, clips['packed'], size, dense=True),
            f'plain h5py, {codec} chunks, only the {NUM_FRAMES} frames of a clip':
                _plain(file, clips['packed'], size, dense=False),
            f'lewm, {codec} chunks': _ours(clips['packed'], size),
            'lewm, mapped': _ours(clips['mapped'], size),
            f'lewm, mapped, {SHARDS} shards': _ours(clips['shards'], size)}
        _require_equal(variants, size)
        measured = side_by_side(variants, rounds=args.rounds, on_round=on_round)
    _, sparse, _, ours, _ = measured.values()
    middle, low, high = ratio(sparse, ours)
    sizes = {name: path.stat().st_size for name, path in (('mapped', mapped), ('packed', packed))}
    return Group(f'Training clips ({NUM_FRAMES} frames of {args.size} px, {FRAMESKIP} actions '
                 f'each), batches of {size}', tuple(measured.values()), 'clip', {
                     'rows': len(sets['mapped']), 'clips': len(clips['mapped']),
                     'mapped file': f'{sizes["mapped"] / 1e6:.0f} MB',
                     'compressed file': f'{sizes["packed"] / 1e6:.0f} MB, '
                                        f'{sizes["packed"] / sizes["mapped"]:.2f} of it',
                     'mapped against only the frames of a clip':
                         f'{middle:.1f} ({low:.1f}-{high:.1f}) times',
                     'frames': 'equal in all variants; files in the page cache, one process'})


def _compare_sizes(data: EpisodeFile, args: argparse.Namespace,
                   on_round: Callable[[int, int], None]) -> Group:
    """Time whole epochs of 1/16, 1/4 and all of the data set as it is, in processor time.

    Seconds of a machine that does other things too would say little about a few percent.
    """
    from lewm_model.data.clips import ClipLoader

    variants = {}
    for factor in (1, 4, 16):
        clips = _clips(data, range(max(2, data.num_episodes * factor // 16)))

        def epoch(clips: Clips = clips) -> None:
            loader = ClipLoader(clips, args.batch_size, seed=0)
            for _ in range(loader.batches_per_epoch):
                next(loader)
        variants[f'{factor} x: {len(clips)} clips'] = Variant(
            epoch, units=len(clips) // args.batch_size * args.batch_size)
    measured = side_by_side(variants, rounds=max(1, args.rounds // 2), warmup=1,
                            on_round=on_round, clock=time.process_time)
    seconds = [item.median_s for item in measured.values()]
    return Group(f'One epoch, {data.pixels.shape[1]} px, order drawn and every clip gathered, '
                 'processor time', tuple(measured.values()), 'clip', {
                     'seconds': ', '.join(f'{value:.3f}' for value in seconds),
                     'of the first': ', '.join(f'{value / seconds[0]:.2f}' for value in seconds)})


def _clips(file: EpisodeFile, episodes: Any = None) -> Clips:
    from lewm_model.data.clips import Clips
    from lewm_model.preprocess import ActionNormalizer

    return Clips(file, ActionNormalizer.fit(file.action), episodes, num_frames=NUM_FRAMES,
                 frameskip=FRAMESKIP)


def _ours(clips: Clips, size: int) -> Variant:
    from lewm_model.data.clips import ClipLoader

    loader = ClipLoader(clips, size, seed=0)
    return Variant(lambda: next(loader).frames, units=size)


def _plain(file: Any, clips: Clips, size: int, dense: bool) -> Variant:
    """Read clip by clip through h5py, in the same order as `_ours`."""
    from lewm_model.data.clips import ClipLoader
    import torch

    loader = ClipLoader(clips, size, seed=0)
    starts, epoch = clips.starts, [0, 0]

    def call() -> torch.Tensor:
        if epoch[1] == loader.batches_per_epoch:
            epoch[:] = epoch[0] + 1, 0
        order = np.random.default_rng([0, epoch[0]]).permutation(len(starts))
        samples, pixels, action = [], file['pixels'], file['action']
        for start in starts[order[epoch[1] * size:(epoch[1] + 1) * size]]:
            start, end = int(start), int(start) + NUM_FRAMES * FRAMESKIP
            # One by one: a slice with a step costs h5py more than all rows between.
            frames = pixels[start:end][::FRAMESKIP] if dense else np.stack(
                [pixels[row] for row in range(start, end, FRAMESKIP)])
            samples.append((torch.from_numpy(frames), torch.from_numpy(action[start:end])))
        epoch[1] += 1
        torch.stack([actions for _, actions in samples])
        return torch.stack([frames for frames, _ in samples])
    return Variant(call, units=size)


def _require_equal(variants: dict[str, Variant], size: int) -> None:
    """Make sure that all variants read the same clips; what is compared must be equal."""
    from lewm_model.errors import DatasetError

    first, *others = (variant.call() for variant in variants.values())
    if len(first) != size or not all((first == other).all() for other in others):
        raise DatasetError('the compared layouts gave different frames')


def _public_codec(size: int) -> tuple[str, dict[str, Any]]:
    """Return how the public files are compressed, or gzip where Blosc is not installed."""
    chunks = {'chunks': (1, size, size, 3)}
    try:
        import hdf5plugin
    except ImportError:
        return 'gzip', {**chunks, 'compression': 'gzip'}
    return 'Blosc', {**chunks, **hdf5plugin.Blosc()}   # lz4, which decompresses fastest


def _write(data: EpisodeFile, episodes: Any, path: Path, size: int,
           options: dict[str, Any] | None = None) -> Path:
    """Write some episodes with frames of another size."""
    from lewm_model.data.rows import import_h5py
    from lewm_model.images.decode import resize_square

    rows = np.concatenate([np.arange(data.ep_len[episode]) + data.ep_offset[episode]
                           for episode in episodes])
    lengths = data.ep_len[list(episodes)]
    with import_h5py().File(path, 'w') as file:
        pixels = file.create_dataset('pixels', (len(rows), size, size, 3), np.uint8,
                                     **(options or {}))
        for place, row in enumerate(rows):
            pixels[place] = resize_square(np.asarray(data.pixels[row]), size)
        file['action'] = data.action[rows]
        file['ep_len'], file['ep_offset'] = lengths, np.cumsum(lengths) - lengths
    return path
