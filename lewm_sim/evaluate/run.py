"""A whole evaluation: pairs by a protocol, planners and floors on them, numbers with spreads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
import os
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_sim.evaluate.effort import count_effort
from lewm_sim.evaluate.exam import set_exam, Settings
from lewm_sim.evaluate.jobs import Bench, make_jobs, run_all, Setup
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.evaluate.scores import comparisons, score
from lewm_sim.evaluate.trials import FLOORS, plain_trials, run_fleet
from lewm_sim.evaluate.ways import combine, read_errors
from lewm_sim.tasks import Task
import numpy as np

PLANNER = 'planner'
_FEW_TRIALS = 50       # take less long than starting processes
_TIMED_PAIRS = 3       # on which single plans are timed, if plans were made for many at once


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
        planner with the others, plan times, operations per decision, every trial.

    Raises:
        ConfigError: If the bundle's task is not a simulated one.
        DatasetError: If the data cannot serve.
        LewmError: If the backend cannot run here or does not agree with the model.
    """
    settings = settings or Settings()
    named = plans if isinstance(plans, Mapping) else {PLANNER: plans or bundle.plan_config}
    exam = set_exam(bundle, data, settings)
    task, pairs, tolerances = exam.task, exam.pairs, exam.tolerances
    named, ways = combine(named, settings.goals, bundle, task, settings.names)
    setup = Setup(bundle, dict(named), settings.backend, exam.image_size, exam.budget,
                  settings.seed, settings.threads, ways, settings.late)
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
    efforts = {name: {**count_effort(bundle, plan, ways[name].names).to_dict(),
                      'plan_seconds_median': float(np.median(seconds if name == first else (
                          _plan_seconds(setup, task, pairs[:1], results, name, settings)[0])))}
               for name, plan in named.items()}
    names = {index: data.ep_name[index] for index in {pair.episode for pair in pairs}}
    return {
        'task': task.name, 'model_id': bundle.model_id,
        'loss': bundle.provenance.get('loss', 'lewm'), 'protocol': settings.protocol,
        'part': exam.part, 'pairs': settings.count, 'episodes': len(names),
        'goal_offset': exam.goal_offset, 'budget': exam.budget, 'seed': settings.seed,
        'planner_seeds': settings.seeds, 'batch': settings.batch, 'threads': settings.threads,
        'backend': backend, 'plan': named[first].to_dict(),
        **({'late': settings.late} if settings.late else {}),
        **({'vary': dict(settings.vary)} if settings.vary else {}),
        **({'photo': dict(settings.photo)} if settings.photo else {}),
        **({'goal_correction': {'which': settings.goal_correction, **exam.corrections}}
           if exam.corrections else {}),
        **_goals(setup, task, pairs, names, first),
        **({'plans': {name: plan.to_dict() for name, plan in named.items()}}
           if len(named) > 1 else {}),
        'plan_seconds_median': float(np.median(seconds)),
        'plan_seconds_p95': float(np.quantile(seconds, 0.95)),
        'efforts': efforts,
        'scores': [score(name, runs, tolerance).to_dict()
                   for name, runs in results.items() for tolerance in tolerances],
        'comparisons': comparisons(results, list(named), tolerances[0]),
        'trials': {name: plain_trials(runs, names) for name, runs in results.items()},
    }


def _goals(setup: Setup, task: Task, pairs: list[Pair], episodes: Mapping[int, str], first: str
           ) -> dict[str, Any]:
    """Say how goals were given, and how wrong their pictures are read; nothing if as pictures."""
    counted = next((way.names for way in setup.ways.values() if way.names), ())
    if not counted:
        return {}
    errors = read_errors(Bench(setup).fleet(first), setup.bundle, task, pairs, counted)
    return {'goals': {name: way.kind for name, way in setup.ways.items()},
            'goal_names': list(counted),
            'read_errors': [{'episode': episodes[pair.episode], 'row': pair.row, 'errors': one}
                            for pair, one in zip(pairs, errors, strict=True)]}


def _workers(settings: Settings, plans: Mapping[str, PlanConfig]) -> int:
    """Return how many processes pay for what it takes to start them."""
    trials = settings.count * settings.seeds * len(plans)
    return 1 if trials < _FEW_TRIALS else os.cpu_count() or 1


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
                  for trial in run_fleet(fleet, task, [world], [pair], setup.budget,
                                         setup.ways.get(name), setup.late)]
        world.close()
    return np.concatenate([trial.plan_seconds for trial in trials]), fleet.backend
