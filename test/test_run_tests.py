"""What `make test` makes of its two halves."""

from __future__ import annotations

import importlib.util
import sys

from import_rules import ROOT
import pytest

# In place of pytest: says what it was asked for, and ends as the half's word tells.
PRETENDED = """
import os, sys
ends = dict(word.split(':') for word in sys.argv[1].split(','))
lines = {'0': '3 passed, 1 skipped in 1.50s', '1': '1 failed, 2 passed in 61.20s (0:01:01)',
         '2': '1 passed in 0.10s', '3': '1 error in 0.10s', '5': '7 deselected in 0.20s',
         '139': 'Segmentation fault'}
end = ends[os.environ['LEWM_HALF']]
print('chosen:', os.environ['LEWM_HALF'], *sys.argv[2:])
print(f'\\x1b[32m==== {lines[end]} ====\\x1b[0m')
sys.exit(int(end))
"""


@pytest.fixture(scope='module')
def runner():
    """The script."""
    spec = importlib.util.spec_from_file_location('run_tests', ROOT / 'tools' / 'run_tests.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(('plain', 'ros', 'status', 'words'), [
    (0, 0, 0, 'without ROS 3 passed, 1 skipped in 1.50s; with ROS 3 passed, 1 skipped in 1.50s'),
    (1, 0, 1, 'without ROS 1 failed, 2 passed in 61.20s; with ROS 3 passed, 1 skipped in 1.50s'),
    (0, 1, 1, 'without ROS 3 passed, 1 skipped in 1.50s; with ROS 1 failed, 2 passed in 61.20s'),
    (3, 5, 3, 'without ROS 1 error in 0.10s'),
    (5, 0, 0, 'with ROS 3 passed, 1 skipped in 1.50s'),
    (5, 5, 5, 'no tests were chosen, 0 passed in 0.0s'),
    (2, 0, 2, 'without ROS 1 passed in 0.10s'),      # interrupted: the other half is not begun
    (0, 139, 139, 'without ROS 3 passed, 1 skipped in 1.50s; with ROS ended without a summary')])
def test_a_failure_of_either_half_is_the_status_and_the_last_line_has_both(
        runner, capfdbinary, plain, ros, status, words):
    """A half in which nothing was chosen is none; both are shown as they ran."""
    pretended = (sys.executable, '-c', PRETENDED, f'plain:{plain},ros:{ros}')
    assert runner.main(['-k', 'name'], pretended) == status
    out = capfdbinary.readouterr().out.decode()
    assert out.splitlines()[-1] == f'[tests] {words}'
    assert 'chosen: plain -n ' in out and '--dist loadfile -k name\n' in out
    assert ('chosen: ros -k name -n 0\n' in out) is (plain != 2)
