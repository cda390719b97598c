"""Training a readout on latents that are known functions of the joints."""

import math

from episode_sets import episode, write_set
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.data.measured_states import Measured, measured
from lewm_model.errors import DatasetError
from lewm_model.heads.readable import ReadoutConfig
from lewm_model.held_out import HeldOut
from lewm_model.quantities import Quantity
from lewm_model.training.divide import list_trained
from lewm_model.training.policies import fit, PolicyTrainConfig
from lewm_model.training.readout import fit_readout, readable_of
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
import torch

EPISODES, KEPT = 60, range(45)
TRAINING = PolicyTrainConfig(batch_size=256, steps=800, learning_rate=3e-3)


@pytest.fixture(scope='module')
def subject(tmp_path_factory):
    data = write_set(tmp_path_factory.mktemp('data') / 'set.h5', map(episode, range(EPISODES)))
    return HeldOut(tiny_bundle(provenance={
        'validation_split': 0.3, **list_trained(Fingerprint.of(data), KEPT)}), data)


def joint(subject, name):
    return next(one.values[:, 0] for one in measured(subject.data) if one.quantity.name == name)


def latents(subject, *names):
    """Show joints as points on circles of radius 2, in latents that hold nothing else."""
    shown = torch.zeros(len(subject.data.action), SIZES.latent_dim)
    for place, name in enumerate(names):
        values = torch.from_numpy(joint(subject, name))
        shown[:, 2 * place], shown[:, 2 * place + 1] = 2 * values.sin(), 2 * values.cos()
    return shown


def trained(subject, *names):
    return fit_readout(subject, latents(subject, *names), None, 1, TRAINING.batch_size,
                       lambda build, loss: fit(build, loss, TRAINING, lambda progress: None))


def test_what_latents_show_is_read_and_its_error_is_that_of_held_out_frames(subject):
    """Both joints, all around the turn; the errors in the description are measured again here."""
    readout, found = trained(subject, 'shoulder', 'wrist')
    assert [one.name for one in readout.readable] == ['shoulder', 'wrist']
    rows = np.concatenate([np.arange(start, start + length) for start, length in zip(
        subject.data.ep_offset[subject.held_out], subject.data.ep_len[subject.held_out],
        strict=True)])
    read = readout.read(latents(subject, 'shoulder', 'wrist')[rows])
    for place, one in enumerate(readout.readable):
        truth = joint(subject, one.name)
        errors = np.abs((read[:, place] - truth[rows] + math.pi) % (2 * math.pi) - math.pi)
        assert one.read_error == pytest.approx(np.sqrt((errors ** 2).mean()), rel=1e-4)
        assert one.read_error_95 == pytest.approx(np.quantile(errors, 0.95), rel=1e-4)
        assert one.read_error < 0.1
        assert (one.kind, one.unit, one.of) == ('angle', 'rad', 'joint')
        assert one.low >= truth.min() - 1e-4 and one.high <= truth.max() + 1e-4
    assert found['left_out'] == dict.fromkeys(
        ('shoulder velocity', 'wrist velocity'), 'a single picture does not show a velocity')


def test_places_are_training_frames_with_what_was_measured_there(subject):
    """Never held-out ones."""
    readout, _ = trained(subject, 'shoulder', 'wrist')
    shown = latents(subject, 'shoulder', 'wrist')
    held_out = np.concatenate([np.arange(start, start + length) for start, length in zip(
        subject.data.ep_offset[subject.held_out], subject.data.ep_len[subject.held_out],
        strict=True)])
    assert torch.cdist(readout.places.float(), shown[held_out].half().float()).min() > 0
    torch.testing.assert_close(readout.places[:, :4].float(), 2 * readout.place_columns,
                               atol=2e-3, rtol=0)


def test_what_latents_do_not_show_is_left_out_with_the_reason(subject):
    """A goal for it would be a lottery."""
    readout, found = trained(subject, 'shoulder')
    assert [one.name for one in readout.readable] == ['shoulder']
    assert 'explains' in found['left_out']['wrist'] and '%' in found['left_out']['wrist']
    with pytest.raises(DatasetError, match='nothing can be read from single .*wrist: its'):
        trained(subject)


def test_what_cannot_be_a_goal_is_never_trained_for():
    """Velocities, quaternions, what never moves, and what was not recorded everywhere."""
    rows, rng = np.arange(10), np.random.default_rng(0)
    moving = rng.normal(size=(10, 1))
    missing = moving.copy()
    missing[3] = np.nan
    found, left_out = readable_of(tuple(Measured(Quantity(*about), values) for about, values in (
        (('x', 'position'), moving), (('v', 'velocity'), moving), (('still', 'angle'),
        np.ones((10, 1))), (('gap', 'position'), missing),
        (('turned', 'quaternion'), rng.normal(size=(10, 4))))), rows[:7], rows[7:])
    assert [one.quantity.name for one in found] == ['x']
    assert left_out == {'v': 'a single picture does not show a velocity', 'still': 'never moves',
                        'gap': 'not recorded everywhere',
                        'turned': 'a quaternion is more than one number'}


def test_sizes_can_be_given(subject):
    """The quantities are those of the data, the rest as asked for."""
    sizes = ReadoutConfig([{'name': 'none', 'kind': 'number', 'read_error': 1.0,
                            'read_error_95': 1.0, 'low': 0.0, 'high': 1.0}], hidden_dim=32,
                          hidden_layers=1, places=50)
    readout, _ = fit_readout(
        subject, latents(subject, 'shoulder', 'wrist'), sizes, 1, 256,
        lambda build, loss: fit(build, loss, TRAINING, lambda progress: None))
    assert (readout.config.hidden_dim, len(readout.places)) == (32, 50)
    assert [one.name for one in readout.readable] == ['shoulder', 'wrist']
