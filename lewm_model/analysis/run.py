"""The whole analysis: parts one after the other, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
import time

from lewm_model.analysis import figures
from lewm_model.analysis.parts import Analysis, Desk, PARTS, Simulator, Size
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_model.held_out import HeldOut
import numpy as np

SEED = 42


def subject_of(bundle: Bundle, data: EpisodeFile, *, new_data: bool = False) -> HeldOut:
    """Return a bundle with the data that it is analysed on.

    Readouts are fitted on what was trained on, and everything is judged on what was held out. In
    a new set nothing was trained on: the half to choose by takes that place, and the half to
    report is judged.

    Raises:
        DatasetError: If the data cannot serve, see `HeldOut`, or has too few episodes.
    """
    subject = HeldOut(bundle, data, new_data=new_data)
    if new_data:
        subject.kept, subject.held_out = subject.part('choose'), subject.part('report')
    return subject


def analyse(subject: HeldOut, size: Size | None = None, only: Sequence[str] | None = None, *,
            simulator: Simulator | None = None, run_folder: Path | None = None,
            progress: Callable[[str, int, int], None] = lambda part, done, total: None
            ) -> Analysis:
    """Run the parts.

    Args:
        subject: Bundle and data, see `subject_of`.
        size: How much to look at.
        only: Names out of `PARTS`; None: all.
        simulator: For what data alone cannot show.
        run_folder: Of training, with checkpoints, to see straightness change.
        progress: Told the part and how much of it is done.

    Raises:
        ConfigError: If a part does not exist, or was asked for and has nothing to show.
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
        found = part(desk)
        if found is None and only:
            raise ConfigError(f'part {name} needs a simulated task that names grids in its '
                              f'task.yaml; leave the part away')
        if found is None:
            continue
        numbers, result.pictures[name] = found
        result.numbers[name] = {**numbers, 'seconds': round(time.monotonic() - started, 1)}
        progress(name, 1, 1)
    return result
