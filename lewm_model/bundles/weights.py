"""Files of weights beside a settings file, so that the two change together or not at all.

The settings file carries the SHA-256 of every weights file and is replaced last, atomically: it
decides which weights belong to it. Until then the new ones wait under a name with their hash,

    weights.safetensors                  the weights, as a rule
    weights.0123456789ab.safetensors     new ones, while (or after) a save is interrupted

and readers take whichever has the hash that the settings name. So at every instant, also after a
kill or a power cut, the folder holds either the old whole or the new whole. Needs no links, no
swapped folders, and leaves all other files alone.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
import re
import stat

from lewm_model.errors import BundleError, without_path
from safetensors import SafetensorError
from safetensors.torch import load, save
import torch
from torch import nn, Tensor

MAX_BYTES = 4 << 30     # of weights: a thousand million numbers; the paper's model has 18 million


def stage_weights(module: nn.Module, path: Path) -> str:
    """Put the weights beside `path` without touching it; return their SHA-256.

    Nothing is written if the folder has them already.
    """
    data = _to_bytes(module)
    sha256 = hashlib.sha256(data).hexdigest()
    if _find(path, sha256) is None:
        write_atomically(_staged(path, sha256), data)
    return sha256


def weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 that the file of these weights has."""
    return hashlib.sha256(_to_bytes(module)).hexdigest()


def adopt_weights(path: Path, sha256: str | None) -> None:
    """Give staged weights their final name and delete all others; None: there are no more."""
    if sha256 is None:
        path.unlink(missing_ok=True)
    elif _staged(path, sha256).is_file():
        os.replace(_staged(path, sha256), path)
    discard_staged(path, None)


def discard_staged(path: Path, kept: str | None) -> None:
    """Delete what interrupted saves staged, but not the weights of SHA-256 `kept`."""
    for stray in path.parent.glob(f'{path.stem}.{"[0-9a-f]" * 12}{path.suffix}'):
        if kept is None or stray != _staged(path, kept):
            stray.unlink(missing_ok=True)
    for stray in path.parent.glob(f'{path.stem}.{"[0-9a-f]" * 12}{path.suffix}.partial'):
        stray.unlink(missing_ok=True)
    _partial(path).unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all, also after a power cut.

    Raises:
        OSError: If it cannot be written; an older file stays as it was.
    """
    partial = _partial(path)
    try:
        with partial.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)   # the new name, before anything that relies on it
    finally:
        os.close(descriptor)


def load_weights(module: nn.Module, path: Path, sha256: str, entry: str) -> None:
    """Fill the module strictly with the weights that the settings name.

    Args:
        module: To fill.
        path: The weights file.
        sha256: What the settings file says of it.
        entry: Under which name, for messages.

    Raises:
        BundleError: If the file is missing, another one, unreadable, or does not fit the module.
    """
    if not isinstance(sha256, str) or not re.fullmatch('[0-9a-f]{64}', sha256):
        raise BundleError(f'{entry} must be the SHA-256 of {path}, 64 hexadecimal digits, got '
                          f'{sha256!r}')
    data = _find(path, sha256)
    if data is None and not path.is_file():
        raise BundleError(f'bundle {path.parent} has no {path.name}')
    if data is None:
        raise BundleError(f'{path} does not belong to its settings file: the SHA-256 differs '
                          f'from {entry}; copy all files of one bundle together')
    try:
        weights = load(data)
    except (SafetensorError, ValueError) as error:
        raise BundleError(f'{path} is not a readable safetensors file: {error}') from error
    fill_strictly(module, weights, path)


def fill_strictly(module: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Load weights read from `source`; a name, shape or kind that differs is listed."""
    expected = module.state_dict()
    problems = [f'missing {key}' for key in expected if key not in weights]
    problems += [f'unexpected {key}' for key in weights if key not in expected]
    problems += [f'{key} is {tuple(weights[key].shape)}, the model has {tuple(value.shape)}'
                 for key, value in expected.items()
                 if key in weights and weights[key].shape != value.shape]
    problems += [f'{key} is {weights[key].dtype}, the model has {value.dtype}'
                 for key, value in expected.items() if key in weights
                 and weights[key].is_floating_point() != value.is_floating_point()]
    problems += [f'{key} has values that are not finite' for key, value in weights.items()
                 if value.is_floating_point() and not torch.isfinite(value).all()]
    if problems:
        more = f'; and {len(problems) - 20} more' if len(problems) > 20 else ''
        raise BundleError(f'{source} does not fit the model: ' + '; '.join(problems[:20]) + more)
    module.load_state_dict(weights)


def _to_bytes(module: nn.Module) -> bytes:
    kind = getattr(module, 'stored_as', None)    # of its numbers that are not integers
    return save({key: (value.to(kind) if kind and value.is_floating_point() else value)
                 .detach().cpu().contiguous() for key, value in module.state_dict().items()})


def _find(path: Path, sha256: str) -> bytes | None:
    """Read the file with this hash, under its final or its staged name."""
    # Once more the final name: a save may rename the staged file between the first two looks.
    for place in (path, _staged(path, sha256), path):
        try:
            data = _read_bounded(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BundleError(f'{place} cannot be read: {without_path(error)}') from error
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    return None


def _read_bounded(path: Path) -> bytes:
    """Read a plain file; a pipe would wait for ever, and a device or a huge file fill the memory.

    Raises:
        BundleError: If it is something else, or has more than `MAX_BYTES`.
        OSError: If it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        raise BundleError(f'{path} must be a plain file of at most {MAX_BYTES} bytes')
    return path.read_bytes()


def _staged(path: Path, sha256: str) -> Path:
    return path.with_name(f'{path.stem}.{sha256[:12]}{path.suffix}')


def _partial(path: Path) -> Path:
    return path.with_name(f'{path.name}.partial')
