"""Waiting threads sleep in every process that loads torch through us, unless somebody says."""

import os
import subprocess
import sys

from lewm_model.base.idle_threads import let_idle_threads_sleep
import pytest

VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')


def run(code, **environment):
    """Run Python code in a process of its own; return what it wrote to both streams."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run([sys.executable, '-c', code], env={**clean, **environment}, text=True,
                          capture_output=True, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize('said, spins', [({}, '0'), ({'GOMP_SPINCOUNT': '77'}, '77')])
def test_the_library_that_torch_loads_spins_no_round(said, spins):
    """Asked before torch is imported, GNU's OpenMP reports a spin count of 0, or what was said."""
    _, reported = run('from lewm_model.base.idle_threads import let_idle_threads_sleep\n'
                      'let_idle_threads_sleep()\nimport torch', OMP_DISPLAY_ENV='VERBOSE', **said)
    if 'GOMP_SPINCOUNT' not in reported:
        pytest.skip("this torch does not use GNU's OpenMP")
    assert f"GOMP_SPINCOUNT = '{spins}'" in reported


@pytest.mark.parametrize('entry', ["from lewm_sim.cli import main; main(['no-such-command'])",
                                   'import lewm_ros.planner'])
def test_commands_and_the_planner_ask_before_torch_is_there(entry):
    """Torch is not imported by then: afterwards would be too late."""
    said, _ = run(f'try:\n {entry}\nexcept SystemExit: pass\nimport os, sys\n'
                  "print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)")
    assert said.split() == ['PASSIVE', 'False']


@pytest.mark.parametrize('name', VARIABLES)
def test_who_said_something_is_obeyed(monkeypatch, name):
    """One of the variables being set leaves all as they are."""
    for other in VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, '5')
    let_idle_threads_sleep()
    assert {other: os.environ.get(other) for other in VARIABLES} == {
        **dict.fromkeys(VARIABLES), name: '5'}


@pytest.mark.parametrize('policy, entry', [('PASSIVE', '0'), ('ACTIVE', None), ('', '0')])
def test_onnx_runtime_keeps_to_it_with_its_own_threads(monkeypatch, policy, entry):
    """Its threads spin by default; they sleep unless OMP_WAIT_POLICY asks for spinning."""
    onnxruntime = pytest.importorskip('onnxruntime')
    from lewm_model.engines.onnx.onnxruntime_engine import open_session
    seen = []
    monkeypatch.setattr(onnxruntime, 'InferenceSession',
                        lambda path, options, providers: seen.append(options))
    monkeypatch.setenv('OMP_WAIT_POLICY', policy)
    open_session('a.onnx')
    key = 'session.intra_op.allow_spinning'
    if entry is None:
        with pytest.raises(RuntimeError):   # nothing was said
            seen[0].get_session_config_entry(key)
    else:
        assert seen[0].get_session_config_entry(key) == entry
