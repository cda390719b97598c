"""Disks that cannot be written, signals, older checkpoints: the last good state is kept."""

import os
from pathlib import Path
import signal
import tempfile

from lewm_model.errors import TrainingError
from lewm_model.training.checkpoint import load_newest, require_same_run, save_checkpoint
from lewm_model.training.stop import watch_for_stop
import pytest
from read_only import read_only
from test_training import losses, run, SIZES, TINY
import torch


@pytest.fixture
def folder():
    """A folder that everybody may enter; pytest's own is private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_became_read_only_keeps_the_last_checkpoint(folder):
    """The error says what to do about it, not to free space; nothing is left half-written."""
    save_checkpoint(folder, 1, {'step': 1}, keep=1)
    with (read_only(folder),
          pytest.raises(TrainingError, match='cannot write.*intact, make it writable')):
        save_checkpoint(folder, 2, {'step': 2}, keep=1)
    assert load_newest(folder)['step'] == 1
    assert [path.name for path in folder.iterdir()] == ['step_00000001.pt']


def test_a_read_only_run_folder_is_noticed_before_the_first_step(folder):
    """Not after the first five hundred; and a run can be looked at without writing."""
    finished = run(folder)   # first: nobody may not be allowed to import what torch needs
    with read_only(folder / 'checkpoints'):
        assert losses(run(folder)) == losses(finished)
    (folder / 'new').mkdir()
    steps = []
    with (read_only(folder / 'new'),
          pytest.raises(TrainingError, match='cannot write to.*another run folder')):
        run(folder / 'new', report=lambda progress: steps.append(progress.step))
    assert steps == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_the_run_goes_on_exactly(tmp_path, number):
    """Sent during step 5 of 12, it stops after a whole step; then the same losses, bit for bit."""
    whole = run(tmp_path / 'whole')

    def send(progress):
        if progress.step == 5:
            os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'parts', report=send)
    assert load_newest(tmp_path / 'parts' / 'checkpoints')['step'] == 6
    assert losses(run(tmp_path / 'parts')) == losses(whole)


def test_the_second_signal_interrupts_at_once():
    """For the impatient; afterwards the handlers are those from before."""
    before = signal.getsignal(signal.SIGINT)
    with watch_for_stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wanted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_inside_a_step_saves_nothing_half_done(tmp_path, monkeypatch):
    """Weights updated but the step not counted: the checkpoint before it is what goes on."""
    whole = run(tmp_path / 'whole')
    step, calls = torch.optim.AdamW.step, []

    def interrupted(self, *arguments, **options):
        step(self, *arguments, **options)
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
    monkeypatch.setattr(torch.optim.AdamW, 'step', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'parts')
    assert load_newest(tmp_path / 'parts' / 'checkpoints')['step'] == 4
    monkeypatch.undo()
    assert losses(run(tmp_path / 'parts')) == losses(whole)


def identity(**changes):
    return {'model': SIZES.to_dict(), 'train': {**TINY.to_dict(), **changes}, 'steps': 12}


def test_settings_that_an_older_version_did_not_have_count_as_the_default():
    """A checkpoint without them goes on under the defaults, not under another value."""
    old = identity()
    del old['train']['unhealthy_checks'], old['train']['weight_decay'], old['model']['dropout']
    now = {**identity(), 'model': {**SIZES.to_dict(), 'dropout': 0.1}}   # the default
    require_same_run(now, old, Path('run'))
    with pytest.raises(TrainingError, match=r'weight_decay \(0.001 there, 0.5 now\)'):
        require_same_run({**now, 'train': {**now['train'], 'weight_decay': 0.5}}, old, Path('run'))


def test_thresholds_of_health_may_change_when_a_run_goes_on():
    """They do not change what is trained, so a run that was stopped may be told to go on."""
    require_same_run(identity(collapse_std=0.01, unhealthy_checks=0), identity(), Path('run'))
