"""A whole evaluation: pairs by a protocol, planners and floors on them, numbers with spreads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
import os
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_model.held_out import HeldOut, require_same_source
from lewm_sim.evaluate.jobs import Bench, make_jobs, run_all, Setup
from lewm_sim.evaluate.pairs import Pair, sample_pairs, varied
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.evaluate.scores import comparisons, score
from lewm_sim.evaluate.trials import FLOORS, run_fleet
from lewm_sim.look import check_factors
from lewm_sim.tasks import load_task, Task
import numpy as np

PLANNER = 'planner'
_FEW_TRIALS = 50       # take less long than starting processes
_TIMED_PAIRS = 3       # on which single plans are timed, if plans were made for many at once


@dataclass(frozen=True)
class Settings:
    """What an evaluation does."""

    protocol: str = 'held-out'        # see `protocols`
    count: int = 50                   # pairs
    part: str = ''                    # of the held-out episodes, see `HeldOut.part`; '': report,
    #                                   or all where there are too few to divide
    goal_offset: int | None = None    # control steps from start to goal; None: the task's
    budget: int | None = None         # control steps allowed; None: the task's
    seed: int = 42                    # of pairs and floors
    seeds: int = 3                    # of the planner, from `PlanConfig.seed` on
    batch: int = 32                   # pairs that are planned for at once; 1: one plan at a time
    workers: int = 0                  # processes; 0: one per processor, one for few trials
    threads: int = 1                  # of torch, in each
    backend: str = 'torch'            # engine, see `engines.registry`
    new_data: bool = False            # see `HeldOut`
    vary: Mapping[str, float] = field(default_factory=dict)   # strengths, see `lewm_sim.look`

    def __post_init__(self) -> None:
        protocol(self.protocol)
        check_factors(self.vary)
        for name, least in (('count', 1), ('seeds', 1), ('batch', 1), ('workers', 0),
                            ('threads', 1)):
            if getattr(self, name) < least:
                raise ConfigError(f'{name} must be at least {least}, got {getattr(self, name)}')
        for name in ('goal_offset', 'budget'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f'{name} must be at least 1, got {value}')


def evaluate(bundle: Bundle, data: EpisodeFile,
             plans: PlanConfig | Mapping[str, PlanConfig] | None = None,
             settings: Settings | None = None, *,
             report: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Judge one planner, or several on the same pairs, beside all floors.

    Args:
        bundle: What is judged.
        data: The set it was trained from, unless `settings.new_data`.
        plans: Planner settings, by name if several; None: the bundle's own.
        settings: Protocol and effort.
        report: Told the trials done, and how many there are.

    Returns:
        Plain values: protocol, one score per policy and tolerance, comparisons of the first
        planner with the others, plan times, every trial.

    Raises:
        ConfigError: If the bundle's task is not a simulated one.
        DatasetError: If the data cannot serve.
        LewmError: If the backend cannot run here or does not agree with the model.
    """
    settings = settings or Settings()
    named = plans if isinstance(plans, Mapping) else {PLANNER: plans or bundle.plan_config}
    rules = protocol(settings.protocol)
    episodes, part = _episodes(bundle, data, settings)
    task = load_task(bundle.task)
    tolerances = rules.tolerances(task.facts)
    offset = settings.goal_offset or task.facts.goal_offset
    budget = settings.budget or task.facts.budget
    image_size = int(data.pixels.shape[1])
    world = task.make_world(image_size)
    pairs = sample_pairs(data, episodes, task, world, count=settings.count, goal_offset=offset,
                         seed=settings.seed,
                         unsolved_by=tolerances[0] if rules.unsolved_only else None)
    if settings.vary:
        pairs = varied(pairs, task, world, settings.vary, settings.seed)
    world.close()
    setup = Setup(bundle, dict(named), settings.backend, image_size, budget, settings.seed,
                  settings.threads)
    jobs = make_jobs([*named, *FLOORS], pairs, seeds=settings.seeds, batch=settings.batch)
    done, total = 0, sum(len(job.pairs) for job in jobs)
    report(0, total)

    def count(job: Any) -> None:
        nonlocal done
        done += len(job.pairs)
        report(done, total)

    results = run_all(setup, jobs, settings.workers or _workers(settings, named), count)
    first = next(iter(named))
    seconds, backend = _plan_seconds(setup, task, pairs, results, first, settings)
    names = {index: data.ep_id[index] for index in {pair.episode for pair in pairs}}
    return {
        'task': task.name, 'model_id': bundle.model_id, 'protocol': rules.name, 'part': part,
        'pairs': settings.count, 'episodes': len(names), 'goal_offset': offset,
        'budget': budget, 'seed': settings.seed, 'planner_seeds': settings.seeds,
        'batch': settings.batch, 'threads': settings.threads, 'backend': backend,
        'plan': named[first].to_dict(),
        **({'vary': dict(settings.vary)} if settings.vary else {}),
        **({'plans': {name: plan.to_dict() for name, plan in named.items()}}
           if len(named) > 1 else {}),
        'plan_seconds_median': float(np.median(seconds)),
        'plan_seconds_p95': float(np.quantile(seconds, 0.95)),
        'scores': [score(name, runs, tolerance).to_dict()
                   for name, runs in results.items() for tolerance in tolerances],
        'comparisons': comparisons(results, list(named), tolerances[0]),
        'trials': {name: [{'planner_seed': number, **trial.to_dict(),
                           'episode': names[trial.episode]}
                          for number, trials in enumerate(runs) for trial in trials]
                   for name, runs in results.items()},
    }


def _workers(settings: Settings, plans: Mapping[str, PlanConfig]) -> int:
    """Return how many processes pay for what it takes to start them."""
    trials = settings.count * settings.seeds * len(plans)
    return 1 if trials < _FEW_TRIALS else os.cpu_count() or 1


def _episodes(bundle: Bundle, data: EpisodeFile, settings: Settings) -> tuple[np.ndarray, str]:
    """Return which episodes pairs come from, and the name of that part of the data."""
    if not bundle.task:
        raise ConfigError(f'model {bundle.model_id} has no simulated task, it was trained on '
                          f'recordings of robot {bundle.robot}: closed-loop success can only be '
                          f'measured in a simulation; see what it knows with lewm analyse, or '
                          f'drive the robot')
    if not protocol(settings.protocol).held_out:
        if settings.part or settings.new_data:
            raise ConfigError(f'protocol {settings.protocol!r} uses all episodes of the file: '
                              f'leave --part and --new-data away, or choose another --protocol')
        require_same_source(bundle, data)
        return np.arange(len(data.ep_len)), 'all episodes'
    held_out = HeldOut(bundle, data, new_data=settings.new_data)
    part = settings.part or ('report' if len(held_out.held_out) > 1 else 'all')
    return held_out.part(part), part


def _plan_seconds(setup: Setup, task: Task, pairs: list[Pair], results: Mapping[str, Any],
                  name: str, settings: Settings) -> tuple[np.ndarray, str]:
    """Return what single plans took, in this process, and the engine that made them."""
    bench = Bench(replace(setup, plans={name: setup.plans[name]}))
    fleet = bench.fleet(name)
    if settings.batch == 1:
        trials = [trial for run in results[name] for trial in run]
    else:
        world = task.make_world(setup.image_size)
        trials = [trial for pair in pairs[:_TIMED_PAIRS]
                  for trial in run_fleet(fleet, task, [world], [pair], setup.budget)]
        world.close()
    return np.concatenate([trial.plan_seconds for trial in trials]), fleet.backend
