"""Try native code in another process first, where a crash takes nothing along.

What came out is remembered beside the other caches, so that a machine tries each thing once.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
import signal
import subprocess
import sys

from lewm_model.engines.cache import cache_folder, read_note, write_note
from lewm_model.errors import EngineError, without_path

_LIMIT_S = 600.0
_REASON = 500   # characters at the end of its complaints
_LOG = logging.getLogger(__name__)
# Faults of the code that runs. A kill from outside, for memory say, says nothing about it.
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class TrialCrash(EngineError):
    """Native code ended the process that tried it; it will the next time, too."""


def try_outside(module: str, arguments: dict, *, key: str, what: str) -> None:
    """Run `python -m module`, with `arguments` as JSON in its input, unless it passed before.

    Args:
        module: Its exit status says how it went; the end of stderr is the reason.
        arguments: Plain values.
        key: Everything that the outcome depends on, hashed.
        what: Names the trial in messages.

    Raises:
        TrialCrash: If it crashes, or did before.
        EngineError: If it fails otherwise, or takes too long; then it is tried again next time.
    """
    note = cache_folder() / 'trials' / f'{key}.json'
    outcome = read_note(note, 'outcome')
    if outcome is None:
        outcome = _run(module, arguments, what)
        try:
            write_note(note, {'outcome': outcome, 'what': what})
        except OSError as error:
            _LOG.warning('cannot remember the trial of %s in %s: %s', what, note,
                         without_path(error))
    if outcome != 'passed':
        raise TrialCrash(f'{what}: a trial in another process ended with {outcome}; use another '
                         f'backend, or delete {note} to try again')


def _run(module: str, arguments: dict, what: str) -> str:
    """Return 'passed' or the name of the signal that ended it."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get('PYTHONPATH')) if part)
    try:
        ended = subprocess.run(
            [sys.executable, '-m', module], input=json.dumps(arguments), text=True,
            capture_output=True, timeout=_LIMIT_S, check=False,
            env={**os.environ, 'PYTHONPATH': path, 'PYTHONSAFEPATH': '1'})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f'{what}: cannot be tried in another process: {error}') from error
    if ended.returncode == 0:
        return 'passed'
    if -ended.returncode in _CRASHES:
        return signal.Signals(-ended.returncode).name
    raise EngineError(f'{what}: a trial in another process ended with status '
                      f'{ended.returncode}: {ended.stderr.strip()[-_REASON:]}')
