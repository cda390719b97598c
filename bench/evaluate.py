"""Evaluations side by side: every frame seen and one plan at a time, against batches."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import os
import resource
import statistics
from typing import Any

from lewm_model.assemble import make_policy
from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.shards import open_data
from lewm_model.held_out import HeldOut
from lewm_model.types import Observation
from lewm_sim.evaluate.jobs import make_jobs, run_all, Setup
from lewm_sim.evaluate.pairs import Pair, sample_pairs
from lewm_sim.evaluate.trials import Trial
from lewm_sim.tasks import load_task, Task
from lewm_sim.world import World
import torch
from tqdm import tqdm

from bench.report import Group, Report
from bench.side_by_side import side_by_side, Variant

_PLANNER = 'planner'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--model', default='reacher-nano')
    parser.add_argument('--data', required=True, help='data set (HDF5) the bundle was made from')
    parser.add_argument('--pairs', type=int, default=32, help='held-out pairs (%(default)s)')
    parser.add_argument('--batch', type=int, default=32, help='pairs per search (%(default)s)')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--rounds', type=int, default=7, help='measured turns (%(default)s)')
    parser.add_argument('--warmup', type=int, default=1, help='turns before (%(default)s)')
    parser.add_argument('--backend', default='torch:fp32', help='engine (%(default)s)')


def run(args: argparse.Namespace) -> Report:
    """Judge one planner on the same pairs in every way, in turns; compare what came out."""
    torch.set_num_threads(1)
    bundle, data = Bundle.load(find_named('models', args.model)), open_data(args.data)
    task, size = load_task(bundle.task), int(data.pixels.shape[1])
    world = task.make_world(size)
    pairs = sample_pairs(data, HeldOut(bundle, data).held_out, task, world, count=args.pairs,
                         goal_offset=task.facts.goal_offset, seed=42)
    setup = Setup(bundle, {_PLANNER: bundle.plan_config}, args.backend, size, task.facts.budget,
                  seed=42, threads=1)

    def batched(batch: int, workers: int) -> Callable[[], list[Trial]]:
        jobs = make_jobs([_PLANNER], pairs, seeds=1, batch=batch)
        return lambda: run_all(setup, jobs, workers)[_PLANNER][0]

    half = -(-args.pairs // args.workers)
    variants = {
        'every frame': lambda: _every_frame(bundle, args.backend, task, world, pairs),
        'in turn': batched(1, 1),
        f'batch {args.batch}': batched(args.batch, 1),
        f'batch {min(args.batch, half)}, {args.workers} processes': batched(
            min(args.batch, half), args.workers)}
    found: dict[str, list[Trial]] = {}
    processor: dict[str, list[float]] = {name: [] for name in variants}

    def counted(name: str) -> Callable[[], None]:
        def call() -> None:
            busy = _processor_seconds()
            found[name] = variants[name]()
            processor[name].append(_processor_seconds() - busy)
        return call

    with tqdm(total=args.rounds + args.warmup, unit='round') as bar:
        measured = side_by_side(
            {name: Variant(counted(name), units=args.pairs) for name in variants},
            rounds=args.rounds, warmup=args.warmup, on_round=lambda *_: bar.update())
    world.close()
    spent = {name: values[args.warmup:] for name, values in processor.items()}
    return Report('evaluate', (Group(
        f'{args.model}, {args.pairs} held-out pairs, one planner seed, {args.backend}, one thread '
        f'a process', tuple(measured.values()), 'pair', {**_notes(task, found), **_busy(spent)}),))


def _notes(task: Task, found: dict[str, list[Trial]]) -> dict[str, Any]:
    first, tolerance = found['every frame'], task.facts.tolerance()
    notes: dict[str, Any] = {}
    for name, trials in found.items():
        same = sum(one.outcomes == other.outcomes for one, other in zip(first, trials,
                                                                        strict=True))
        final = [[trial.holds(tolerance) for trial in runs] for runs in (first, trials)]
        agree = sum(one == other for one, other in zip(*final, strict=True))
        notes[name] = (f'{sum(final[1])} of {len(trials)} at the end ({tolerance}); against every '
                       f'frame: {same} trials equal to the last bit, {agree} verdicts equal')
    return notes


def _busy(seconds: dict[str, list[float]]) -> dict[str, str]:
    """Say what each costs in processor time, which other work on the machine changes little."""
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    base = middle['every frame']
    return {f'processor time, {name}': f'{value:.1f} s, {base / value:.2f} times less than every '
            f'frame' for name, value in middle.items()}


def _processor_seconds() -> float:
    """Return the processor time of this process and of its ended children [s]."""
    return sum(used.ru_utime + used.ru_stime for used in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def _every_frame(bundle: Bundle, backend: str, task: Task, world: World, pairs: Sequence[Pair]
                 ) -> list[Trial]:
    """Evaluate as it was done before: a policy sees every frame, one pair after the other."""
    policy, dt_ns = make_policy(bundle, backend=backend), round(
        task.control_dt_s * 1e9)
    trials = []
    for pair in pairs:
        policy.reset()
        policy.set_goal_image(pair.goal_rgb)
        world.reset(pair.start)
        outcomes, actions = [task.outcome(world.truth(), pair.goal)], []
        for step in range(task.facts.budget):
            rgb = pair.start_rgb if step == 0 else world.render()
            policy.observe(Observation(stamp_ns=step * dt_ns, rgb=rgb))
            if not actions:
                chunk = policy.plan(now_ns=step * dt_ns)
                actions = list(chunk.actions[:policy.steps_per_plan])
            action = actions.pop(0)
            world.apply(action)
            policy.executed(step * dt_ns, action)
            world.advance(task.control_dt_s)
            outcomes.append(task.outcome(world.truth(), pair.goal))
        trials.append(Trial(pair.episode, pair.row, outcomes, []))
    return trials
