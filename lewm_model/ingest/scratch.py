"""The hidden folder beside a data set where an ingest keeps finished work until all is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import fcntl
import hashlib
import os
from pathlib import Path
import shutil

from lewm_model.errors import DatasetError, without_path

_LOCK = 'lock'


class Scratch:
    """Names of the files in the folder; get one from `scratch_folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / 'whole'     # the new data set, before it takes its place

    def part(self, name: str) -> Path:
        """Return where the rows of one bag are; found again by the bag's name in the set."""
        return self.folder / f'{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.h5'

    def remove(self) -> None:
        """Remove the folder, when the set is complete."""
        shutil.rmtree(self.folder)

    def holds_parts(self) -> bool:
        """Tell whether something would be lost."""
        return any(self.folder.glob('*.h5'))


@contextmanager
def scratch_folder(out: Path) -> Iterator[Scratch]:
    """Open the folder that belongs to `out`, alone; what an earlier run finished is in it.

    It stays if the block raises, so that the next run goes on, unless nothing is finished.

    Raises:
        DatasetError: If another process is writing `out`, or something cannot be written.
    """
    try:
        with _opened(out) as scratch:
            yield scratch
    except OSError as error:
        raise DatasetError(f'cannot write {out}: {without_path(error)}; free disk space or choose '
                           f'another place, then run the command again, it goes on where it '
                           f'stopped') from error


@contextmanager
def _opened(out: Path) -> Iterator[Scratch]:
    scratch = Scratch(out.with_name(f'.{out.name}.parts'))
    descriptor = _lock(scratch.folder, out)
    try:
        for unfinished in scratch.folder.glob('.*.tmp'):   # of a run that was killed
            unfinished.unlink(missing_ok=True)
        scratch.whole.unlink(missing_ok=True)
        yield scratch
    finally:
        if scratch.folder.exists() and not scratch.holds_parts():
            scratch.remove()
        os.close(descriptor)


def _lock(folder: Path, out: Path) -> int:
    """Hold a lock that the system lets go of when this process ends, however it ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.stat(folder / _LOCK)
        except BlockingIOError as error:
            os.close(descriptor)
            raise DatasetError(f'another process is writing {out}; wait for it, or choose '
                               f'another file') from error
        except FileNotFoundError:
            pass   # the run that held the lock ended and removed the folder, just now
        else:
            if current.st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)
