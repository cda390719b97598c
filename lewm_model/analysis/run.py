"""The whole analysis: parts one after the other, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
import time

from lewm_model.analysis import figures
from lewm_model.analysis.parts import Analysis, Desk, PARTS, Simulator, Size
from lewm_model.errors import ConfigError
from lewm_model.held_out import HeldOut
import numpy as np

SEED = 42


def analyse(subject: HeldOut, size: Size | None = None, only: Sequence[str] | None = None, *,
            simulator: Simulator | None = None, run_folder: Path | None = None,
            progress: Callable[[str, int, int], None] = lambda part, done, total: None
            ) -> Analysis:
    """Run the parts.

    Args:
        subject: Bundle and data.
        size: How much to look at.
        only: Names out of `PARTS`; None: all.
        simulator: For what data alone cannot show.
        run_folder: Of training, with checkpoints, to see straightness change.
        progress: Told the part and how much of it is done.

    Raises:
        ConfigError: If a part does not exist.
        DatasetError: If the data has too few or too short held-out episodes.
        MissingPackageError: If matplotlib is not installed.
    """
    unknown = sorted(set(only or ()) - set(PARTS))
    if unknown:
        raise ConfigError(f'analysis has no part {", ".join(unknown)}; parts: {", ".join(PARTS)}')
    figures.canvas(1, 1)   # a missing package is said before minutes of work
    result = Analysis()
    for name, part in PARTS.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        progress(name, 0, 1)
        desk = Desk(subject, size or Size(), simulator, run_folder,
                    lambda done, total, name=name: progress(name, done, total),
                    np.random.default_rng(SEED))
        numbers, result.pictures[name] = part(desk)
        result.numbers[name] = {**numbers, 'seconds': round(time.monotonic() - started, 1)}
        progress(name, 1, 1)
    return result
