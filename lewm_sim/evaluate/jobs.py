"""Trials in several processes: which pairs go together, and what a worker keeps between jobs.

The results do not depend on the number of workers: a batch of pairs is one job, its random
numbers come from the planner seed and its place among the batches. With batches of one, a seed's
pairs are one job instead, one after the other on one stream of random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
import tempfile

from lewm_model.assemble import make_policy
from lewm_model.base.workers import run_jobs
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import SimulationError
from lewm_model.planning.fleet import Fleet
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.evaluate.trials import FLOORS, run_fleet, run_floor, Trial
from lewm_sim.evaluate.ways import Way
from lewm_sim.tasks import load_task
from lewm_sim.world import World
import numpy as np
import torch

STILL = 'still'      # the floor that is the same for every seed


@dataclass(frozen=True)
class Setup:
    """What all jobs of an evaluation share."""

    bundle: Bundle | None             # None on the way to a worker, which reads it from a folder
    plans: dict[str, PlanConfig]      # by name
    backend: str
    image_size: int                   # of rendered frames [px]
    budget: int
    seed: int                         # of the floors
    threads: int                      # of torch, in each process
    ways: dict[str, Way] = field(default_factory=dict)   # how goals are given, by name of the
    #                                   plan; missing: as pictures
    late: int = 0                     # see `run_fleet`


@dataclass(frozen=True)
class Job:
    """Some pairs for one policy and one seed."""

    policy: str                       # a name of `Setup.plans`, or one of `FLOORS`
    number: int                       # of the planner seed
    first: int                        # place of the first pair among all
    pairs: tuple[Pair, ...]
    in_turn: bool = False             # one plan at a time, on one stream of random numbers


class Bench:
    """Keeps what is expensive to make: worlds, and one fleet per planner settings."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        self._setup = setup
        self._task = load_task(setup.bundle.task)
        self._worlds: list[World] = []
        self._fleets: dict[str, Fleet] = {}

    def run(self, job: Job) -> list[Trial]:
        """Run one job."""
        setup, task = self._setup, self._task
        if job.policy in FLOORS:
            place = FLOORS.index(job.policy)
            return [run_floor(job.policy, task, self._take(1)[0], pair, setup.budget,
                              np.random.default_rng([setup.seed, job.number, place,
                                                     job.first + index]))
                    for index, pair in enumerate(job.pairs)]
        fleet, way = self.fleet(job.policy), setup.ways.get(job.policy)
        seed = setup.plans[job.policy].seed + job.number
        if job.in_turn:
            fleet.reseed(seed)
            return [trial for pair in job.pairs for trial in
                    run_fleet(fleet, task, self._take(1), [pair], setup.budget, way, setup.late)]
        fleet.reseed(int(np.random.SeedSequence([seed, job.first]).generate_state(1)[0]))
        return run_fleet(fleet, task, self._take(len(job.pairs)), job.pairs, setup.budget, way,
                         setup.late)

    def fleet(self, name: str) -> Fleet:
        """Return the fleet of some planner settings."""
        if name not in self._fleets:
            self._fleets[name] = Fleet(make_policy(
                self._setup.bundle, self._setup.plans[name], backend=self._setup.backend))
        return self._fleets[name]

    def close(self) -> None:
        """Free what rendering holds."""
        for world in self._worlds:
            world.close()
        self._worlds = []

    def _take(self, count: int) -> list[World]:
        if len(self._worlds) < count:
            self.close()
            self._worlds = self._task.make_worlds(count, self._setup.image_size)
        return self._worlds[:count]


def make_jobs(policies: Sequence[str], pairs: Sequence[Pair], *, seeds: int, batch: int
              ) -> list[Job]:
    """Divide the trials of planners and floors into jobs; the longest come first."""
    jobs = []
    for policy in policies:
        for number in range(1 if policy == STILL else seeds):
            if batch == 1 and policy not in FLOORS:
                jobs.append(Job(policy, number, 0, tuple(pairs), in_turn=True))
                continue
            jobs += [Job(policy, number, first, tuple(pairs[first:first + batch]))
                     for first in range(0, len(pairs), batch)]
    return jobs


def run_all(setup: Setup, jobs: Sequence[Job], workers: int,
            report: Callable[[Job], None] = lambda job: None) -> dict[str, list[list[Trial]]]:
    """Run jobs, in this process if one worker is enough.

    Returns:
        For each policy and seed the trials, in the order of the pairs.
    """
    found: dict[tuple[str, int], dict[int, list[Trial]]] = {}

    def take(job: Job, trials: list[Trial]) -> None:
        found.setdefault((job.policy, job.number), {})[job.first] = trials
        report(job)

    if workers <= 1 or len(jobs) == 1:
        bench = Bench(setup)
        try:
            for job in jobs:
                take(job, bench.run(job))
        finally:
            bench.close()
    else:
        killed = SimulationError('an evaluating process was killed, perhaps for lack of memory; '
                                 'run the command again with fewer workers or a smaller batch')
        with tempfile.TemporaryDirectory() as folder:
            path = setup.bundle.save(Path(folder) / 'bundle')
            device = str(next(setup.bundle.model.parameters()).device)
            shared = (str(path), device, replace(setup, bundle=None))
            for index, trials in run_jobs(_run_in_worker, [(*shared, job) for job in jobs],
                                          workers, killed=killed):
                take(jobs[index], trials)
    return _ordered(found)


def _ordered(found: dict[tuple[str, int], dict[int, list[Trial]]]
             ) -> dict[str, list[list[Trial]]]:
    results: dict[str, list[list[Trial]]] = {}
    for policy, number in sorted(found, key=lambda key: key[1]):
        parts = found[policy, number]
        results.setdefault(policy, []).append(
            [trial for first in sorted(parts) for trial in parts[first]])
    return results


_kept: dict[str, Bench] = {}     # of a worker, by the folder of the bundle: one


def _run_in_worker(path: str, device: str, setup: Setup, job: Job) -> list[Trial]:
    if path not in _kept:
        _kept[path] = Bench(replace(setup, bundle=Bundle.load(path, device=device)))
    return _kept[path].run(job)
