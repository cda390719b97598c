"""Measure one thing against another, side by side, in one run."""

from __future__ import annotations

import argparse
import ast
from importlib import import_module
from pathlib import Path

import lewm_sim.bench

_NO_KINDS = ('report', 'side_by_side')


def kinds() -> dict[str, str]:
    """Map each benchmark to its one line of help."""
    helps = {}
    for folder in lewm_sim.bench.__path__:
        for path in sorted(Path(folder).glob('[!_]*.py')):
            if path.stem not in _NO_KINDS:
                text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
                helps[path.stem] = text.partition('\n')[0].replace('%', '%%')
    return helps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every benchmark."""
    subparsers = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    for kind, help_line in kinds().items():
        subparser = subparsers.add_parser(kind, help=help_line, description=help_line)
        subparser.add_argument('--out', type=Path, default=Path('out/bench'),
                               help='folder of KIND.json and KIND.png (%(default)s)')
        module = import_module(f'lewm_sim.bench.{kind}')
        module.add_arguments(subparser)
        subparser.set_defaults(run_benchmark=module.run)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the files."""
    from dataclasses import replace

    report = replace(args.run_benchmark(args), command=args.command_line)
    print(report.text())
    print(f'written: {report.write(args.out)}')
    return 0
