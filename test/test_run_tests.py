"""What `make test` makes of its two halves."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

from import_rules import ROOT
import pytest

# In place of pytest: says what it was asked for, and ends as the half's word tells.
PRETENDED = """
import os, sys
ends = dict(word.split(':') for word in sys.argv[1].split(','))
lines = {'0': '3 passed, 1 skipped in 1.50s', '1': '1 failed, 2 passed in 61.20s (0:01:01)',
         '2': '1 passed in 0.10s', '3': '1 error in 0.10s', '5': 'no tests ran in 0.20s',
         '139': 'Segmentation fault'}
half = os.environ.get('LEWM_HALF', 'both')
if '--last-failed' in sys.argv:
    half = 'again'
end = ends[half]
print('chosen:', half, os.sched_getscheduler(0) == os.SCHED_IDLE, *sys.argv[2:])
print('x' * 100000)
print(f'\\x1b[32m==== {lines[end]} ====\\x1b[0m')
sys.exit(int(end))
"""
GOOD = '3 passed, 1 skipped in 1.50s'


@pytest.fixture(scope='module')
def runner():
    """The script."""
    spec = importlib.util.spec_from_file_location('run_tests', ROOT / 'tools' / 'run_tests.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(('ros', 'plain', 'status', 'words'), [
    (0, 0, 0, f'with ROS {GOOD}; without ROS {GOOD}'),
    (1, 0, 1, f'with ROS 1 failed, 2 passed in 61.20s; without ROS {GOOD}'),
    (0, 1, 1, f'with ROS {GOOD}; without ROS 1 failed, 2 passed in 61.20s'),
    (5, 3, 3, 'without ROS 1 error in 0.10s'), (0, 5, 0, f'with ROS {GOOD}'),
    (5, 5, 5, 'nothing was chosen: 0 passed in 0.0s'),
    (2, 2, 2, 'with ROS 1 passed in 0.10s; without ROS 1 passed in 0.10s'),
    (0, 139, 139, f'with ROS {GOOD}; without ROS ended without a summary')])
def test_a_failure_of_either_half_is_the_status_and_the_last_line_has_both(
        runner, capfdbinary, monkeypatch, tmp_path, ros, plain, status, words):
    """A half in which nothing was chosen is none; the output of both is shown whole."""
    monkeypatch.chdir(tmp_path)     # away from what this run remembers of itself
    pretended = (sys.executable, '-c', PRETENDED, f'plain:{plain},ros:{ros}')
    assert runner.main(['-k', 'name'], pretended) == status
    out = capfdbinary.readouterr().out.decode()
    assert out.splitlines()[-1] == f'[tests] {words}'
    assert out.count('x' * 100000) == 2
    assert out.index('chosen: ros') < out.index('chosen: plain')


@pytest.mark.parametrize(('failed', 'again', 'status', 'said'), [
    (1, 0, 0, 'UNSTEADY, passed when run alone: test_0'),
    (2, 1, 1, 'failed when run alone: test_0, test_1'), (6, 0, 1, ''), (0, 0, 1, '')])
def test_a_few_tests_of_nodes_that_failed_get_a_second_run_with_nothing_beside(
        runner, capfdbinary, monkeypatch, tmp_path, failed, again, status, said):
    """What passes then is named; what fails then, and more than five, is a failure."""
    monkeypatch.chdir(tmp_path)
    if failed:
        cache = tmp_path / '.pytest_cache/ros/v/cache/lastfailed'
        cache.parent.mkdir(parents=True)
        cache.write_text(json.dumps({f'test_{number}': True for number in range(failed)}))
    pretended = (sys.executable, '-c', PRETENDED, f'plain:0,ros:1,again:{again}')
    assert runner.main(['-m', 'not slow'], pretended) == status
    out = capfdbinary.readouterr().out.decode()
    assert ('chosen: again' in out) is bool(said)
    assert said in out
    assert out.splitlines()[-1] == (
        f'[tests] with ROS 1 failed, 2 passed in 61.20s; without ROS {GOOD}')
    assert runner.main([], (sys.executable, '-c', PRETENDED, 'plain:1,ros:0')) == 1


@pytest.mark.parametrize(('cores', 'options'), [
    (1, ''), (2, ''), (3, '-n 2 --dist loadfile '), (64, '-n 4 --dist loadfile ')])
def test_tests_without_ros_leave_a_core_and_give_way(runner, capfdbinary, monkeypatch, cores,
                                                     options):
    """Idle priority, one worker for every core but one; those with ROS are alone in a process."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)))
    runner.main(['-k', 'name'], (sys.executable, '-c', PRETENDED, 'plain:0,ros:0'))
    out = capfdbinary.readouterr().out.decode()
    ours = os.sched_getscheduler(0) == os.SCHED_IDLE     # where these tests run themselves
    assert f'chosen: ros {ours} -o cache_dir=.pytest_cache/ros -k name\n' in out
    assert (f'chosen: plain True -o cache_dir=.pytest_cache/plain --timeout 600 {options}-k name\n'
            ) in out


