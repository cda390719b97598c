"""Whatever an engine raises becomes one kind of error, which planners retry or give up on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lewm_model.errors import EngineFailure, Interrupted, NotFinite, PlanningError, ShapeError


@contextmanager
def engine_failures(backend: str) -> Iterator[None]:
    """Turn what is raised inside (out of memory, a CUDA error) into EngineFailure.

    Args:
        backend: What runs the model, for the message.

    Raises:
        NotFinite: For a PlanningError: there were numbers, but no cost to choose by.
        EngineFailure: For anything else but a ShapeError, which is the caller's mistake, and
            Interrupted, which is the caller's wish.
    """
    try:
        yield
    except (ShapeError, Interrupted):
        raise
    except PlanningError as error:
        raise NotFinite(f'engine {backend}: {error}') from error
    except Exception as error:
        raise EngineFailure(f'engine {backend}: {type(error).__name__}: {error}') from error
