"""What commands share that judge policies: a comparison, the table, the file."""

from __future__ import annotations

import argparse
import json
from typing import Any


def give_results(results: dict[str, Any], args: argparse.Namespace) -> None:
    """Compare with `--against`, whose comparison joins the results; print, and write `--out`."""
    from lewm_model.bundles.evaluation_table import evaluation_table
    from lewm_sim.evaluate.against import compare_with

    if args.against:
        results['comparisons'] += compare_with(results, args.against)
    print('\n'.join(evaluation_table(results)))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
        print(f'written to {args.out}')
