"""What a fuzz case may do: write into its own folders, for a bounded time, in bounded memory.

A violation ends the process (time, memory beyond the limit) or raises `BrokenRuleError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import faulthandler
import os
from pathlib import Path
import platform
import resource
import shutil
import signal
import sys
import tempfile
from typing import Any

CPU_SECONDS, WALL_SECONDS = 20, 240     # of one case; the machine may be loaded
EXTRA_BYTES = 1_500_000_000             # above what the libraries take
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ('os.mkdir', 'os.remove', 'os.rename', 'os.rmdir', 'os.symlink', 'os.link',
            'os.truncate', 'os.chmod', 'os.utime', 'shutil.rmtree', 'os.system',
            'subprocess.Popen', 'socket.connect')


class BrokenRuleError(AssertionError):
    """The code under test did what it never may."""


class Guard:
    """Gives each case its folders and judges what became of them.

    Args:
        root: An empty folder; each case has `in`, `out`, `around` and `tmp` in it.
        cpu_seconds: Of one case.
    """

    def __init__(self, root: Path, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self.input, self.out, self.around, self._tmp = (
            root / name for name in ('in', 'out', 'around', 'tmp'))
        self._allowed: tuple[str, ...] = ()
        self._broken: list[str] = []
        sys.dont_write_bytecode = True
        platform.processor()       # asks the program `uname`, once
        sys.addaudithook(self._audit)
        faulthandler.enable()      # a library that crashes is a failed test that says where
        faulthandler.register(signal.SIGPROF, chain=True)    # says where, then ends the process
        pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[0])
        limit = pages * resource.getpagesize() + EXTRA_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def prepare(self) -> None:
        """Make the folders of the next case."""
        for folder in (self.input, self.out, self.around, self._tmp):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        (self.around / 'secret').write_text('not part of any bag', encoding='utf-8')
        tempfile.tempdir = str(self._tmp)
        os.chdir(self.around)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the code under test.

        Raises:
            BrokenRuleError: If it wrote where it may not, or left temporary files.
        """
        before = self._snapshot()
        self._broken, self._allowed = [], (str(self.out), str(self._tmp))
        faulthandler.dump_traceback_later(WALL_SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, self._cpu_seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
            self._allowed = ()
        after = self._snapshot()
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                self._broken.append(f'{path} was changed from {before.get(path)} to '
                                    f'{after.get(path)}')
        self._broken += [f'{path} was left behind' for path in self._tmp.rglob('*')]
        if self._broken:
            raise BrokenRuleError('; '.join(self._broken))

    def _snapshot(self) -> dict[str, Any]:
        found = {}
        for folder in (self.input, self.around):
            for path in [folder, *folder.rglob('*')]:
                status = path.lstat()
                found[str(path)] = (
                    status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino,
                    os.readlink(path) if path.is_symlink() else
                    path.read_bytes() if path.is_file() else None)
        return found

    def _audit(self, event: str, arguments: tuple) -> None:
        if not self._allowed:
            return
        if event == 'open':
            path, mode, flags = arguments
            writes = bool(flags & _WRITING) or (isinstance(mode, str) and set(mode) & set('wax+'))
        elif event in _CHANGES:
            path, writes = arguments[0], True
        else:
            return
        if writes and isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(
                path) != os.devnull:
            base = arguments[-1]      # of shutil.rmtree: a descriptor of the folder
            place = os.path.abspath(os.path.join(
                os.readlink(f'/proc/self/fd/{base}') if event in ('os.remove', 'os.rmdir')
                and isinstance(base, int) and base >= 0 else '', os.fsdecode(path)))
            if not place.startswith(self._allowed):
                self._broken.append(f'{event} of {place}')
