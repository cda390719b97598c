"""Measure which latent distance counts as reached, against a task's rule of success."""

from __future__ import annotations

import argparse

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    open_data_argument,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle of a simulated task')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--of', default='', metavar='TOLERANCE',
                        help="the tolerance of task.yaml to measure against (default: the task's "
                             'own)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of frames (0)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')
    parser.add_argument('--dry-run', action='store_true', help='only print it')


def run(args: argparse.Namespace) -> int:
    """Measure, put the result into the bundle and print it."""
    from dataclasses import replace

    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import write_card
    from lewm_model.held_out import HeldOut
    from lewm_model.resources import find_named
    from lewm_sim.evaluate.near_enough import measure_near_enough
    from lewm_sim.task_of import task_of
    import torch

    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    task = task_of(bundle)
    tolerance = task.facts.tolerance(args.of)
    subject = HeldOut(bundle, open_data_argument(args), new_data=args.new_data)
    found = measure_near_enough(subject, task, tolerance, seed=args.seed)
    print(f'a goal is reached below a squared latent distance of {found.tolerance:.4g} (so far '
          f'{bundle.goal_tolerance:.4g}): of pairs of frames {found.found:.0%} of {found.inside} '
          f'within half of {tolerance} are nearer, and {found.false:.0%} of {found.outside} '
          f'between one and two of it')
    if args.dry_run:
        return 0
    commands = [*bundle.provenance.get('commands', []), args.command_line]
    bundle = replace(bundle, goal_tolerance=found.tolerance,
                     provenance={**bundle.provenance, 'commands': commands})
    bundle.save(folder)
    write_card(bundle, folder)
    print(f'recorded in {folder}')
    return 0
