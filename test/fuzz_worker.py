"""Run fuzz cases of one group: `fuzz_worker.py GROUP SEED FIRST CASES FOLDER [PLANTED FAULT]`.

Every case has a seed of its own, so that case 1234 can be run alone: FIRST 1234, CASES 1. Prints
how many cases were accepted (all of it worked) and refused (a `LewmError`). Ends with an error
at the first case that breaks a rule; FOLDER/current says which case that was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import ctypes
import itertools
import json
from pathlib import Path
import shutil
import sys
import tempfile

from fuzz_guard import BrokenRuleError, CPU_SECONDS, Guard
from fuzz_targets import GROUPS
from lewm_model.errors import LewmError
import numpy as np


def run(group: str, seed: int, first: int, cases: int, folder: Path, plant: str = '') -> Counter:
    """Run cases `first` to `first + cases`; return the outcomes.

    Raises:
        BaseException: Whatever a case let out that is no `LewmError`.
    """
    case = GROUPS[group](folder / 'seeds')
    guard = Guard(folder / 'case', cpu_seconds=2 if plant else CPU_SECONDS)
    outcomes = Counter(accepted=0, refused=0)
    for number in range(first, first + cases):
        (folder / 'current').write_text(f'{group} {number}', encoding='utf-8')
        rng = np.random.default_rng([seed, sum(map(ord, group)), number])
        guard.prepare()
        case.prepare(guard.input, guard.around, rng)
        with guard.watch():
            if plant and number == first + 2:
                PLANTS[plant](guard)
            for step in case.steps(guard.input, guard.out):
                try:
                    step()
                    outcome = 'accepted'
                except LewmError as error:
                    outcome = 'refused'
                    text = str(error)
                    if not text or 'MemoryError' in text or len(text) > 100_000:
                        raise BrokenRuleError(f'{type(error).__name__}: {text[:500]}') from error
                outcomes[outcome] += 1
    return outcomes


def _crash(_: Guard) -> None:
    raise KeyError('a fault of ours')


def _segfault(_: Guard) -> None:
    ctypes.string_at(0)


def _hang(_: Guard) -> None:
    for _ in itertools.count():
        pass


def _memory(_: Guard) -> None:
    np.ones(3_000_000_000, np.uint8)


def _write(guard: Guard) -> None:
    (guard.around / 'stray').write_bytes(b'x')


def _overwrite(guard: Guard) -> None:
    file = next(path for path in guard.input.rglob('*') if path.is_file())
    file.write_bytes(file.read_bytes())


def _litter(_: Guard) -> None:
    tempfile.mkdtemp()


PLANTS: dict[str, Callable[[Guard], None]] = {
    'crash': _crash, 'segfault': _segfault, 'hang': _hang, 'memory': _memory, 'write': _write,
    'overwrite': _overwrite, 'litter': _litter}


if __name__ == '__main__':
    name, seed_, first_, cases_, folder_, *fault = sys.argv[1:]
    place = Path(folder_).absolute()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    print(json.dumps(run(name, int(seed_), int(first_), int(cases_), place, *fault)))
