"""Measure one thing against another, side by side, in one run."""

from __future__ import annotations

import argparse
import ast
from importlib import import_module
from pathlib import Path
import sys

from lewm_model.base import resources
from lewm_model.errors import ConfigError

_NO_KINDS = ('report', 'side_by_side')


def kinds() -> dict[str, str]:
    """Map each benchmark to its one line of help.

    Raises:
        ConfigError: If this is no checkout: benchmarks are not installed.
    """
    helps = {}
    for path in sorted(_folder().glob('[!_]*.py')):
        if path.stem not in _NO_KINDS:
            text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
            helps[path.stem] = text.partition('\n')[0].replace('%', '%%')
    return helps


def _folder() -> Path:
    """Return `bench/` of the checkout and make it importable, also for processes started here."""
    for root in [*resources.roots(), Path.cwd()]:
        if (root / 'bench' / 'side_by_side.py').is_file():
            if str(root) not in sys.path:
                sys.path.append(str(root))
            return root / 'bench'
    raise ConfigError('benchmarks are not installed, they are in the folder bench of a checkout; '
                      'clone the repository and run `lewm bench` in its folder')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every benchmark."""
    subparsers = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    for kind, help_line in kinds().items():
        subparser = subparsers.add_parser(kind, help=help_line, description=help_line,
                                          allow_abbrev=False)
        subparser.add_argument('--out', type=Path, default=Path('out/bench'),
                               help='folder of KIND.json and KIND.png (%(default)s)')
        module = import_module(f'bench.{kind}')
        module.add_arguments(subparser)
        subparser.set_defaults(run_benchmark=module.run)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the files."""
    from dataclasses import replace

    report = replace(args.run_benchmark(args), command=args.command_line)
    print(report.text())
    print(f'written: {report.write(args.out)}')
    return 0
