"""Measure which latent distance counts as reached, against a task's rule of success."""

from __future__ import annotations

import argparse

from lewm_sim.commands._measured import add_measured_arguments, keep, open_measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_measured_arguments(parser)
    parser.add_argument('--of', default='', metavar='TOLERANCE',
                        help="the tolerance of task.yaml to measure against (default: the task's "
                             'own)')
    parser.add_argument('--dry-run', action='store_true', help='only print it')


def run(args: argparse.Namespace) -> int:
    """Measure, put the result into the bundle and print it."""
    from lewm_sim.evaluate.near_enough import measure_near_enough
    from lewm_sim.task_of import task_of

    folder, subject = open_measured(args)
    bundle, task = subject.bundle, task_of(subject.bundle)
    tolerance = task.facts.tolerance(args.of)
    found = measure_near_enough(subject, task, tolerance, seed=args.seed)
    print(f'a goal is reached below a squared latent distance of {found.tolerance:.4g} (so far '
          f'{bundle.goal_tolerance:.4g}): of pairs of frames {found.found:.0%} of {found.inside} '
          f'within half of {tolerance} are nearer, and {found.false:.0%} of {found.outside} '
          f'between one and two of it')
    if not args.dry_run:
        keep(subject, folder, args.command_line, goal_tolerance=found.tolerance)
        print(f'recorded in {folder}')
    return 0
