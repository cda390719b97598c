"""A bundle is complete or it is an error; every part has its own."""

import dataclasses

from lewm_model import Bundle
from lewm_model.bundle import SETTINGS_FILE, WEIGHTS_FILE
from lewm_model.errors import BundleError
from nano import tiny_bundle
import numpy as np
import pytest
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
        assert torch.equal(ours.model.encode(frames), theirs.model.encode(frames))
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
