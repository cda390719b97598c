"""tools/train_paper.sh: one command from nothing to the card, in pieces."""

import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys

from lewm_model import Bundle
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / 'tools' / 'train_paper.sh'
RUN_AGAIN = 75


def environment(work, **changes):
    return {**os.environ, 'PYTHON': sys.executable, 'WORK': str(work), 'OMP_NUM_THREADS': '1',
            **changes}


def start(work, *options, **changes):
    return subprocess.run([SCRIPT, *options], env=environment(work, **changes),
                          capture_output=True, text=True, timeout=250)


@pytest.mark.parametrize(('options', 'changes', 'message'), [
    (['--smokee'], {}, "unknown option '--smokee'; known: --smoke, --help"),
    (['--smoke'], {'EPISODES': '0'}, 'EPISODES must be a whole number from 1 on'),
    (['--smoke'], {'EPISODES': '1'}, 'EPISODES must be at least 2'),
    (['--smoke'], {'PIECE_MINUTES': '9.5'}, "PIECE_MINUTES must be a whole number.*got '9.5'"),
    (['--smoke'], {'PYTHON': 'no-such-python'}, 'PYTHON=no-such-python is not installed'),
    (['--smoke'], {'EPISODES': '900000000'}, 'MB are free; free some space'),
])
def test_what_cannot_work_is_said_before_anything_is_made(tmp_path, options, changes, message):
    """Exit code 2, the name, the value, what is allowed; no recording is begun."""
    done = start(tmp_path / 'work', *options, **changes)
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / 'work' / 'bags').exists()


def test_a_folder_of_other_settings_is_refused(tmp_path):
    """What is there was made with them; mixing would say something false on the card."""
    (tmp_path / 'settings').write_text('smoke=true episodes=7 length=30 px=224 steps=4\n')
    done = start(tmp_path, '--smoke')
    assert done.returncode == 2
    assert 'episodes=7' in done.stderr and 'episodes=6' in done.stderr
    assert 'use the same, or another WORK' in done.stderr


def test_without_a_gpu_it_says_so(tmp_path):
    """Not after an hour of recording."""
    torch = pytest.importorskip('torch')
    if torch.cuda.is_available():
        pytest.skip('there is an NVIDIA GPU')
    done = start(tmp_path, EPISODES='2')
    assert done.returncode == 2
    assert 'torch finds no NVIDIA GPU' in done.stderr
    assert not (tmp_path / 'bags').exists()


def stop_at(work, stage):
    """Start, send SIGTERM when `stage` begins, return (exit code, all that was said)."""
    with subprocess.Popen([SCRIPT, '--smoke'], env=environment(work), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        said = ''
        for line in process.stdout:
            said += line
            if line.startswith(f'[train_paper] {stage}:'):
                process.send_signal(signal.SIGTERM)
    return process.returncode, said


@pytest.mark.sim
@pytest.mark.slow
def test_the_smoke_run_is_stopped_at_every_stage_and_still_ends_with_the_card(tmp_path):
    """Stopped it asks to be run again; what was done is not done twice; once more does nothing."""
    work = tmp_path / 'work'
    stages = ('recording', 'making the data set', 'training', 'evaluating')
    for stage in stages:
        code, said = stop_at(work, stage)
        assert code == RUN_AGAIN, said
        assert 'run me again' in said
    done = start(work, '--smoke')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'recording' not in done.stdout and 'training:' not in done.stdout
    bundle = Bundle.load(work / 'reacher-paper')
    assert bundle.provenance['steps'] == 4
    assert bundle.provenance['frame_px'] == 224
    assert not (work / 'bags').exists()
    results = work / 'results'
    assert json.loads((results / 'evaluation.json').read_text())['model_id'] == bundle.model_id
    assert '## Results' in (results / 'README.md').read_text()
    assert (results / 'curves.png').stat().st_size > 1000
    again = start(work, '--smoke')
    assert again.returncode == 0
    assert again.stdout.count('\n') == 1 and 'done: the bundle is in' in again.stdout
