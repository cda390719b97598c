"""A bundle is complete or it is an error; every part has its own."""

from contextlib import suppress
import dataclasses
import errno
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time

from lewm_model import Bundle
from lewm_model.bundles import weights as weight_files
from lewm_model.bundles.folder import PRIOR_FILE, SETTINGS_FILE, WEIGHTS_FILE
from lewm_model.errors import BundleError
from lewm_model.heads.prior import PriorConfig
from nano import tiny_bundle
import numpy as np
import pytest
from read_only import read_only
from safetensors.torch import load_file, save_file
import torch
import yaml


@pytest.fixture
def folder(tmp_path):
    return tiny_bundle(metrics={'evaluation': {'pairs': 3}}).save(tmp_path / 'bundle')


def edit(folder, change):
    """Change the settings as a careless person would."""
    settings = yaml.safe_load((folder / SETTINGS_FILE).read_text())
    change(settings)
    (folder / SETTINGS_FILE).write_text(yaml.safe_dump(settings))


def edit_weights(folder, change):
    """Change the weights and keep the hash right, so that only the change is wrong."""
    import hashlib
    weights = load_file(folder / WEIGHTS_FILE)
    change(weights)
    save_file(weights, folder / WEIGHTS_FILE)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    edit(folder, lambda settings: settings.update(weights_sha256=digest))


def test_a_bundle_survives_a_round_trip(folder):
    """The same latents, statistics, limits, settings and metrics come back."""
    ours, theirs = tiny_bundle(), Bundle.load(folder)
    frames = torch.rand(1, 2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours.model.encode(frames), theirs.model.encode(frames))
    for name, weights in ours.model.state_dict().items():   # the same to the bit
        assert torch.equal(weights, theirs.model.state_dict()[name]), name
    assert theirs.action_names == ('shoulder', 'wrist')
    assert theirs.plan_config == ours.plan_config
    assert theirs.metrics == {'evaluation': {'pairs': 3}}
    np.testing.assert_array_equal(theirs.action_max, ours.action_max)
    assert not theirs.model.training
    assert len(theirs.model_id) == 12


def test_saving_twice_gives_the_same_identity(folder):
    """The model id depends on the weights alone."""
    first = Bundle.load(folder)
    dataclasses.replace(first, metrics={}).save(folder)
    assert Bundle.load(folder).model_id == first.model_id


