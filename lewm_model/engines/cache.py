"""Files that can be made again: exported graphs, and which backend was fastest.

Everything is keyed by content, so nothing here is ever out of date, and it can be deleted at any
time. A file appears under its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import Any

from lewm_model import __version__
from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import EngineError, without_path

FORMAT_VERSION = 2   # of the graphs: raise it when they change what they compute or are called
_LOG = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return `$LEWM_CACHE`, or `lewm` in the user's cache folder."""
    if named := os.environ.get('LEWM_CACHE'):
        return Path(named)
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'lewm'


def fingerprint(bundle: Bundle, **facts: Any) -> str:
    """Hash the model, its preprocessing and what else decides the content of a file."""
    digest = hashlib.sha256()
    for name, value in sorted(bundle.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    transform = bundle.frame_transform
    settings = {'format': FORMAT_VERSION, 'version': __version__,
                'model': bundle.model_config.to_dict(),
                'frames': [transform.image_size, transform.mean, transform.std], **facts}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def write_note(path: Path, values: dict[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all.

    Raises:
        OSError: If that is not possible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            json.dump(values, file, indent=2)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_note(path: Path, name: str) -> str | None:
    """Return the text called `name` of a note; None without a note, or with a damaged one.

    What a note says can be found out again, so a damaged one is worth a warning and no error.
    """
    try:
        value = json.loads(path.read_text(encoding='utf-8'))[name]
        if not isinstance(value, str):
            raise TypeError(f'{name!r} must be a text, got {value!r}')
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOG.warning('%s is unreadable, so it counts as absent: %s: %s', path,
                     type(error).__name__, without_path(error))
        return None
    return value


def cached_file(name: str, make: Callable[[Path], object]) -> Path:
    """Return the cached file called `name`, after `make(path)` has written it if it is new.

    Raises:
        EngineError: If the cache folder cannot be written, or is full.
    """
    path = cache_folder() / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
        os.close(handle)
    except OSError as error:
        raise EngineError(f'cannot write to the cache {path.parent}: {without_path(error)}; set '
                          f'LEWM_CACHE to a folder that can be written') from error
    try:
        make(Path(temporary))
        os.replace(temporary, path)
    except OSError as error:
        raise EngineError(f'cannot write {path}: {without_path(error)}; make room there, or set '
                          f'LEWM_CACHE to another folder') from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
