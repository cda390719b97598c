"""Resident memory of this process, from Linux's own accounts."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from pathlib import Path

_STATUS, _CLEAR_REFS = Path('/proc/self/status'), Path('/proc/self/clear_refs')
_RESET_PEAK = '5'


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far [MiB].

    Not from getrusage: that counts the process that started this one, too.
    """
    return _status_mib('VmHWM')


def memory_of_mib(call: Callable[[], object]) -> float | None:
    """Return by how much resident memory grows during a call [MiB]; None where nobody counts."""
    try:
        # what earlier calls freed and the allocator kept would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding='utf-8')
    except (OSError, AttributeError):   # another C library has no malloc_trim
        return None
    before_mib = _status_mib('VmRSS')
    call()
    return peak_memory_mib() - before_mib


def _status_mib(field: str) -> float:
    line = next(line for line in _STATUS.read_text(encoding='utf-8').splitlines()
                if line.startswith(f'{field}:'))
    return int(line.split()[1]) / 1024
