"""What a bundle's file of a prior must be, and what each fault is called."""

import dataclasses
import hashlib

from lewm_model import Bundle
from lewm_model.bundles.folder import PRIOR_FILE, SETTINGS_FILE
from lewm_model.errors import BundleError
import pytest
from safetensors.torch import load_file, save_file
from test_prior import bundle_with_prior
import torch
import yaml


@pytest.fixture
def folder(tmp_path):
    return bundle_with_prior().save(tmp_path / 'bundle')


def edit(folder, change):
    settings = yaml.safe_load((folder / SETTINGS_FILE).read_text())
    change(settings)
    (folder / SETTINGS_FILE).write_text(yaml.safe_dump(settings))


def edit_prior(folder, change):
    """Change its weights and keep the hash right, so that only the change is wrong."""
    weights = load_file(folder / PRIOR_FILE)
    change(weights)
    save_file(weights, folder / PRIOR_FILE)
    digest = hashlib.sha256((folder / PRIOR_FILE).read_bytes()).hexdigest()
    edit(folder, lambda settings: settings['prior'].update(weights_sha256=digest))


def test_a_prior_survives_a_round_trip_and_can_be_removed(folder):
    """The same answers come back; the model keeps its identity; without it nothing is left."""
    ours, theirs = bundle_with_prior(), Bundle.load(folder)
    latents, goals, left = torch.randn(4, 16), torch.randn(4, 16), torch.tensor([5, 10, 15, 7])
    torch.testing.assert_close(theirs.prior(latents, goals, left),
                               ours.prior(latents, goals, left))
    assert not theirs.prior.training
    model_id = theirs.model_id
    dataclasses.replace(theirs, prior=None).save(folder)
    assert not (folder / PRIOR_FILE).exists()
    assert Bundle.load(folder).prior is None and Bundle.load(folder).model_id == model_id


@pytest.mark.parametrize(('change', 'message'), [
    (lambda s: s.update(prior='yes'), "prior must be a mapping with weights_sha256, got 'yes'"),
    (lambda s: s['prior'].pop('weights_sha256'), 'prior must be a mapping with weights_sha256'),
    (lambda s: s['prior'].update(hidden_dim=0), 'hidden_dim must be at least 1'),
    (lambda s: s['prior'].update(widht=1), 'no setting widht'),
    (lambda s: s['prior'].update(hidden_dim=9), r'net.0.weight is \(8, 49\), the model has \(9'),
    (lambda s: s['prior'].update(weights_sha256='0' * 64), 'differs from prior.weights_sha256'),
])
def test_each_broken_setting_of_a_prior_has_its_own_error(folder, change, message):
    """The file is named, and what is wrong with it."""
    edit(folder, change)
    with pytest.raises(BundleError, match=message) as error:
        Bundle.load(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda w: w.pop('net.2.bias'), 'missing net.2.bias'),
    (lambda w: w.update(stray=torch.zeros(1)), 'unexpected stray'),
    (lambda w: w['net.2.bias'].fill_(float('nan')), 'net.2.bias has values that are not finite'),
])
def test_each_wrong_tensor_of_a_prior_is_listed(folder, change, message):
    """A prior loads strictly, like the model."""
    edit_prior(folder, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


def test_a_missing_or_truncated_prior_is_an_error(folder):
    """A bundle that says it has a prior is not complete without it."""
    data = (folder / PRIOR_FILE).read_bytes()
    (folder / PRIOR_FILE).write_bytes(data[:-9])
    with pytest.raises(BundleError, match=f'{PRIOR_FILE} does not belong'):
        Bundle.load(folder)
    (folder / PRIOR_FILE).unlink()
    with pytest.raises(BundleError, match=f'no {PRIOR_FILE}'):
        Bundle.load(folder)
