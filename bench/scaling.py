"""One plan against candidates, horizon, robots and history: time and memory."""

from __future__ import annotations

import argparse
from dataclasses import replace

from lewm_model.config import PlanConfig
from lewm_model.engines.registry import REFERENCE
from lewm_model.planning.protocols import Engine
from lewm_model.types import Context, Goal
import torch

from bench._memory import memory_of_mib
from bench._subject import Subject
from bench.report import Group, Report
from bench.side_by_side import side_by_side, Variant

_BASE = PlanConfig(num_candidates=100, num_elites=10, iterations=5, horizon=5, receding_horizon=5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--model', default='reacher-nano', help='bundle, or "paper"')
    parser.add_argument('--backend', default=REFERENCE)
    parser.add_argument('--rounds', type=int, default=7, help='measured turns (%(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='of torch (%(default)s)')
    parser.add_argument('--device', default='cpu')


def run(args: argparse.Namespace) -> Report:
    """Change one thing at a time from 100 candidates x 5 iterations x 5 blocks, one robot."""
    torch.set_num_threads(args.threads)
    subject = Subject.load(args.model, args.device)
    engine = subject.engines([args.backend])[args.backend]

    def group(title: str, cases: dict[str, tuple[PlanConfig, int, int]]) -> Group:
        variants = {name: _variant(subject, engine, *case) for name, case in cases.items()}
        measured = side_by_side(variants, rounds=args.rounds, warmup=1)
        return Group(f'{args.model}, {args.backend}, {args.threads} threads: {title}',
                     tuple(measured.values()), 'plan', {'memory of one plan': _memory(variants)})

    most = subject.bundle.model_config.history
    return Report('scaling', (
        group('candidates', {f'{n} candidates': (replace(_BASE, num_candidates=n), 1, 1)
                             for n in (30, 100, 300, 1000)}),
        group('horizon', {f'{n} blocks': (replace(_BASE, horizon=n, receding_horizon=1), 1, 1)
                          for n in (1, 2, 5, 10)}),
        group('robots planned for at once', {f'{n} robots': (_BASE, n, 1) for n in (1, 2, 4, 8)}),
        group('history', {f'{n} frames': (_BASE, 1, n) for n in range(1, most + 1)})))


def _variant(subject: Subject, engine: Engine, config: PlanConfig, robots: int, history: int
             ) -> Variant:
    context, goal = subject.situation(engine, history)
    contexts: list[Context] = [context] * robots
    goals: list[Goal] = [goal] * robots
    return Variant(lambda: subject.solver(engine, config).solve_batch(contexts, goals),
                   units=robots)


def _memory(variants: dict[str, Variant]) -> str:
    """Say by how much one plan of each makes the process grow, from small to large."""
    grown = {name: memory_of_mib(variant.call) for name, variant in variants.items()}
    return ', '.join(f'{name} {mib:.1f} MiB' for name, mib in grown.items()
                     if mib is not None) or 'not counted on this system'
