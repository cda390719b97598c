"""One camera frame to one latent, batch 1: every backend, the reference, p50 and p99."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
import importlib.util

from lewm_model.engines.registry import BACKENDS
import torch

from bench._limit import count_flops, limit_note, product_rates
from bench._peer import NAME
from bench._rivals import dtype_of, PEER_BF16, Rival, rival_variant
from bench._subject import PAPER, Subject
from bench.report import Group, Report
from bench.side_by_side import side_by_side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--models', nargs='+', default=[PAPER, 'reacher-nano'],
                        help='bundles, or "paper": its sizes with random weights')
    parser.add_argument('--backends', nargs='+', default=list(BACKENDS), metavar='NAME',
                        help=f'of {", ".join(BACKENDS)} (all)')
    parser.add_argument('--rounds', type=int, default=200, help='measured turns (%(default)s)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(),
                        help='of torch, for all variants (%(default)s)')
    parser.add_argument('--device', default='cpu')


def run(args: argparse.Namespace) -> Report:
    """Measure, from uint8 to latent for all."""
    torch.set_num_threads(args.threads)
    rates = product_rates(args.device)
    return Report('encode', tuple(_encode(args, name, rates) for name in args.models))


def _encode(args: argparse.Namespace, name: str, rates: dict[str, float]) -> Group:
    subject = Subject.load(name, args.device)
    engines = subject.engines(args.backends)
    peers = (NAME, PEER_BF16) if importlib.util.find_spec('stable_worldmodel') else ()
    with ExitStack() as stack:
        variants = {each: rival_variant(
            Rival(each, name, args.device, args.threads), stack, threads=args.threads,
            dtype=dtype_of(each, engines),
            **({'engine': engines[each].describe()} if each in engines else {}))
            for each in (*peers, *engines)}
        measured = side_by_side(variants, rounds=args.rounds, warmup=10)
    notes = {}
    if 'torch' in engines:
        exact = engines['torch'].encode(subject.frame)
        for backend, engine in engines.items():
            error = (engine.encode(subject.frame).to(exact) - exact).norm() / exact.norm()
            notes[f'latent error of {backend}'] = f'{error.item():.1e}'
        fastest = min(measured.values(), key=lambda item: item.median_s)
        flops = count_flops(lambda: engines['torch'].encode(subject.frame))
        notes.update(limit_note(flops, fastest.median_s, rates), fastest=fastest.name)
    size = subject.bundle.model_config.image_size
    return Group(f'{name}: encode one frame of {size} px, {args.threads} threads',
                 tuple(measured.values()), 'frame', notes)
