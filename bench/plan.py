"""One plan at the reference budget: the reference implementation, our backends, the limit."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
import importlib.util
from pathlib import Path

from lewm_model.config import PlanConfig
from lewm_model.engines.registry import BACKENDS
from lewm_model.planning.objectives import last_step_distance
from lewm_model.planning.protocols import Engine
import torch
from tqdm import tqdm

from bench._limit import count_flops, limit_note, product_rates
from bench._peer import NAME, Peer
from bench._rivals import dtype_of, PEER_BF16, peer_precision, Rival, rival_variant
from bench._subject import PAPER, Subject
from bench.report import Group, Report, STEPS
from bench.side_by_side import ratio, side_by_side

PEERS = (NAME, PEER_BF16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--model', default=PAPER,
                        help='bundle, or "paper": its sizes with random weights (%(default)s)')
    parser.add_argument('--backends', nargs='+', default=list(BACKENDS), metavar='NAME',
                        help=f'of {", ".join(BACKENDS)} (all)')
    parser.add_argument('--candidates', type=int, default=300)
    parser.add_argument('--iterations', type=int, default=30)
    parser.add_argument('--elites', type=int, default=30)
    parser.add_argument('--horizon', type=int, default=5)
    parser.add_argument('--rounds', type=int, default=7, help='measured turns (%(default)s)')
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(),
                        help='of torch, for all variants (%(default)s)')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--no-peer', action='store_true',
                        help=f'leave {NAME} out even where it is installed')


def run(args: argparse.Namespace) -> Report:
    """Measure whole plans with history 1, and one iteration with the longest history."""
    torch.set_num_threads(args.threads)
    subject = Subject.load(args.model, args.device)
    config = PlanConfig(num_candidates=args.candidates, num_elites=args.elites,
                        iterations=args.iterations, horizon=args.horizon,
                        receding_horizon=args.horizon)
    longest = replace(config, history=min(3, subject.bundle.model_config.history))
    engines = subject.engines(args.backends, longest)
    peer = None
    if not args.no_peer and importlib.util.find_spec('stable_worldmodel'):
        peer = Peer(subject.bundle, subject.frame, subject.goal_frame)
    rates = product_rates(args.device)
    with tqdm(total=2 * (args.rounds + args.warmup), unit='round') as bar:
        groups = [_plans(args, subject, config, engines, peer, rates, bar),
                  _iterations(args, longest, engines, peer, bar)]
    return Report('plan', tuple(groups))


def _plans(args: argparse.Namespace, subject: Subject, config: PlanConfig,
           engines: dict[str, Engine], peer: Peer | None, rates: dict[str, float],
           bar: tqdm) -> Group:
    steps = config.steps_per_plan(subject.bundle.model_config.frameskip)
    names = [*(PEERS if peer else ()), *engines]
    with ExitStack() as stack:
        variants = {name: rival_variant(
            Rival(name, args.model, args.device, args.threads, config), stack, **{STEPS: steps},
            threads=args.threads, dtype=dtype_of(name, engines),
            **({'engine': engines[name].describe()} if name in engines else {}))
            for name in names}
        measured = side_by_side(variants, rounds=args.rounds, warmup=args.warmup,
                                on_round=lambda *_: bar.update())
    notes = _cost_errors(subject, config, engines, peer, args.device)
    if peer:
        for name in engines:
            rival = PEER_BF16 if dtype_of(name, engines) == 'bf16' else NAME
            middle, low, high = ratio(measured[rival], measured[name])
            notes[f'{name} at equal dtype, times {rival}'] = f'{middle:.2f} ({low:.2f}-{high:.2f})'
    fastest = min(measured.values(), key=lambda item: item.median_s)
    for graph, name in (("the reference's graph", 'torch'), ('our graph', 'torch-tuned:fp32')):
        if name in engines:
            engine = engines[name]
            context, goal = subject.situation(engine)
            samples = subject.candidates(config.num_candidates, config.horizon)
            flops = config.iterations * count_flops(
                partial(engine.rollout, context, samples))
            notes.update({f'{graph}, {limit}': text for limit, text in
                          limit_note(flops, fastest.median_s, rates).items()})
    notes['fastest'] = fastest.name
    return Group(f'{Path(args.model).name}: one plan, frame and goal encoded, '
                 f'{config.num_candidates} candidates x {config.iterations} iterations x '
                 f'{config.horizon} blocks, history 1, {args.threads} threads, a process each',
                 tuple(measured.values()), 'plan', notes)


def _iterations(args: argparse.Namespace, config: PlanConfig, engines: dict[str, Engine],
                peer: Peer | None, bar: tqdm) -> Group:
    """Measure a rollout of all candidates from a full history: the peer's solver knows 1 only."""
    with ExitStack() as stack:
        variants = {name: rival_variant(
            Rival(name, args.model, args.device, args.threads, config, imagines=True), stack,
            threads=args.threads, dtype=dtype_of(name, engines))
            for name in (*(PEERS if peer else ()), *engines)}
        measured = side_by_side(variants, rounds=4 * args.rounds, warmup=args.warmup,
                                on_round=lambda done, _: bar.update(done % 4 == 0))
    return Group(f'{Path(args.model).name}: one iteration, the {config.history} frames of its '
                 f'history encoded, {config.num_candidates} candidates x {config.horizon} blocks, '
                 f'{args.threads} threads, a process each', tuple(measured.values()), 'iteration')


def _cost_errors(subject: Subject, config: PlanConfig, engines: dict[str, Engine],
                 peer: Peer | None, device: str) -> dict[str, str]:
    """Compare costs of the same candidates, relative to the first of the variants."""
    samples = subject.candidates(64, config.horizon)
    costs = {}
    for name in PEERS if peer else ():
        with peer_precision(name, device):
            costs[name] = peer.costs(samples).float().cpu()
    for name, engine in engines.items():
        context, goal = subject.situation(engine)
        costs[name] = last_step_distance(engine.rollout(context, samples), goal).float().cpu()
    first, *others = costs
    return {f'cost error of {name} against {first}':
            f'{((costs[name] - costs[first]).abs() / costs[first].abs()).max().item():.1e}'
            for name in others}