def test_a_debugger_gets_one_process(runner, capfdbinary, monkeypatch):
    """With the terminal, and without halves."""
    monkeypatch.delenv('LEWM_HALF', raising=False)    # of the run that this test is part of
    assert runner.main(['--pdb'], (sys.executable, '-c', PRETENDED, 'both:1')) == 1
    assert b'chosen: both' in capfdbinary.readouterr().out


def test_ctrl_c_lets_both_halves_end_and_shows_everything_once(tmp_path):
    """As at a terminal, where the signal goes to all; the status is pytest's."""
    (tmp_path / 'pytest.py').write_text(
        'import os, pathlib, signal\n'
        'def end(*_):\n'
        '    print("1 passed in 0.10s", flush=True)\n'
        '    os._exit(2)\n'
        'signal.signal(signal.SIGINT, end)\n'
        'print("begun", os.environ["LEWM_HALF"], flush=True)\n'
        'pathlib.Path(os.environ["LEWM_HALF"]).touch()\n'
        'while True: signal.pause()\n')
    process = subprocess.Popen([sys.executable, ROOT / 'tools' / 'run_tests.py'], cwd=tmp_path,
                               env={**os.environ, 'PYTHONPATH': str(tmp_path)}, text=True,
                               stdout=subprocess.PIPE, start_new_session=True)
    deadline_s = time.monotonic() + 200
    while not ((tmp_path / 'ros').exists() and (tmp_path / 'plain').exists()):
        assert time.monotonic() < deadline_s and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 2
    assert [out.count(f'begun {half}') for half in ('ros', 'plain')] == [1, 1]
    assert out.splitlines()[-1] == (
        '[tests] with ROS 1 passed in 0.10s; without ROS 1 passed in 0.10s')


def collected(*options):
    """Return the tests of two files in the order in which pytest would run them."""
    environment = {name: value for name, value in os.environ.items() if name != 'LEWM_HALF'}
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', '-p', 'no:cacheprovider',
         *options, 'test/test_quantities.py', 'test/test_config.py'], cwd=ROOT, env=environment,
        capture_output=True, text=True, timeout=200, check=True)
    return [line for line in done.stdout.splitlines() if '::' in line]


def test_a_seed_draws_another_order_of_files_and_of_their_tests():
    """All tests, once each, file by file; the same seed gives the same order."""
    usual, drawn, again, other = (collected(*options) for options in (
        (), ('--shuffle', '1'), ('--shuffle', '1'), ('--shuffle', '2')))
    assert sorted(drawn) == sorted(other) == sorted(usual) and len(usual) > 10
    assert drawn == again and len({tuple(usual), tuple(drawn), tuple(other)}) == 3
    files = [line.partition('::')[0] for line in drawn]
    assert sum(one != after for one, after in zip(files, files[1:], strict=False)) == 1
