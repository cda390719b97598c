"""Measure closed-loop success of a bundle in simulation, on held-out episodes."""

from __future__ import annotations

import argparse
from dataclasses import replace
import json
from pathlib import Path

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    open_data_argument,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--episodes', type=int, default=50, help='pairs to try (50)')
    parser.add_argument('--goal-offset', type=int, default=25,
                        help='control steps from start to goal (25)')
    parser.add_argument('--budget', type=int, default=50, help='control steps per pair (50)')
    parser.add_argument('--seed', type=int, default=42, help='of the choice of pairs (42)')
    parser.add_argument('--plan', help='planner settings to use instead of the recommended ones: '
                                       'a YAML file or a shipped name (cem, cem_prior, prior)')
    parser.add_argument('--backend', default='torch',
                        help='engine that runs the model: torch, torch-tuned:bf16, openvino, '
                             'auto, ... as in docs/engines.md (torch)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads for the model (1)')
    parser.add_argument('--device', default='cpu', help='torch device of the model (cpu)')
    parser.add_argument('--out', type=Path, help='write the results as JSON here')
    parser.add_argument('--save', action='store_true',
                        help='record the results in the bundle and on its card')
    parser.add_argument('--recommend', action='store_true',
                        help='with --plan and --save: the bundle recommends these settings then')


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write JSON."""
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import evaluation_table, write_card
    from lewm_model.config import PlanConfig
    from lewm_model.errors import ConfigError
    from lewm_model.resources import find_named
    from lewm_sim.evaluate import evaluate
    import torch
    from tqdm import tqdm

    if args.recommend and not (args.plan and args.save):
        raise ConfigError('--recommend needs --plan, whose settings the bundle shall recommend, '
                          'and --save')
    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder, args.device)
    plan_config = args.plan and PlanConfig.from_yaml(
        find_named('config/plan', args.plan, '.yaml'))
    with tqdm(total=args.episodes, unit='pair', dynamic_ncols=True) as bar:
        results = evaluate(bundle, open_data_argument(args), plan_config,
                           count=args.episodes, goal_offset=args.goal_offset,
                           budget=args.budget, seed=args.seed, backend=args.backend,
                           new_data=args.new_data,
                           report=lambda: bar.update())
    results['threads'] = args.threads
    print('\n'.join(evaluation_table(results)))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
        print(f'written to {args.out}')
    if args.save:
        summary = {key: value for key, value in results.items() if key != 'trials'}
        bundle = replace(bundle, metrics={**bundle.metrics, 'evaluation': summary},
                         plan_config=plan_config if args.recommend else bundle.plan_config)
        bundle.save(folder)
        write_card(bundle, folder)
        print(f'recorded in {folder}')
    return 0
