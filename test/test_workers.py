"""Processes end when they should: on errors, interrupts, kill -9 of a worker or of the caller."""

import os
from pathlib import Path
import subprocess
import sys
import time

from lewm_model.base.workers import run_jobs
from lewm_model.errors import BagError, DatasetError
import pytest
from worker_jobs import die, fail, first_waits, square

ROOT = Path(__file__).parents[1]
KILLED = DatasetError('a process was killed')


def wait_for(condition, seconds: float = 60):
    """Wait until `condition` returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.02)
    return found


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone; one that nobody has waited for yet is gone too."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_every_job_is_done_once():
    """Results come with the index of their job."""
    jobs = [(number,) for number in range(7)]
    assert sorted(run_jobs(square, jobs, 3, killed=KILLED)) == [
        (number, number ** 2) for number in range(7)]


def test_an_error_keeps_its_kind_and_message():
    """What a job says reaches the user."""
    with pytest.raises(BagError, match='bag 5 is damaged'):
        list(run_jobs(fail, [('bag 5 is damaged',)], 2, killed=KILLED))


def test_a_killed_worker_is_a_clear_error():
    """And not a message about a broken process pool."""
    with pytest.raises(DatasetError, match='a process was killed'):
        list(run_jobs(die, [()], 2, killed=KILLED))


def test_an_interrupt_ends_jobs_that_would_run_for_ever(tmp_path):
    """Ctrl-C returns although a job has not ended, and its process is gone."""
    jobs = [(str(tmp_path), number) for number in range(3)]
    with pytest.raises(KeyboardInterrupt):
        for _ in run_jobs(first_waits, jobs, 2, killed=KILLED):
            pid = int(wait_for(lambda: (tmp_path / '0').exists()
                               and (tmp_path / '0').read_text()))
            raise KeyboardInterrupt
    assert has_ended(pid)


def test_workers_do_not_outlive_a_killed_caller(tmp_path):
    """After kill -9 of the caller nothing goes on writing in the background."""
    code = ('import worker_jobs\n'
            'from lewm_model.errors import LewmError\n'
            'from lewm_model.base.workers import run_jobs\n'
            'if __name__ == "__main__":\n'
            f'    jobs = [({str(tmp_path)!r}, number) for number in (0, 1)]\n'
            '    list(run_jobs(worker_jobs.announce_and_wait, jobs, 2, killed=LewmError()))\n')
    script = tmp_path / 'caller.py'
    script.write_text(code)
    caller = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL,
                              env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "test"}'})
    pids = [int(wait_for(lambda name=name: (tmp_path / name).exists()
                         and (tmp_path / name).read_text())) for name in ('0', '1')]
    assert not any(map(has_ended, pids))
    caller.kill()
    caller.wait()

    wait_for(lambda: all(map(has_ended, pids)))
