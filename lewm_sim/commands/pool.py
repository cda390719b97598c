"""Pool the results of several trainings of one recipe, judged on the same pairs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


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
    from lewm_model.bundles.evaluation_table import evaluation_table
    from lewm_sim.evaluate.against import compare_with
    from lewm_sim.evaluate.pool import pool

    results = pool(args.results)
    if args.against:
        results['comparisons'] += compare_with(results, args.against)
    print('\n'.join(evaluation_table(results)))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
        print(f'written to {args.out}')
    return 0
