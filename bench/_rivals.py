"""What plans, imagines and encodes in the planning benchmarks: each rival in its own process.

Engines of several libraries in one process share cores with each other's waiting threads, and do
not suffer alike from it. A rival here rests, asleep, while the others have their turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from lewm_model.config import PlanConfig
from lewm_model.engines.choose import make_engine
from lewm_model.planning.protocols import Engine
import torch

from bench._own_process import OwnProcess, Turns
from bench._peer import NAME, Peer
from bench._subject import finished, Subject
from bench.side_by_side import Variant

PEER_BF16 = f'{NAME}:bf16'   # under torch.autocast; the library itself has no setting for it


@dataclass(frozen=True)
class Rival:
    """One way to compute what a model computes."""

    name: str                 # NAME, PEER_BF16 or a backend, also with its precision
    model: str                # see `Subject.load`
    device: str = 'cpu'
    threads: int = 1
    config: PlanConfig | None = None     # of a plan; None: it encodes
    imagines: bool = False    # instead of a whole plan one rollout of all its candidates, from
    #                           `config.history` frames

    @property
    def is_peer(self) -> bool:
        """Whether it is the reference implementation."""
        return self.name in (NAME, PEER_BF16)


def rival_variant(rival: Rival, stack: ExitStack, units: float = 1.0, inner: int = 1,
                  **facts: Any) -> Variant:
    """Start a rival's process and return what gives it a turn.

    Args:
        rival: Who.
        stack: Ends the process.
        units: What one turn handles.
        inner: Plans or frames per turn.
        facts: Told about it.
    """
    process = OwnProcess(_serve, rival)
    stack.callback(process.close)
    return Variant(lambda: process.run(inner), units=units, facts=facts)


def _serve(turns: Turns, rival: Rival) -> None:
    torch.set_num_threads(rival.threads)
    subject = Subject.load(rival.model, rival.device)
    call = finished((_peer if rival.is_peer else _ours)(rival, subject), rival.device)
    while True:
        for _ in range(turns.next()):
            call()


def _ours(rival: Rival, subject: Subject) -> Callable[[], object]:
    engine = make_engine(rival.name, subject.bundle, rival.config)
    if rival.config is None:
        return lambda: engine.encode(subject.frame)
    if rival.imagines:
        samples = subject.candidates(rival.config.num_candidates, rival.config.horizon)
        return lambda: engine.rollout(   # encodes the frames of its context, as the peer
            subject.context(engine, rival.config.history), samples)
    solver = subject.solver(engine, rival.config)

    def plan() -> object:
        return solver.solve(*subject.situation(engine))   # encodes frame and goal, as the peer
    return plan


def _peer(rival: Rival, subject: Subject) -> Callable[[], object]:
    peer, config = Peer(subject.bundle, subject.frame, subject.goal_frame), rival.config
    work = peer.encode
    if config is not None and rival.imagines:
        samples = subject.candidates(config.num_candidates, config.horizon)
        past = samples.new_zeros(1, config.history - 1, samples.shape[-1])
        work = partial(peer.rollout, past, samples)
    elif config is not None:
        work = partial(peer.plan, config)

    def call() -> object:
        with peer_precision(rival.name, rival.device):
            return work()
    return call


def peer_precision(name: str, device: str) -> AbstractContextManager[object]:
    """Return the precision that the reference computes in under that name."""
    if name != PEER_BF16:
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def dtype_of(name: str, engines: Mapping[str, Engine]) -> str:
    """Return the precision of a rival's products; `engines` has ours by name."""
    if name in engines:
        return engines[name].precision
    return 'bf16' if name == PEER_BF16 else 'fp32'
