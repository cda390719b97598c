"""The programs of trials end alike: errors without a traceback, Ctrl-C, `kill`, statuses."""

import ast
import os
import signal
import time
from unittest.mock import Mock

from import_rules import ROOT
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import LewmError  # noqa: E402
from lewm_ros.trials import camera_bench, demo, evaluate, soak  # noqa: E402
from lewm_ros.trials.faults import __main__ as faults  # noqa: E402
from lewm_ros.trials.program import FAILED, INTERRUPTED, run_program  # noqa: E402
from lewm_ros.trials.zoo import __main__ as zoo, walk  # noqa: E402


@pytest.fixture(autouse=True)
def handlers():
    """Programs choose what signals do; pytest goes on after them."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_an_error_is_told_in_one_line(capsys):
    """With the name of the program, and status 1."""
    def work() -> int:
        raise LewmError('no such bundle')

    assert run_program('demo', work) == FAILED == 1
    assert capsys.readouterr().err == 'demo: no such bundle\n'


def test_a_bug_keeps_its_traceback():
    """What is no LewmError is for us, not for people."""
    with pytest.raises(ZeroDivisionError):
        run_program('demo', lambda: 1 // 0)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_and_its_with_blocks(capsys, number):
    """Status 130, and a word about what is left, also where the shell had SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cleaned = []

    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            cleaned.append(True)
        return 0

    assert run_program('soak', work, interrupted='a report is kept') == INTERRUPTED == 130
    assert cleaned
    assert capsys.readouterr().err == 'soak: interrupted; a report is kept\n'


@pytest.mark.parametrize(('program', 'args', 'name'), [
    (demo, ['--bundle', 'nowhere'], 'demo'), (evaluate, ['nowhere'], 'evaluate'),
    (soak, ['--bundle', 'nowhere'], 'soak'), (walk, ['nobody'], 'walk'),
    (zoo, ['--only', 'nobody'], 'zoo')])
def test_what_a_person_got_wrong_is_said_before_anything_starts(
        capsys, monkeypatch, tmp_path, program, args, name):
    """Each names itself and ends with status 1."""
    monkeypatch.chdir(tmp_path)
    assert program.main(args) == 1
    assert capsys.readouterr().err.startswith(f'{name}: ')


def test_a_row_that_does_not_exist_is_a_wrong_use(capsys):
    """As with any wrong argument the status is 2, and the rows are named."""
    with pytest.raises(SystemExit) as end:
        faults.main(['nonsense'])
    assert end.value.code == 2
    assert 'no row nonsense; there are' in capsys.readouterr().err


@pytest.mark.parametrize(('program', 'part', 'args'), [
    (camera_bench, 'measure', ['--cases', 'VGA reliable']), (demo, 'run', []),
    (evaluate, 'run', []), (soak, 'soak', []), (walk, 'walk', ['arm6']),
    (zoo, '_walk_one', ['--only', 'arm6']), (faults, 'run', [])])
def test_ctrl_c_in_the_middle_ends_every_program_with_130(
        capsys, monkeypatch, tmp_path, program, part, args):
    """And with its name."""
    def interrupt(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, part, interrupt)
    monkeypatch.setattr(faults, 'hurry', lambda: True)   # not the test itself
    monkeypatch.setattr(faults, 'Nice', lambda *_: Mock())
    monkeypatch.setattr(camera_bench, 'CASES', camera_bench.CASES[:1])
    if program is camera_bench:
        args = ['--cases', camera_bench.CASES[0].name]
    assert program.main([*args, '--out', str(tmp_path / 'out')]) == 130
    assert 'interrupted; ' in capsys.readouterr().err


def test_no_program_of_trials_ends_in_a_way_of_its_own():
    """Only `run_program` decides what Ctrl-C means; others pass it on, or are children."""
    allowed = {'program.py', 'bench_camera.py'}
    for path in (ROOT / 'lewm_ros/trials').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if (isinstance(node, ast.ExceptHandler) and path.name not in allowed
                    and 'KeyboardInterrupt' in ast.dump(node.type or ast.Pass())):
                assert isinstance(node.body[-1], ast.Raise), path
