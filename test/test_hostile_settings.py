"""Settings that could take all memory, open a wrong file or end in a bare TypeError."""

from __future__ import annotations

import os

from lewm_model import Bundle
from lewm_model.bundles.folder import SETTINGS_FILE, WEIGHTS_FILE
from lewm_model.config import ModelConfig, PlanConfig
from lewm_model.errors import BundleError, ConfigError
from nano import tiny_bundle
import pytest
import yaml


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """Return a saved bundle."""
    return tiny_bundle().save(tmp_path_factory.mktemp('bundle'))


@pytest.mark.parametrize(('change', 'words'), [
    (lambda s: s['model'].update(encoder_dim=60_000, encoder_depth=1000),
     r'describes a network of \d{13,} numbers, but weights.safetensors has only'),
    (lambda s: s['model'].update(latent_dim=2 ** 40), 'latent_dim must be at most 65536'),
    (lambda s: s['model'].update(predictor_depth=10 ** 9), 'predictor_depth must be at most 1000'),
    (lambda s: s['model'].update(predictor_depth=40), r'does not fit .* and \d+ more$'),
    (lambda s: s['model'].pop('action_dim'), 'ModelConfig needs action_dim'),
    (lambda s: s.update(weights_sha256='../../../x'), 'must be the SHA-256'),
    (lambda s: s.update(weights_sha256=3), 'must be the SHA-256'),
    (lambda s: s['actions'].update(min=[10 ** 400] * 2), 'malformed entry .OverflowError'),
])
def test_a_hostile_bundle_is_refused_in_little_memory(saved, tmp_path, change, words):
    """Sizes are compared with the weights file before memory is taken; errors stay short."""
    settings = yaml.safe_load((saved / SETTINGS_FILE).read_text())
    change(settings)
    folder = tiny_bundle().save(tmp_path / 'bundle')
    (folder / SETTINGS_FILE).write_text(yaml.safe_dump(settings))
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.load(folder)
    assert len(str(caught.value)) < 5000


def test_settings_of_a_wrong_kind_are_config_errors(tmp_path):
    """A section that is a list, a missing number, an integer that no float can hold."""
    path = tmp_path / 'a.yaml'
    path.write_text('plan: [1]')
    with pytest.raises(ConfigError, match='plan must be a mapping'):
        PlanConfig.from_yaml(path, 'plan')
    with pytest.raises(ConfigError, match='needs action_dim'):
        ModelConfig.from_dict({})
    with pytest.raises(ConfigError, match='sample_std must be of type float'):
        PlanConfig.from_dict({'sample_std': 10 ** 400})


@pytest.mark.parametrize(('replace', 'size'), [('pipe', 0), ('device', 0), ('file', 5 << 30)])
def test_weights_that_never_end_are_refused(tmp_path, replace, size):
    """A pipe would wait for ever, a device and a huge file fill the memory."""
    folder = tiny_bundle().save(tmp_path / 'bundle')
    weights = folder / WEIGHTS_FILE
    weights.rename(folder / 'weights.0123456789ab.safetensors')   # a plain file is there, too
    if replace == 'pipe':
        os.mkfifo(weights)
    elif replace == 'device':
        weights.symlink_to('/dev/zero')
    else:
        with weights.open('wb') as file:
            file.truncate(size)       # takes no room on the disk
    with pytest.raises(BundleError, match='must be a plain file of at most'):
        Bundle.load(folder)
