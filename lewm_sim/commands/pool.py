"""Pool the results of several trainings of one recipe, judged on the same pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lewm_sim.commands._results import give_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('results', nargs='+', type=Path, metavar='JSON',
                        help='what `lewm evaluate --out` wrote, one file of each training')
    parser.add_argument('--against', type=Path, metavar='JSON',
                        help='compare with other results, pair by pair: from --out of `lewm pool` '
                             'or of `lewm evaluate`')
    parser.add_argument('--out', type=Path, help='write the pooled results as JSON here')


def run(args: argparse.Namespace) -> int:
    """Pool, print a table, write JSON."""
    from lewm_sim.evaluate.pool import pool

    give_results(pool(args.results), args)
    return 0
