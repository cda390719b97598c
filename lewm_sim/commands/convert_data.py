"""Store a data set another way: mapped for training, compressed for archives, or smaller."""

from __future__ import annotations

import argparse
from pathlib import Path
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', type=Path, metavar='IN',
                        help='data set (HDF5), ours or a public one; it is only read')
    parser.add_argument('out', type=Path, metavar='OUT', help='the new file')
    parser.add_argument('--storage', required=True, choices=('mapped', 'compressed'),
                        help='mapped: contiguous frames that training maps into memory; '
                             'compressed: one frame per chunk, for archives')
    parser.add_argument('--codec', choices=('gzip', 'blosc'), default='gzip',
                        help='of --storage compressed: gzip, or blosc (zstd; smaller and faster, '
                             'needs hdf5plugin wherever it is read) (default: %(default)s)')
    parser.add_argument('--size', type=int, metavar='PX',
                        help='resize frames to PX x PX (default: keep them)')
    parser.add_argument('--robot', help='name or YAML file of the robot, for what a public set '
                                        'does not say: names, limits, rate')
    parser.add_argument('--force', action='store_true', help='replace an existing OUT')


def run(args: argparse.Namespace) -> int:
    """Convert with a progress bar, compare, and say what it gained."""
    from lewm_model.data.repack import repack
    from lewm_model.robots.robot import RobotDescription
    from tqdm import tqdm

    started_s = time.monotonic()
    shown = ''
    with tqdm(unit='frame', disable=None) as bar:
        def show(phase: str, done: int, total: int) -> None:
            nonlocal shown
            if phase != shown:
                shown = phase
                bar.reset(total)
                bar.set_description_str(phase, refresh=False)
            bar.update(done - bar.n)

        result = repack(
            args.source, args.out, storage=args.storage, codec=args.codec, image_size=args.size,
            robot=None if args.robot is None else RobotDescription.from_yaml(args.robot),
            force=args.force, attributes={'convert_command': args.command_line}, on_rows=show)
    print(f'{args.source} ({result.source_bytes / 1e6:.1f} MB) -> {args.out} '
          f'({result.out_bytes / 1e6:.1f} MB, {result.out_bytes / result.source_bytes:.3f} of it) '
          f'in {time.monotonic() - started_s:.1f} s: {result.rows} rows in {result.episodes} '
          f'episodes, read back and found equal; sha256 of the frames {result.pixels_sha256}')
    return 0
