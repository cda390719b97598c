from __future__ import annotations

import json

from lewm_model.engines.trial import TrialCrash, try_outside
from lewm_model.errors import EngineError
import pytest


@pytest.fixture
def run(tmp_path, monkeypatch, own_cache):
    """Return what tries a program in another process; each run leaves a line in `runs`."""
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr('lewm_model.engines.trial._LIMIT_S', 20.0)

    def run(body, key='key'):
        (tmp_path / 'tried.py').write_text(
            'import json, os, signal, sys\n'
            f'open({str(tmp_path / "runs")!r}, "a").write(sys.stdin.read() + "\\n")\n{body}\n')
        try_outside('tried', {'number': 7}, key=key, what='the thing')

    run.count = lambda: len((tmp_path / 'runs').read_text().splitlines())
    run.first = lambda: json.loads((tmp_path / 'runs').read_text().splitlines()[0])
    return run


def test_what_passed_is_not_tried_again(run):
    """It got its arguments; another key is another thing."""
    run('')
    run('sys.exit(1)')
    assert run.count() == 1 and run.first() == {'number': 7}
    run('', key='other')
    assert run.count() == 2


@pytest.mark.parametrize('name', ['SIGSEGV', 'SIGABRT', 'SIGILL'])
def test_a_crash_is_an_error_and_remembered(run, name):
    """This process lives on; the message names the signal and the file to delete."""
    for _ in range(2):
        with pytest.raises(TrialCrash, match=f'the thing.*{name}.*delete .*key.json'):
            run(f'os.kill(os.getpid(), signal.{name})')
    assert run.count() == 1


@pytest.mark.parametrize('body, message', [
    ('raise RuntimeError("no such operator")', 'status 1.*no such operator'),
    ('os.kill(os.getpid(), signal.SIGKILL)', 'status -9')])
def test_other_failures_are_errors_and_tried_again(run, body, message):
    """A refusal says why; a kill from outside, as for memory, says nothing about the thing."""
    for _ in range(2):
        with pytest.raises(EngineError, match=f'(?s)the thing.*{message}') as caught:
            run(body)
        assert not isinstance(caught.value, TrialCrash)
    assert run.count() == 2


def test_what_hangs_is_ended(run, monkeypatch):
    """The message says how long it had."""
    monkeypatch.setattr('lewm_model.engines.trial._LIMIT_S', 1.0)
    with pytest.raises(EngineError, match='timed out after 1.0 seconds'):
        run('signal.pause()')


def test_a_damaged_note_is_no_note(run, tmp_path):
    """It is tried again."""
    run('')
    (tmp_path / 'cache' / 'trials' / 'key.json').write_text('{')
    run('')
    assert run.count() == 2
