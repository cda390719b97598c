"""Built TensorRT engines as files, each with a JSON file that says what it is for.

The name is a hash of all that decides whether an engine fits: graph, TensorRT and its version,
GPU, precision, shapes. What is found under that name is still checked, since a file may have been
copied, cut short or made by something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import Any, TypeVar

from lewm_model.engines.cache import cache_folder
from lewm_model.errors import EngineError, without_path

FORMAT_VERSION = 1   # of the two files
Facts = dict[str, Any]
Loaded = TypeVar('Loaded')
_LOG = logging.getLogger(__name__)


def engine_path(name: str, facts: Facts) -> Path:
    """Return where the engine for these facts belongs; its sidecar ends in `.json`."""
    key = hashlib.sha256(json.dumps(_complete(facts), sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / 'tensorrt' / f'{name}-{key}.engine'


def obtain(name: str, facts: Facts, build: Callable[[], bytes],
           load: Callable[[bytes], Loaded]) -> Loaded:
    """Load an engine from the cache, or build and keep it.

    What is there but cannot be used, for whatever reason, is built again once, with a warning. A
    cache that cannot be written costs the build each time. Processes that want the same engine at
    the same time build it once.

    Args:
        name: For the file and for log lines.
        facts: All that decides whether an engine fits.
        build: Makes the engine; minutes.
        load: Makes use of it.

    Raises:
        EngineError: If it cannot be built, or what was just built cannot be loaded.
    """
    path = engine_path(name, facts)
    with _locked(path):
        if path.exists():
            try:
                return load(read_engine(path, facts))
            except EngineError as error:
                _LOG.warning('the engine %s cannot be used: %s; building it again', path, error)
        else:
            _explain(path, name, facts)
        data = build()
        try:
            _write(path, data, facts)
        except OSError as error:
            _LOG.warning('cannot keep the engine as %s (%s); it is built again next time. Set '
                         'LEWM_CACHE to a folder that can be written', path, without_path(error))
    return load(data)


def read_engine(path: Path, facts: Facts) -> bytes:
    """Read an engine and check that it is whole and for these facts.

    Raises:
        EngineError: The message says what differs.
    """
    facts = _complete(facts)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f'it cannot be read: {without_path(error)}') from error
    try:
        noted = json.loads(_sidecar(path).read_text(encoding='utf-8'))
        digest, size = noted['engine_sha256'], noted['engine_bytes']
        theirs = noted['facts']
        differences = [f'{key} {theirs.get(key)!r} (needed: {value!r})'
                       for key, value in facts.items() if theirs.get(key) != value]
    except OSError as error:
        raise EngineError(f'its description {_sidecar(path).name} cannot be read: '
                          f'{without_path(error)}') from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f'its description {_sidecar(path).name} is damaged: {error}') from error
    if differences:
        raise EngineError(f'it was made for another {", ".join(differences)}')
    if hashlib.sha256(data).hexdigest() != digest:
        raise EngineError(f'it is damaged: {len(data)} bytes where {size} were written'
                          if len(data) != size else 'it is damaged: its content has changed')
    return data


def _complete(facts: Facts) -> Facts:
    return {**facts, 'format': FORMAT_VERSION}


def _sidecar(path: Path) -> Path:
    return path.with_suffix('.json')


def _explain(path: Path, name: str, facts: Facts) -> None:
    """Say which engine of the same graph is there but does not fit: an update, another GPU."""
    for sidecar in sorted(path.parent.glob(f'{name}-*.json')):
        try:
            theirs = json.loads(sidecar.read_text(encoding='utf-8'))['facts']
            differences = [f'{key} {theirs.get(key)!r}, now {value!r}'
                           for key, value in _complete(facts).items() if theirs.get(key) != value]
            if theirs.get('onnx_sha256') == facts.get('onnx_sha256'):
                _LOG.warning('the cached engine %s was built with %s; building a new one',
                             sidecar.with_suffix('.engine').name, '; '.join(differences))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOG.debug('%s is unreadable: %s', sidecar, without_path(error))


def _write(path: Path, data: bytes, facts: Facts) -> None:
    """Write both files, each whole or not at all; until both agree the engine is damaged."""
    noted = {'facts': _complete(facts), 'engine_bytes': len(data),
             'engine_sha256': hashlib.sha256(data).hexdigest()}
    for target, content in ((path, data),
                            (_sidecar(path), json.dumps(noted, indent=2).encode())):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{target.name}.')
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(content)
            os.chmod(temporary, 0o644)   # made private by tempfile
            os.replace(temporary, target)
        finally:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from building the same engine; without a folder there is no lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_suffix('.lock'), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:   # told when the engine cannot be written
        yield
        return
    with os.fdopen(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info('another process builds %s; waiting for it', path.name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
