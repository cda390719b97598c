"""Checkpoints: written atomically, pruned to the newest few, read back as tensors only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lewm_model.errors import TrainingError
import torch

_PATTERN = 'step_*.pt'
BEST = 'best.pt'


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], *, keep: int,
                    best: bool = False) -> Path:
    """Write `state` for `step`, then delete all but the newest `keep`.

    Args:
        folder: Where checkpoints live; made if needed.
        step: Optimiser steps done.
        state: Tensors and plain values.
        keep: Newest checkpoints to keep.
        best: Also keep this one as `best.pt`, whatever comes later.

    Raises:
        TrainingError: If it cannot be written; older checkpoints are untouched.
    """
    path = folder / f'step_{step:08d}.pt'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, state)
        if best:
            _write(folder / BEST, state)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainingError(f'cannot write checkpoint {path}: {error}; earlier checkpoints in '
                            f'{folder} are intact, free some space and run again') from error
    for old in sorted(folder.glob(_PATTERN))[:-keep]:
        old.unlink(missing_ok=True)
    return path


def _write(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix('.partial')
    try:
        with partial.open('wb') as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_newest(folder: Path) -> dict[str, Any] | None:
    """Read the newest readable checkpoint; None when there is none.

    A damaged one (a disk that filled up, a machine that lost power) is skipped for the one before.
    """
    for path in sorted(folder.glob(_PATTERN), reverse=True):
        try:
            return load(path)
        except TrainingError:
            continue
    return None


def load(path: Path) -> dict[str, Any]:
    """Read one checkpoint: tensors and plain values, never code.

    Raises:
        TrainingError: If it is unreadable or holds anything else.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch, zip and OS errors of many kinds
        raise TrainingError(f'checkpoint {path} cannot be read: {error}') from error
