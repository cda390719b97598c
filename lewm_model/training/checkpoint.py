"""Checkpoints: written atomically, pruned to the newest few, read back as tensors only."""

from __future__ import annotations

from dataclasses import fields
import errno
import logging
import os
from pathlib import Path
import tempfile
from typing import Any

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.errors import TrainingError, without_path
import torch

_log = logging.getLogger(__name__)
_PATTERN = 'step_*.pt'
BEST = 'best.pt'
# What a run that goes on may change: it decides what is looked at, not what is trained.
_FREE = {f'train.{name}' for name in ('unhealthy_checks', 'grace_steps', 'collapse_std',
                                      'collapse_sigreg', 'blind_action_effect', 'lost_probe',
                                      'norm_batches')}


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
        remedy = 'make it writable' if _is_read_only(error) else 'free some space'
        raise TrainingError(f'cannot write checkpoint {path}: {without_path(error)}; earlier '
                            f'checkpoints in {folder} are intact, {remedy} and run again'
                            ) from error
    for old in sorted(folder.glob(_PATTERN))[:-keep]:
        old.unlink(missing_ok=True)
    return path


def require_writable(folder: Path) -> None:
    """Notice before hours of training, not after, that nothing can be saved.

    Raises:
        TrainingError: If `folder` cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'x')
    except OSError as error:
        raise TrainingError(f'cannot write to {folder}: {without_path(error)}; make it writable, '
                            f'free some space or choose another run folder') from error


def _is_read_only(error: Exception) -> bool:
    return getattr(error, 'errno', None) in (errno.EROFS, errno.EACCES, errno.EPERM)


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
        raise TrainingError(f'checkpoint {path} cannot be read: {without_path(error)}') from error


def require_same_run(wanted: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """A checkpoint goes on only under the settings, and with the data, it was made with.

    Args:
        wanted: `model` and `train` settings, number of `steps` and digests of the `source` of
            this run.
        found: The same of the checkpoint; a setting that its version did not have yet counts as
            the default, and a source that it did not note as the same.
        folder: For the message.

    Raises:
        TrainingError: The message lists what differs.
    """
    defaults = {f'{section}.{field.name}': field.default
                for section, config in (('model', ModelConfig), ('train', TrainConfig))
                for field in fields(config)}

    def flat(tree: dict[str, Any]) -> dict[str, Any]:
        return {**defaults, 'steps': tree['steps'],
                **{f'model.{key}': value for key, value in tree['model'].items()},
                **{f'train.{key}': value for key, value in tree['train'].items()}}
    ours, theirs = flat(wanted), flat(found)
    differing = [f'{key} ({theirs.get(key)!r} there, {ours.get(key)!r} now)'
                 for key in sorted({*ours, *theirs} - _FREE) if ours.get(key) != theirs.get(key)]
    if differing:
        raise TrainingError(f'{folder} belongs to a run with other settings: '
                            f'{", ".join(differing)}; choose another run folder or delete it')
    _require_same_source(wanted.get('source') or {}, found.get('source') or {}, folder)


def _require_same_source(ours: dict[str, str], theirs: dict[str, str], folder: Path) -> None:
    differing = [f'{name.removesuffix("_digest")} {theirs[name]} there, {ours[name]} now'
                 for name in sorted({*ours} & {*theirs}) if ours[name] != theirs[name]]
    if differing:
        raise TrainingError(f'{folder} belongs to a run on other data (digest of the '
                            f'{"; of the ".join(differing)}); to train on this data begin anew: '
                            f'choose another run folder with --run, or delete {folder.parent}')
    if ours and not theirs:
        _log.warning('%s does not say what data its run began with (it was made by an older '
                     'version); it goes on with the data given now', folder)
