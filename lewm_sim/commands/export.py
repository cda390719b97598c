"""Write a bundle's graphs as files for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.config import PlanConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of a bundle')
    parser.add_argument('--backend', choices=('onnx', 'tensorrt'), default='onnx',
                        help='format of the files; tensorrt fills the cache, see $LEWM_CACHE '
                             '(default: %(default)s)')
    parser.add_argument('--out', type=Path, help='onnx: new folder for the files')
    parser.add_argument('--precision', choices=('fp16', 'bf16', 'fp32'), default='fp16',
                        help='tensorrt: of the matrix products (default: %(default)s)')
    parser.add_argument('--target', help='tensorrt: compute capability to build for, as sm89 '
                                         '(default: the GPU here)')
    parser.add_argument('--frame-size', type=_size, metavar='HxW',
                        help="raw frames [px]; resizing is then part of the graph (default: the "
                             "model's own size)")
    parser.add_argument('--horizon', type=int, help="blocks imagined (default: the bundle's)")
    parser.add_argument('--history', type=int,
                        help="longest context, one graph for each length (default: the bundle's)")
    parser.add_argument('--cost', choices=('last', 'all'),
                        help="what the rollout's costs are (default: the bundle's)")


def run(args: argparse.Namespace) -> int:
    """Export, check and describe."""
    from dataclasses import replace

    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.errors import ConfigError

    bundle = Bundle.load(find_named('models', args.bundle))
    given = {name: getattr(args, name) for name in ('horizon', 'history', 'cost')
             if getattr(args, name) is not None}
    if 'horizon' in given:   # what is executed of a plan does not matter here
        given |= {'receding_horizon': 1, 'replan_steps': None}
    config = replace(bundle.plan_config, **given)
    if args.backend == 'tensorrt':
        if args.out or args.frame_size:
            raise ConfigError('--out and --frame-size are for --backend onnx; engines are built '
                              'into the cache, set LEWM_CACHE to choose its folder')
        return _prebuild(bundle, config, args)
    if args.out is None:
        raise ConfigError('--backend onnx needs --out, a new folder for the files')
    return _export_onnx(bundle, config, args)


def _prebuild(bundle: Bundle, config: PlanConfig, args: argparse.Namespace) -> int:
    from lewm_model.engines.nvidia.tensorrt_engine import prebuild

    for path in prebuild(bundle, config, args.precision, args.target):
        print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')
    return 0


def _export_onnx(bundle: Bundle, config: PlanConfig, args: argparse.Namespace) -> int:
    from lewm_model.engines.onnx.export_files import export_files, INFO_FILE

    info = export_files(bundle, args.out, config, args.frame_size)
    for name, facts in info['files'].items():
        print(f'{args.out / name}: {facts["bytes"] / 1e6:.1f} MB, sha256 {facts["sha256"][:12]}')
    parity = info['parity']
    print(f'agreement with eager fp32: encode error {parity["encode_error"]:.2g}, rollout error '
          f'{parity["rollout_error"]:.2g}, cost rank correlation '
          f'{parity["rank_correlation"]:.6f}; all facts are in {args.out / INFO_FILE}')
    return 0


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition('x')
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f'needs HEIGHTxWIDTH, as 480x640, got {text!r}')
    return int(height), int(width)