@pytest.mark.parametrize(('change', 'message'), [
    (lambda s: s.pop('actions'), 'missing actions'),
    (lambda s: s.update(extra=1), 'unknown extra'),
    (lambda s: s.update(format=99), 'format 99 is not supported'),
    (lambda s: s['model'].update(latent_dim=0), 'latent_dim must be at least 1'),
    (lambda s: s['model'].update(widht=3), 'no setting widht'),
    (lambda s: s['model'].update(latent_dim=8), 'does not fit the model.*the model has'),
    (lambda s: s['actions'].update(mean=[0.0]), 'actions.mean has 1 entries.*action_dim 2'),
    (lambda s: s['actions'].update(std=[1.0, 0.0]), 'actions.std must be positive'),
    (lambda s: s['actions'].update(max=[2.0, float('inf')]), 'actions.max must be finite'),
    (lambda s: s['actions'].update(min=[3.0, -2.0]), 'actions.min must be below actions.max'),
    (lambda s: s['actions'].pop('std'), 'malformed entry.*std'),
    (lambda s: s['preprocessing'].update(image_size=32), 'contradicts model.image_size 64'),
    (lambda s: s.update(control_dt_s=0), 'control_dt_s must be positive'),
    (lambda s: s.update(goal_tolerance=float('nan')), 'goal_tolerance must be positive'),
    (lambda s: s['plan'].update(receding_horizon=9), r'receding_horizon must be in \[1'),
    (lambda s: s.update(weights_sha256='0' * 64), 'SHA-256 differs'),
])
def test_each_broken_setting_has_its_own_error(folder, change, message):
    """The file is named, and what is wrong with it."""
    edit(folder, change)
    with pytest.raises(BundleError, match=message) as error:
        Bundle.load(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda w: w.pop('predictor.pos_embedding'), 'missing predictor.pos_embedding'),
    (lambda w: w.update(stray=torch.zeros(1)), 'unexpected stray'),
    (lambda w: w.update({'predictor.pos_embedding': torch.zeros(1, 2, 16)}),
     r'predictor.pos_embedding is \(1, 2, 16\), the model has \(1, 3, 16\)'),
    (lambda w: w['predictor.pos_embedding'].fill_(float('nan')), 'not finite'),
])
def test_each_wrong_tensor_is_listed(folder, change, message):
    """Loading is strict: a silent random layer is the worst bug of the published loaders."""
    edit_weights(folder, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


def test_missing_files_and_folders_are_told_apart(folder, tmp_path):
    """No folder, no settings, no weights: three different messages."""
    with pytest.raises(BundleError, match='not a folder'):
        Bundle.load(tmp_path / 'nowhere')
    (folder / WEIGHTS_FILE).rename(tmp_path / 'elsewhere')
    with pytest.raises(BundleError, match=f'no {WEIGHTS_FILE}'):
        Bundle.load(folder)
    (folder / SETTINGS_FILE).unlink()
    with pytest.raises(BundleError, match='not written completely'):
        Bundle.load(folder)


def test_truncated_weights_are_refused(folder):
    """Half a download is noticed before it is parsed."""
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(data[:len(data) // 2])
    with pytest.raises(BundleError, match='SHA-256 differs'):
        Bundle.load(folder)


def test_a_pickle_is_never_opened(folder):
    """Weights that are a pickle with a matching hash are refused, and their code does not run."""
    class Bomb:
        def __reduce__(self):
            return (open, (str(folder / 'exploded'), 'w'))
    import hashlib
    import pickle
    payload = pickle.dumps(Bomb())
    (folder / WEIGHTS_FILE).write_bytes(payload)
    edit(folder, lambda s: s.update(weights_sha256=hashlib.sha256(payload).hexdigest()))
    with pytest.raises(BundleError, match='not a readable safetensors file'):
        Bundle.load(folder)
    assert not (folder / 'exploded').exists()


def test_a_bundle_that_cannot_be_written_says_so(tmp_path):
    """The path is in the message."""
    (tmp_path / 'file').write_text('')
    with pytest.raises(BundleError, match='cannot write bundle'):
        tiny_bundle().save(tmp_path / 'file' / 'bundle')


def test_a_bundle_that_cannot_name_its_held_out_episodes_says_so():
    """One made from a released checkpoint knows no data set, so nothing can be judged by it."""
    assert tiny_bundle().validation_split == 0.1
    with pytest.raises(BundleError, match='no provenance.validation_split'):
        _ = tiny_bundle(provenance={}).validation_split


def versions():
    """Two bundles that differ in weights, metrics and prior: only whole ones have these marks."""
    old = tiny_bundle(metrics={'mark': 'old'})
    new = tiny_bundle(metrics={'mark': 'new'})
    with torch.no_grad():
        for value in new.model.parameters():
            value.add_(1.0)
    torch.manual_seed(1)
    old = dataclasses.replace(old, prior=old.new_prior(PriorConfig(hidden_dim=8)))
    new = dataclasses.replace(new, prior=new.new_prior(PriorConfig(hidden_dim=16)))
    return {'old': old, 'new': new}


def mark(folder):
    """Load strictly; return which bundle it is, after checking that all of it is that one."""
    found = Bundle.load(folder)
    mark = found.metrics['mark']
    assert found.prior.config.hidden_dim == {'old': 8, 'new': 16}[mark]
    first = {name: next(iter(bundle.model.parameters())) for name, bundle in versions().items()}
    assert torch.equal(next(iter(found.model.parameters())), first[mark])
    return mark


def names(folder):
    return sorted(path.name for path in folder.iterdir())


WHOLE = sorted((PRIOR_FILE, SETTINGS_FILE, WEIGHTS_FILE))


def stop_at_call(monkeypatch, count, error):
    """Let the `count`-th change of the disk fail; return the list of all changes asked for."""
    made = []

    def change(name, real):
        def call(*arguments, **options):
            made.append(name)
            if len(made) == count:
                raise error
            return real(*arguments, **options)
        return call
    for owner, name in ((weight_files.os, 'replace'), (weight_files.os, 'fsync'),
                        (weight_files.Path, 'unlink')):
        monkeypatch.setattr(owner, name, change(name, getattr(owner, name)))
    return made


class Killed(BaseException):
    """Stands for SIGKILL between two changes of the disk; nothing handles it."""


def test_a_save_stopped_between_any_two_changes_leaves_one_whole_bundle(tmp_path, monkeypatch):
    """Old before the settings file is replaced, new after; the next save cleans up."""
    bundles, seen, count = versions(), [], 0
    while True:
        count += 1
        folder = tmp_path / str(count)
        bundles['old'].save(folder)
        (folder / 'README.md').write_text('mine')
        with monkeypatch.context() as patch:
            made = stop_at_call(patch, count, Killed())
            with suppress(Killed):
                bundles['new'].save(folder)
        seen.append(mark(folder))
        bundles['new'].save(folder)
        assert mark(folder) == 'new'
        assert names(folder) == sorted(['README.md', *WHOLE])
        if len(made) < count:   # the save was over before
            break
    assert count > 8
    assert seen == sorted(seen, reverse=True)   # old, ..., old, new, ..., new
    assert set(seen) == {'old', 'new'}


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_old_bundle_and_leaves_nothing_behind(tmp_path, monkeypatch, code):
    """At whatever write it fills up; the message says that nothing is lost."""
    bundles = versions()
    bundles['old'].save(tmp_path)
    (tmp_path / 'curves.png').write_bytes(b'mine')
    for count in (1, 2, 3):
        with monkeypatch.context() as patch:
            real, written = Path.open, []

            def fail(path, mode='r', *arguments, real=real, written=written, count=count, **kind):
                if mode == 'wb':
                    written.append(path)
                    if len(written) == count:
                        raise OSError(code, os.strerror(code))
                return real(path, mode, *arguments, **kind)
            patch.setattr(Path, 'open', fail)
            with pytest.raises(BundleError, match='cannot write bundle.*is intact, free some'):
                bundles['new'].save(tmp_path)
        assert len(written) == count
        assert mark(tmp_path) == 'old'
        assert names(tmp_path) == sorted(['curves.png', *WHOLE])


def test_a_read_only_folder_keeps_its_bundle():
    """The message names the folder and what to do."""
    bundles = versions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles['old'].save(folder)
        with read_only(folder), pytest.raises(BundleError, match='make it writable') as error:
            bundles['new'].save(folder)
        assert name in str(error.value)
        assert mark(folder) == 'old'
        assert names(folder) == WHOLE


def test_other_metrics_do_not_write_the_weights_again(folder):
    """Only the settings change, so a record of an evaluation costs kilobytes, not the model."""
    before = (folder / WEIGHTS_FILE).stat()
    dataclasses.replace(Bundle.load(folder), metrics={'new': 1}).save(folder)
    after = (folder / WEIGHTS_FILE).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert Bundle.load(folder).metrics == {'new': 1}


def test_halves_of_two_bundles_are_told(tmp_path):
    """Settings of one and weights, or prior, of another: refused, whichever file was copied."""
    for name in (WEIGHTS_FILE, PRIOR_FILE):
        for version, bundle in versions().items():
            bundle.save(tmp_path / version)
        (tmp_path / 'old' / name).write_bytes((tmp_path / 'new' / name).read_bytes())
        with pytest.raises(BundleError, match=f'{name} does not belong'):
            Bundle.load(tmp_path / 'old')


WRITER = """
import sys
sys.path.insert(0, {test!r})
from test_bundle import versions
import torch
torch.set_num_threads(1)
bundles = versions()
print('ready', flush=True)
for turn in range(100000):
    bundles['new' if turn % 2 == 0 else 'old'].save({folder!r})
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_bundle_and_readers_never_see_half(tmp_path):
    """SIGKILL at 25 random moments of endless saving; meanwhile loading always works."""
    folder = tmp_path / 'bundle'
    versions()['old'].save(folder)
    (folder / 'goals').mkdir()
    (folder / 'goals' / 'goal.png').write_bytes(b'mine')
    code = WRITER.format(test=str(Path(__file__).parent), folder=str(folder))
    rng, seen = random.Random(0), []
    for _ in range(25):
        with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                              cwd=Path(__file__).parents[1]) as writer:
            assert writer.stdout.readline() == b'ready\n'
            until = time.monotonic() + rng.uniform(0.0, 0.2)
            while time.monotonic() < until:
                seen.append(mark(folder))
            writer.send_signal(signal.SIGKILL)
        assert writer.returncode == -signal.SIGKILL
        seen.append(mark(folder))
        assert (folder / 'goals' / 'goal.png').read_bytes() == b'mine'
    assert set(seen) == {'old', 'new'}
    versions()['new'].save(folder)
    assert names(folder) == sorted(['goals', *WHOLE])
