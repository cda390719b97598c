"""Write a bundle's graphs as files for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of a bundle')
    parser.add_argument('--backend', choices=('onnx',), default='onnx',
                        help='format of the files (default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='new folder for the files')
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

    from lewm_model.bundle import Bundle
    from lewm_model.engines.export_files import export_files, INFO_FILE
    from lewm_model.resources import find_named

    bundle = Bundle.load(find_named('models', args.bundle))
    given = {name: getattr(args, name) for name in ('horizon', 'history', 'cost')
             if getattr(args, name) is not None}
    if 'horizon' in given:   # what is executed of a plan does not matter here
        given['receding_horizon'] = 1
    config = replace(bundle.plan_config, **given)
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
