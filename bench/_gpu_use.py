"""How busy an NVIDIA GPU is while something runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import shutil
import subprocess
import threading

PERIOD_MS = 100


class GpuUse:
    """Samples of the share of time in which a kernel ran, by what was running [%]."""

    def __init__(self) -> None:
        self.samples: dict[str, list[int]] = {}
        self._name: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Sample in the background; without nvidia-smi nothing is sampled."""
        program = shutil.which('nvidia-smi')
        if program is None:
            yield
            return
        command = [program, '--query-gpu=utilization.gpu', '--format=csv,noheader,nounits',
                   f'--loop-ms={PERIOD_MS}', '--id=0']
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            reader = threading.Thread(target=self._read, args=(process,), daemon=True)
            reader.start()
            try:
                yield
            finally:
                process.terminate()

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count samples for `name`."""
        self._name = name
        try:
            yield
        finally:
            self._name = None

    def percent(self, name: str) -> float | None:
        """Return the mean, without the first second, in which the counter looks back; or None."""
        found = self.samples.get(name, [])[1000 // PERIOD_MS:]
        return sum(found) / len(found) if found else None

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            name, text = self._name, line.strip()
            if name and text.isdigit():
                self.samples.setdefault(name, []).append(int(text))
