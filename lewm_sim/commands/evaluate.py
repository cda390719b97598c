"""Measure closed-loop success of a bundle in simulation."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    open_data_argument,
)
from lewm_sim.commands._results import give_results

if TYPE_CHECKING:
    from lewm_model.config import PlanConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--protocol', default='held-out',
                        help='held-out: pairs of episodes that training never saw; strict: of '
                             'these, pairs that are not solved at the start; reference: pairs of '
                             'all episodes of the file, as published numbers were made '
                             '(held-out)')
    parser.add_argument('--part', default='', choices=('all', 'choose', 'report'),
                        help='part of the held-out episodes (report, or all if there is but one)')
    parser.add_argument('--episodes', type=int, default=50, help='pairs to try (50)')
    parser.add_argument('--goal-offset', type=int,
                        help="control steps from start to goal (the task's)")
    parser.add_argument('--budget', type=int, help="control steps per pair (the task's)")
    parser.add_argument('--seed', type=int, default=42,
                        help='of the choice of pairs and of the floors (42)')
    parser.add_argument('--planner-seeds', type=int, default=3,
                        help='how often every pair is tried, each time with other random numbers '
                             'of the planner (3)')
    parser.add_argument('--plan', action='append',
                        help='planner settings to use instead of the recommended ones: a YAML '
                             'file or a shipped name (cem, cem_prior, prior); may be repeated: '
                             'the others are compared with the first, pair by pair')
    parser.add_argument('--budgets', metavar='SxI,...',
                        help='try every search at several budgets, candidates x iterations, such '
                             'as 10x1,30x3,100x5')
    parser.add_argument('--curve', type=Path, metavar='PNG',
                        help='draw success over operations per control step, with the curve of '
                             '--against beside it')
    parser.add_argument('--vary', action='append', default=[], metavar='SWITCH=STRENGTH',
                        help='let every pair look otherwise than in training, goal picture '
                             'included: colours=0.1, light=0.3, camera=0.02 (docs/tasks.md); may '
                             'be repeated')
    parser.add_argument('--goals', default='picture', metavar='WAY,...',
                        help='how goals are given: picture; quantities, without a picture, by '
                             'what the simulator says of the goal; counted, a picture of which '
                             'only the quantities count; several are compared with the first, '
                             'pair by pair, such as picture,quantities (picture)')
    parser.add_argument('--quantities', default='', metavar='NAME,...',
                        help='which ones goals name (all that bundle and task know)')
    parser.add_argument('--goal-photo', action='append', default=[], metavar='CHANGE=NUMBER',
                        help='take the goal pictures otherwise than the robot sees: '
                             'exposure=0.7, gamma=1.5, shift=2 pixels; may be repeated')
    parser.add_argument('--goal-correction', default='off', metavar='WHICH',
                        help='correct goal pictures by the first frame, as the planner does live: '
                             'off, exposure, or all, which is a shift of the camera too (off)')
    parser.add_argument('--late', type=int, default=0, metavar='STEPS',
                        help='let plans count so many control steps after the frame that they '
                             'are made on, as those of a robot do, whose planner takes time (0)')
    parser.add_argument('--against', type=Path, metavar='JSON',
                        help='compare with the results of another model, from its --out')
    parser.add_argument('--backend', default='torch',
                        help='engine that runs the model: torch, torch-tuned:bf16, openvino, '
                             'auto, ... as in docs/engines.md (torch)')
    parser.add_argument('--batch', type=int, default=32,
                        help='pairs that are planned for at once; 1: one plan at a time, as a '
                             'robot has it (32)')
    parser.add_argument('--workers', type=int, default=0,
                        help='processes (one per processor, one for few trials)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of each (1)')
    parser.add_argument('--device', default='cpu', help='torch device of the model (cpu)')
    parser.add_argument('--out', type=Path, help='write the results as JSON here')
    parser.add_argument('--save', action='store_true',
                        help='record the results in the bundle and on its card')
    parser.add_argument('--recommend', action='store_true',
                        help='with --plan and --save: the bundle recommends these settings then; '
                             'of several, those that do best on one half of the held-out '
                             'episodes, and what is recorded comes from the other half')


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, write JSON."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import write_card
    from lewm_model.errors import ConfigError
    from lewm_sim.evaluate import evaluate, Settings
    from lewm_sim.evaluate.choose import choose
    from lewm_sim.evaluate.curve import draw_curves
    from lewm_sim.evaluate.effort import at_budgets, parse_budgets
    from lewm_sim.evaluate.photograph import parse_changes
    from lewm_sim.evaluate.run import PLANNER
    from lewm_sim.look import parse_factors
    import torch

    if args.save and (args.vary or args.goal_photo or args.goals != 'picture'
                      or args.goal_correction != 'off' or args.late):
        raise ConfigError('--save records how well the model goes to pictures in the world that '
                          'it was trained for, by plans that take no time; leave --vary, --goals, '
                          '--goal-photo, --goal-correction and --late away, or write the results '
                          'with --out')
    if args.budgets and args.recommend:
        raise ConfigError('--budgets shows what a budget is worth; choose one with --plan and '
                          '--recommend, or leave --recommend away')
    if args.recommend and not (args.plan and args.save):
        raise ConfigError('--recommend needs --plan, whose settings the bundle shall recommend, '
                          'and --save')
    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    bundle, plans = Bundle.load(folder, args.device), _plans(args.plan)
    if args.budgets:
        plans = at_budgets(plans or {PLANNER: bundle.plan_config}, parse_budgets(args.budgets))
    settings = Settings(
        protocol=args.protocol, part=args.part, count=args.episodes,
        goal_offset=args.goal_offset, budget=args.budget, seed=args.seed,
        seeds=args.planner_seeds, batch=args.batch, threads=args.threads, backend=args.backend,
        workers=args.workers if args.device == 'cpu' else 1, new_data=args.new_data,
        late=args.late, vary=parse_factors(args.vary), photo=parse_changes(args.goal_photo),
        goal_correction=args.goal_correction,
        goals=tuple(args.goals.split(',')),
        names=tuple(name.strip() for name in args.quantities.split(',') if name.strip()))
    chosen = ''
    with _bar() as report:
        if args.recommend:
            chosen, results = choose(bundle, open_data_argument(args), plans, settings,
                                     report=report)
        else:
            results = evaluate(bundle, open_data_argument(args), plans or None, settings,
                               report=report)
    give_results(results, args)
    if args.curve:
        others = [(args.against.stem, json.loads(args.against.read_text(encoding='utf-8')))
                  ] if args.against else []
        print(f'drawn in {draw_curves([(folder.name, results), *others], args.curve)}')
    if args.save:
        summary = {key: value for key, value in results.items() if key != 'trials'}
        bundle = replace(bundle, metrics={**bundle.metrics, 'evaluation': summary},
                         plan_config=plans[chosen] if chosen else bundle.plan_config)
        bundle.save(folder)
        write_card(bundle, folder)
        print(f'recorded in {folder}' + (f', which recommends {chosen} now' if chosen else ''))
    return 0


def _plans(names: list[str] | None) -> dict[str, PlanConfig]:
    """Read planner settings; each is called by what was asked for."""
    from lewm_model.base.resources import find_named
    from lewm_model.config import PlanConfig
    from lewm_model.errors import ConfigError

    found = {Path(name).stem: PlanConfig.from_yaml(find_named('config/plan', name, '.yaml'))
             for name in names or []}
    if len(found) < len(names or []):
        raise ConfigError(f'--plan names two settings alike ({", ".join(names)}); rename a file')
    return found


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    from tqdm import tqdm
    with tqdm(unit='trial', dynamic_ncols=True) as bar:
        def report(done: int, total: int) -> Any:
            if done < bar.n or bar.total != total:
                bar.reset(total)
            bar.update(done - bar.n)
        yield report
