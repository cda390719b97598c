"""Children always end. Real processes, no ROS."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from lewm_ros.startup import processes
from lewm_ros.startup.processes import Child
import pytest

READY = "print('ready', flush=True);"
SLEEP = f'import time; {READY} time.sleep(60)'
STUBBORN = ('import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);'
            f'signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY} time.sleep(60)')


def child(code: str, folder: Path, name: str = 'child') -> Child:
    made = Child(name, [sys.executable, '-c', code], folder / f'{name}.log')
    wait_for(lambda: made.log.read_text().startswith('ready'))
    return made


def wait_for(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:  # a zombie has ended
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_a_child_that_listens_ends_by_sigint(tmp_path):
    """Asking is enough: exit by KeyboardInterrupt, and its output is in the log."""
    asked = child(SLEEP, tmp_path)
    processes.stop([asked])
    assert asked.exit_status() in (1, -signal.SIGINT)
    assert 'KeyboardInterrupt' in asked.last_lines()


def test_a_child_that_ignores_everything_is_killed(tmp_path, monkeypatch):
    """SIGINT and SIGTERM are ignored, SIGKILL is not; its friend is not waited for."""
    monkeypatch.setattr(processes, '_WAYS_TO_END', (
        (signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0)))
    stubborn, friend = child(STUBBORN, tmp_path, 'a'), child(SLEEP, tmp_path, 'b')
    processes.stop([stubborn, friend])
    assert stubborn.exit_status() == -signal.SIGKILL
    assert friend.exit_status() != -signal.SIGKILL


def test_an_interrupt_while_waiting_kills_at_once(tmp_path, monkeypatch):
    """A second Ctrl-C is impatience: nobody is left when it comes through."""
    stubborn = child(STUBBORN, tmp_path)

    def impatient(seconds: float) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.time, 'sleep', impatient)
    with pytest.raises(KeyboardInterrupt):
        processes.stop([stubborn])
    assert stubborn.exit_status() == -signal.SIGKILL


def test_grandchildren_end_with_the_group(tmp_path):
    """A signal goes to everything that the child started."""
    nested = ('import subprocess, sys, time; '
              'p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]);'
              'print("ready", p.pid, flush=True); time.sleep(60)')
    parent = child(nested, tmp_path)
    grandchild = int(parent.log.read_text().split()[1])
    assert runs(grandchild)
    processes.stop([parent])
    wait_for(lambda: not runs(grandchild))


def test_kill_9_of_the_parent_leaves_no_orphan(tmp_path):
    """The kernel ends the child of a parent that could not clean up."""
    log = str(tmp_path / 'c.log')
    script = ('import sys, time; from pathlib import Path;'
              'from lewm_ros.startup.processes import Child;'
              f'c = Child("c", [sys.executable, "-c", {SLEEP!r}], Path({log!r}));'
              'print(c.pid, flush=True); time.sleep(60)')
    root = Path(__file__).parents[1]
    parent = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, 'PYTHONPATH':
                                   f'{root}:{os.environ.get("PYTHONPATH", "")}'})
    try:
        pid = int(parent.stdout.readline())
        wait_for(lambda: (tmp_path / 'c.log').read_text().startswith('ready'))
        assert runs(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    wait_for(lambda: not runs(pid))
