"""Find the fastest backend that agrees with the model, on this machine, and remember it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
import tempfile
import time
from typing import Any

from lewm_model.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.cache import cache_folder, fingerprint
from lewm_model.engines.machine import machine_facts
from lewm_model.engines.registry import BACKENDS, build_checked, make_engine, REFERENCE
from lewm_model.errors import LewmError
from lewm_model.planning.protocols import Engine
from lewm_model.types import Context
import numpy as np
import torch

_RUNS = 5                 # at most, of each graph
_SECONDS_PER_ENGINE = 0.5  # and not longer than this, but once at least
_LOG = logging.getLogger(__name__)


def fastest_engine(bundle: Bundle, config: PlanConfig) -> Engine:
    """Return the fastest engine that runs here and agrees with eager fp32; never an error.

    The first time it builds and measures every backend (seconds; minutes for a large model); what
    it finds is kept in the cache, keyed by model, planner settings, machine and versions. The one
    that is returned was checked for agreement just now, remembered or not.
    """
    device = next(bundle.model.parameters()).device
    key = fingerprint(bundle, plan=config.to_dict(), machine=machine_facts(device),
                      backends=sorted(BACKENDS))
    path = cache_folder() / 'fastest' / f'{key}.json'
    if (chosen := _remembered(path)) is not None:
        try:
            engine = make_engine(chosen, bundle, config)
        except LewmError as error:
            _LOG.warning('backend auto: the remembered %s does not work any more (%s); measuring '
                         'again', chosen, error)
        else:
            _LOG.info('backend auto: %s, as measured before (%s)', engine.describe(), path)
            return engine
    engine, table = _measure_all(bundle, config, device)
    chosen = f'{engine.name}:{engine.precision}'
    _LOG.info('backend auto: %s, fastest of %s', engine.describe(),
              ', '.join(f'{name} {seconds * 1e3:.1f} ms' for name, seconds in table.items()))
    _remember(path, {'backend': chosen, 'plan_s': table})
    return engine


def _measure_all(bundle: Bundle, config: PlanConfig,
                 device: torch.device) -> tuple[Engine, dict[str, float]]:
    """Return the fastest engine, and the seconds a plan takes on each."""
    best, best_name, table = make_engine(REFERENCE, bundle, config), REFERENCE, {}
    table[REFERENCE] = plan_seconds(best, bundle, config)
    for name, spec in BACKENDS.items():
        for precision in spec.precisions:
            if name == REFERENCE or device.type not in spec.devices:
                continue
            try:
                engine = build_checked(name, precision, bundle, config, device)
                seconds = plan_seconds(engine, bundle, config)
            except LewmError as error:
                _LOG.info('backend auto: without %s:%s: %s', name, precision, error)
                continue
            table[f'{name}:{precision}'] = seconds
            if seconds < table[best_name]:
                best, best_name = engine, f'{name}:{precision}'
    return best, table


def plan_seconds(engine: Engine, bundle: Bundle, config: PlanConfig) -> float:
    """Measure what a plan spends in the engine: one frame and all iterations [s]."""
    sizes = bundle.model_config
    device = engine.device
    frame = np.zeros((sizes.image_size, sizes.image_size, 3), np.uint8)
    context = Context(latents=torch.zeros(1, config.history, sizes.latent_dim, device=device),
                      past_blocks=torch.zeros(1, config.history - 1, sizes.block_dim,
                                              device=device),
                      stamps_ns=tuple(range(config.history)))
    blocks = torch.randn(config.num_candidates, config.horizon, sizes.block_dim,
                         generator=torch.Generator().manual_seed(0)).to(device)
    return (_seconds(lambda: engine.encode(frame), device)
            + config.iterations * _seconds(lambda: engine.rollout(context, blocks), device))


def _seconds(call: Any, device: torch.device) -> float:
    """Return the shortest of a few runs: what disturbs them only makes them longer."""
    begin = time.perf_counter()
    times: list[float] = []
    call()   # the first run allocates
    while not times or (len(times) < _RUNS
                        and time.perf_counter() - begin < _SECONDS_PER_ENGINE / 2):
        started = time.perf_counter()
        call()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)


def _remembered(path: Path) -> str | None:
    """Return the backend that was found before; what cannot be read was not found."""
    try:
        backend = json.loads(path.read_text(encoding='utf-8'))['backend']
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOG.warning('backend auto: %s is unreadable (%s); measuring again', path, error)
        return None
    return backend if isinstance(backend, str) else None


def _remember(path: Path, found: dict[str, Any]) -> None:
    """Write the choice whole or not at all; without a cache it is measured again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile('w', dir=path.parent, delete=False,
                                         encoding='utf-8') as file:
            json.dump(found, file, indent=2)
        os.replace(file.name, path)
    except OSError as error:
        _LOG.warning('backend auto: cannot remember the choice in %s: %s', path, error)
