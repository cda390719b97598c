"""Make the engine that was asked for; `auto` finds the fastest one here and remembers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
import logging
import math
from pathlib import Path
import time
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.cache import cache_folder, fingerprint, read_note, write_note
from lewm_model.engines.machine import machine_facts
from lewm_model.engines.parity import LIMITS, ParityError
from lewm_model.engines.parity_cases import make_cases
from lewm_model.engines.registry import AUTO, BACKENDS, build_checked, check_possible, named_engine
from lewm_model.engines.trial import TrialCrash
from lewm_model.errors import EngineError, LewmError, MissingPackageError, without_path
from lewm_model.planning.protocols import Engine
from lewm_model.types import Context
import numpy as np
import torch

_ROUNDS = 6                # at most; each round runs all engines, so that all suffer alike
_SECONDS_PER_ENGINE = 0.5  # and not longer than this, but twice at least
_TOLERANCE = 1.1           # a choice counts if no other is faster by more, in half of the rounds
_LOG = logging.getLogger(__name__)
# Reasons to go without a backend that hold the next time, too; others, as a full disk, may not.
_LASTING = (MissingPackageError, ParityError, TrialCrash)


def make_engine(backend: str, bundle: Bundle, config: PlanConfig | None = None) -> Engine:
    """Build the backend called `backend` for a bundle and check that it computes the model.

    Args:
        backend: A name; a name and a precision, as 'openvino:bf16'; or 'auto', the fastest here.
        bundle: The model.
        config: Planner settings; the bundle's recommendation when None.

    Raises:
        ConfigError: If there is no backend or precision of that name.
        MissingPackageError: If the backend's package is not installed.
        EngineError: If the machine lacks the precision, the backend cannot run the model, or
            does not agree with eager fp32. 'auto' raises none of these but falls back to torch.
    """
    config = config or bundle.plan_config
    if backend == AUTO:
        return fastest_engine(bundle, config)
    return named_engine(backend, bundle, config)


def fastest_engine(bundle: Bundle, config: PlanConfig) -> Engine:
    """Return the fastest engine that runs here and agrees with eager fp32; never an error.

    The first time it builds and measures every backend (seconds; minutes for a large model); what
    it finds is kept in the cache, keyed by model, planner settings, machine, versions and limits
    of agreement. The one that is returned was checked for agreement just now, remembered or not.
    """
    device = next(bundle.model.parameters()).device
    key = fingerprint(bundle, plan=config.to_dict(), machine=machine_facts(device),
                      backends={name: spec.precisions for name, spec in BACKENDS.items()},
                      limits={name: asdict(limits) for name, limits in LIMITS.items()})
    path = cache_folder() / 'fastest' / f'{key}.json'
    if (chosen := read_note(path, 'backend')) is not None:
        try:
            engine = named_engine(chosen, bundle, config)
        except LewmError as error:
            _LOG.warning('backend auto: the remembered %s does not work any more (%s); measuring '
                         'again', chosen, error)
        else:
            _LOG.info('backend auto: %s, as measured before (%s)', engine.describe(), path)
            return engine
    engines, lasting = _build_all(bundle, config, device)
    rounds = _measure(engines, bundle, config)
    seconds = {name: min(times) for name, times in rounds.items()}
    chosen = min(seconds, key=seconds.get)
    _LOG.info('backend auto: %s, fastest of %s per plan', engines[chosen].describe(),
              ', '.join(f'{name} {value * 1e3:.1f} ms' for name, value in seconds.items()))
    if not lasting:
        _LOG.info('backend auto: not remembered, because a backend failed that may work again')
    elif not _repeats(rounds, chosen):
        _LOG.info('backend auto: not remembered, because the times vary too much')
    else:
        _remember(path, {'backend': chosen, 'plan_s': seconds})
    return engines[chosen]


def _build_all(bundle: Bundle, config: PlanConfig,
               device: torch.device) -> tuple[dict[str, Engine], bool]:
    """Return what works here, and whether what does not work never will."""
    cases = make_cases(bundle, config)
    engines, lasting = {}, True
    for name, spec in BACKENDS.items():
        for precision in spec.precisions:
            try:
                check_possible(name, precision, device)
            except EngineError as error:
                _LOG.debug('backend auto: %s', error)
                continue
            try:
                engines[f'{name}:{precision}'] = build_checked(name, precision, bundle, config,
                                                               device, cases)
            except LewmError as error:
                _LOG.info('backend auto: without %s:%s: %s', name, precision, error)
                lasting = lasting and isinstance(error, _LASTING)
    return engines, lasting


def _measure(engines: dict[str, Engine], bundle: Bundle,
             config: PlanConfig) -> dict[str, list[float]]:
    """Return for every round what a plan spends in each engine [s].

    An engine that fails now, after it was checked, is as slow as can be.
    """
    rounds: dict[str, list[float]] = {name: [] for name in engines}
    begin, patience = time.perf_counter(), _SECONDS_PER_ENGINE * len(engines)
    for done in range(_ROUNDS):
        if done >= 2 and time.perf_counter() - begin > patience:
            break
        for name, engine in engines.items():
            try:
                rounds[name].append(plan_seconds(engine, bundle, config))
            except LewmError as error:
                _LOG.warning('backend auto: %s failed: %s', name, error)
                rounds[name].append(math.inf)
    return rounds


def _repeats(rounds: dict[str, list[float]], chosen: str) -> bool:
    """Tell whether both halves of the rounds would have chosen so, or nearly so."""
    halves = [{name: min(times[half::2]) for name, times in rounds.items()} for half in (0, 1)]
    return all(half[chosen] <= _TOLERANCE * min(half.values()) for half in halves)


def plan_seconds(engine: Engine, bundle: Bundle, config: PlanConfig) -> float:
    """Measure what a plan spends in the engine: one frame, all iterations and the answer [s].

    On one thread of a CPU it is the process's processor time, to which other programs add little.
    With several threads, or a GPU, it is time on the clock: processor time counts waiting there.
    """
    sizes, device = bundle.model_config, engine.device
    frame = np.zeros((sizes.image_size, sizes.image_size, 3), np.uint8)
    context = Context(latents=torch.zeros(1, config.history, sizes.latent_dim, device=device),
                      past_blocks=torch.zeros(1, config.history - 1, sizes.block_dim,
                                              device=device),
                      stamps_ns=tuple(range(config.history)))
    blocks = torch.randn(config.num_candidates, config.horizon, sizes.block_dim,
                         generator=torch.Generator().manual_seed(0)).to(device)
    return (_seconds(lambda: engine.encode(frame), device)
            + config.iterations * _seconds(lambda: engine.rollout(context, blocks), device)
            + _seconds(lambda: engine.rollout(context, blocks[:1]), device))


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    alone = device.type == 'cpu' and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    started = clock()
    call()
    if device.type != 'cpu':
        torch.accelerator.synchronize(device)
    return clock() - started


def _remember(path: Path, found: dict[str, Any]) -> None:
    """Write the choice; without a cache it is measured again next time."""
    try:
        write_note(path, found)
    except OSError as error:
        _LOG.warning('backend auto: cannot remember the choice in %s: %s', path,
                     without_path(error))
