"""One plan and what it reaches: the smallest budget of each planner that is not clearly worse."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, replace
import importlib.util
import logging
from typing import Any

from lewm_model.base import resources
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.engines.choose import make_engine
from lewm_model.engines.registry import AUTO, REFERENCE
from lewm_model.errors import EngineError
from lewm_model.held_out import HeldOut
from lewm_model.planning.fleet import Fleet
from lewm_model.planning.policy import Policy
from lewm_sim.evaluate.pairs import Pair, sample_pairs
from lewm_sim.evaluate.scores import RULES, score, successes
from lewm_sim.evaluate.statistics import compare
from lewm_sim.evaluate.trials import FLOORS, run_fleet, run_floor, Trial
from lewm_sim.tasks import load_task, Task, Tolerance
import numpy as np
import torch
from tqdm import tqdm

from bench._peer import NAME
from bench._rivals import dtype_of, PEER_BF16, Rival, rival_variant
from bench._subject import Subject
from bench.report import Group, Report, STEPS
from bench.side_by_side import Measured, side_by_side, Variant

_LOG = logging.getLogger(__name__)
REFERENCE_BUDGET = PlanConfig()      # 300 x 30 x 5, independent noise, last step, whole horizon
# Candidates x iterations of the searches; starts x steps of the gradient.
_SEARCHES = ((100, 5), (64, 3), (32, 3), (16, 3))
_DESCENTS = ((16, 10), (4, 10))
_TOGETHER = 16                       # pairs that are judged in one search


@dataclass(frozen=True)
class Judged:
    """One planner at one budget, or a floor."""

    name: str
    config: PlanConfig
    backend: str                       # with its precision
    trials: tuple[Trial, ...]
    tolerances: tuple[Tolerance, ...]
    dtype: str                         # of the products

    def not_clearly_worse(self, other: Judged) -> bool:
        """Whether no paired comparison with the other, on the same pairs, is significant."""
        episodes = [trial.episode for trial in self.trials]
        found = [compare(*(successes([one.trials], tolerance, rule) for one in (self, other)),
                         episodes) for tolerance in self.tolerances for rule in RULES]
        return all(one.difference >= 0 or one.p >= 0.05 for one in found)

    def facts(self) -> dict[str, Any]:
        """Return success in per cent by tolerance: any step, last step."""
        scores = [score(self.name, [self.trials], tolerance) for tolerance in self.tolerances]
        return {item.tolerance: f'{100 * item.reached.mean:.0f} / {100 * item.final.mean:.0f}'
                for item in scores}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--model', default='reacher-nano')
    parser.add_argument('--data', required=True, help='data set (HDF5) the bundle was made from')
    parser.add_argument('--episodes', type=int, default=50,
                        help='held-out pairs, as many again to choose by (%(default)s)')
    parser.add_argument('--seed', type=int, default=42)
    parser.add_argument('--backend', default=AUTO, help='engine of our planners (%(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='of torch, for all (%(default)s)')
    parser.add_argument('--rounds', type=int, default=10, help='of timing (%(default)s)')


def run(args: argparse.Namespace) -> Report:
    """Judge every planner on the same pairs, then time them in turns.

    The fastest that is not clearly worse is found on one half of the held-out episodes; all
    success that is shown is of the other.
    """
    torch.set_num_threads(args.threads)
    subject, data = Subject.load(args.model), EpisodeFile.open(args.data)
    planners = {f'reference budget, {REFERENCE}': (REFERENCE_BUDGET, REFERENCE),
                f'reference budget, {REFERENCE}, replanned every block':   # what that alone brings
                (replace(REFERENCE_BUDGET, receding_horizon=1), REFERENCE)}
    planners.update({name: (config, args.backend)
                     for name, config in _planners(subject.bundle).items()})
    task, held_out = load_task(subject.bundle.task), HeldOut(subject.bundle, data)
    chosen_by, shown = (_pairs(args, task, data, held_out.part(part))
                        for part in ('choose', 'report'))
    size = int(data.pixels.shape[1])
    first, *others = _judge(subject, planners, task, size, chosen_by)
    good = [one.name for one in others if one.not_clearly_worse(first)]
    judged = _judge(subject, planners, task, size, shown)
    measured = _time(args, subject, judged)
    notes: dict[str, Any] = {'success': f'% of {args.episodes} pairs, any step / last step'}
    for one in (*judged, *_floors(args, task, size, shown)):
        notes[one.name] = ', '.join(f'{limit}: {rates}' for limit, rates in one.facts().items())
    if good:
        notes['fastest per executed step of those not clearly worse on other pairs'] = min(
            good, key=lambda name: measured[name].median_s / measured[name].facts[STEPS])
    return Report('success', (Group(f'{args.model}: one plan and what it reaches, backend '
                                    f'{args.backend}, {args.threads} threads, a process each',
                                    tuple(measured.values()), 'plan', notes),))


def _planners(bundle: Bundle) -> dict[str, PlanConfig]:
    """Return the shipped planner settings that the bundle has all for, at shrinking budgets."""
    found = {}
    for path in sorted(resources.find('config/plan').glob('*.yaml')):
        config = PlanConfig.from_yaml(path)
        if config.networks:
            if all(getattr(bundle, name) for name in config.networks):
                found[path.stem] = config
            continue
        for count, iterations in _DESCENTS if config.solver == 'gradient' else _SEARCHES:
            elites = 2 if config.solver == 'gradient' else max(3, count // 10)
            found[f'{path.stem} {count} x {iterations}'] = replace(
                config, num_candidates=count, iterations=iterations, num_elites=elites,
                keep_elites=min(config.keep_elites, elites))
    return found


def _pairs(args: argparse.Namespace, task: Task, data: EpisodeFile, episodes: np.ndarray
           ) -> list[Pair]:
    world = task.make_world(data.pixels.shape[1])
    try:
        return sample_pairs(data, episodes, task, world, count=args.episodes,
                            goal_offset=task.facts.goal_offset, seed=args.seed)
    finally:
        world.close()


def _judge(subject: Subject, planners: dict[str, tuple[PlanConfig, str]], task: Task, size: int,
           pairs: list[Pair]) -> list[Judged]:
    """Let every planner try all pairs; one that cannot run here is left out."""
    worlds, judged = task.make_worlds(_TOGETHER, size), []
    with tqdm(total=len(planners) * len(pairs), unit='pair') as bar:
        for name, (config, backend) in planners.items():
            bar.set_postfix_str(name)
            try:
                engine = make_engine(backend, subject.bundle, config)
            except EngineError as error:
                _LOG.warning('%s is left out: %s', name, error)
                bar.update(len(pairs))
                continue
            fleet = Fleet(Policy(subject.bundle, engine, config))
            trials: list[Trial] = []
            for first in range(0, len(pairs), _TOGETHER):
                part = pairs[first:first + _TOGETHER]
                trials += run_fleet(fleet, task, worlds, part, task.facts.budget)
                bar.update(len(part))
            judged.append(Judged(name, config, f'{engine.name}:{engine.precision}', tuple(trials),
                                 task.facts.all_tolerances(), engine.precision))
    worlds[0].close()
    return judged


def _floors(args: argparse.Namespace, task: Task, size: int, pairs: list[Pair]) -> list[Judged]:
    """Let those try the pairs that see nothing."""
    world = task.make_world(size)
    found = [Judged(f'floor: {name}', PlanConfig(), '', tuple(
        run_floor(name, task, world, pair, task.facts.budget,
                  np.random.default_rng([args.seed, place, number]))
        for number, pair in enumerate(pairs)), task.facts.all_tolerances(), '')
        for place, name in enumerate(FLOORS)]
    world.close()
    return found


def _time(args: argparse.Namespace, subject: Subject, judged: list[Judged]
          ) -> dict[str, Measured]:
    """Time one plan of each, frame and goal encoded, in turns and in processes of their own."""
    skip = subject.bundle.model_config.frameskip
    with ExitStack() as stack:
        def variant(name: str, config: PlanConfig, **facts: Any) -> Variant:
            return rival_variant(Rival(name, args.model, threads=args.threads, config=config),
                                 stack, **{STEPS: config.steps_per_plan(skip)}, **facts)
        variants = {}
        if importlib.util.find_spec('stable_worldmodel'):
            variants = {f'{name}, reference budget': variant(name, REFERENCE_BUDGET,
                                                             dtype=dtype_of(name, {}))
                        for name in (NAME, PEER_BF16)}
        for item in judged:
            variants[item.name] = variant(item.backend, item.config, dtype=item.dtype,
                                          **item.facts())
        return side_by_side(variants, rounds=args.rounds, warmup=2)
