"""Backends by name."""

from __future__ import annotations

from lewm_model.bundle import Bundle
from lewm_model.engines.torch_engine import TorchEngine
from lewm_model.errors import ConfigError
from lewm_model.planning.protocols import Engine

BACKENDS = {'torch': TorchEngine}


def make_engine(backend: str, bundle: Bundle) -> Engine:
    """Build the backend called `backend` for a bundle.

    Raises:
        ConfigError: If there is none of that name.
    """
    if backend not in BACKENDS:
        raise ConfigError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')
    return BACKENDS[backend](bundle)
