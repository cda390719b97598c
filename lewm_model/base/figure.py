"""One way to begin a picture; matplotlib is imported here and nowhere else in this package."""

from __future__ import annotations

from typing import Any

from lewm_model.errors import MissingPackageError


def new_figure(width: float, height: float, purpose: str) -> Any:
    """Return an empty matplotlib figure [inch].

    Raises:
        MissingPackageError: If matplotlib is not installed; `purpose` says what needs it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError('matplotlib', 'train', purpose) from error
    return Figure(figsize=(width, height), layout='constrained')
