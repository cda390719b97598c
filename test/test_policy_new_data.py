"""What is beside a model may learn from episodes that the model never saw, which then count."""

import dataclasses

from episode_sets import episode, ROWS, write_set
from lewm_model import Bundle
from lewm_model.base.marks import MOST_MARKS
from lewm_model.data.clips import split_episodes
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import BundleError, DatasetError
from lewm_model.held_out import HeldOut
from lewm_model.training import divide
from lewm_model.training.divide import also_trained, divide_new, list_trained
from lewm_model.training.policies import train_policy
from lewm_sim.cli import main
from nano import tiny_bundle
import numpy as np
import pytest
import torch

SHARE = 0.3


@pytest.fixture
def first(tmp_path):
    """Return the set that the model was trained from."""
    return write_set(tmp_path / 'first.h5', (episode(number) for number in range(8)))


@pytest.fixture
def later(tmp_path):
    """Return a set of which it has seen nothing."""
    return write_set(tmp_path / 'later.h5', (episode(number) for number in range(100, 112)),
                     ingest_command='lewm ingest later')


@pytest.fixture
def bundle(first):
    kept, _ = split_episodes(first.ep_id, SHARE)
    return tiny_bundle(provenance={'validation_split': SHARE, 'commands': ['lewm train'],
                                   **list_trained(Fingerprint.of(first), kept)})


def test_new_episodes_are_divided_and_those_that_are_learnt_from_are_listed(bundle, first, later):
    """Both sides as `lewm train` would have them; judging by what was learnt from is refused."""
    subject = divide_new(bundle, later)
    kept, held_out = split_episodes(later.ep_id, SHARE)
    assert len(kept) and len(held_out)
    np.testing.assert_array_equal(subject.kept, kept)
    np.testing.assert_array_equal(subject.held_out, held_out)
    memory, _ = train_policy(bundle, later, 'memory', subject=subject)
    assert memory.config.rows == len(kept) * ROWS // bundle.model_config.frameskip
    after = dataclasses.replace(bundle, provenance={**bundle.provenance,
                                                    **also_trained(bundle, subject)})
    np.testing.assert_array_equal(HeldOut(after, later).held_out, held_out)
    with pytest.raises(DatasetError, match=f'{len(kept)} of 12 episodes .* were trained on'):
        HeldOut(after, later, new_data=True)
    np.testing.assert_array_equal(HeldOut(after, first).kept, HeldOut(bundle, first).kept)


def test_a_set_that_was_seen_is_not_new(bundle, first):
    """The message says what to do."""
    with pytest.raises(DatasetError, match='so it is not new; leave --new-data away'):
        divide_new(bundle, first)


def test_a_bundle_that_lists_nothing_cannot_list_more(later):
    """With new episodes alone on its list, its own set would count as another."""
    with pytest.raises(BundleError, match='does not list what it was trained on'):
        divide_new(tiny_bundle(), later)


def test_more_than_a_bundle_can_list_is_refused(bundle, later, monkeypatch):
    """Nobody could tell later what was held out."""
    subject = divide_new(bundle, later)
    monkeypatch.setattr(divide, 'MOST_MARKS', 3)
    with pytest.raises(BundleError, match='too many to list in the bundle: .* at most 3'):
        also_trained(bundle, subject)
    assert MOST_MARKS > 1000


def test_the_command_adds_a_network_and_its_episodes(bundle, later, tmp_path, capsys):
    """The next kind learns from the same ones without the option; with it they are not new."""
    folder = str(bundle.save(tmp_path / 'bundle'))
    line = ['train-policy', folder, '--data', str(later.path), '--steps', '2', '--kind']
    assert main([*line, 'gcbc']) == 2
    assert 'is another set' in capsys.readouterr().err
    assert main([*line, 'gcbc', '--new-data']) == 0
    made = Bundle.load(folder)
    assert made.gcbc is not None and made.model_id == bundle.model_id
    assert made.trained_on > bundle.trained_on
    assert made.provenance['commands'][-1].endswith('gcbc --new-data')
    assert made.provenance['commands'][-2] == 'lewm ingest later'     # who made what is new
    assert main([*line, 'prior', '--new-data']) == 2
    assert 'leave --new-data away' in capsys.readouterr().err
    assert main([*line, 'prior']) == 0
    assert Bundle.load(folder).trained_on == made.trained_on


def test_the_command_makes_networks_of_any_size(bundle, later, tmp_path, capsys):
    """Those that answer with blocks; for others the sizes are refused, before data is read."""
    folder = str(bundle.save(tmp_path / 'bundle'))
    line = ['train-policy', folder, '--data', str(later.path), '--new-data', '--steps', '2',
            '--hidden-dim', '8']
    assert main([*line, '--kind', 'gcbc', '--hidden-layers', '1']) == 0
    made = Bundle.load(folder).gcbc
    assert (made.config.hidden_dim, made.config.hidden_layers) == (8, 1)
    assert main([*line, '--kind', 'prior', '--hidden-layers', '0']) == 2
    assert 'PriorConfig.hidden_layers must be at least 1, got 0' in capsys.readouterr().err
    assert main([*line, '--kind', 'memory']) == 2
    assert 'are for --kind prior, gcbc, quantity_prior; got memory' in capsys.readouterr().err


def test_several_kinds_at_once_are_those_made_one_by_one(bundle, later, tmp_path, monkeypatch):
    """The same numbers and the commands that each takes alone; every frame is read once."""
    read = []
    encode = HeldOut.encode_rows

    def noted(self, rows):
        read.extend(rows)
        return encode(self, rows)
    monkeypatch.setattr(HeldOut, 'encode_rows', noted)
    line = ['--data', str(later.path), '--steps', '2']
    both = str(bundle.save(tmp_path / 'both'))
    assert main(['train-policy', both, *line, '--kind', 'gcbc', '--kind=prior', '--new-data']) == 0
    assert sorted(read) == list(range(len(later)))
    single = str(bundle.save(tmp_path / 'single'))
    assert main(['train-policy', single, *line, '--new-data', '--kind', 'gcbc']) == 0
    assert main(['train-policy', single, *line, '--kind', 'prior']) == 0
    ours, theirs = Bundle.load(both), Bundle.load(single)
    for kind in ('gcbc', 'prior'):
        for name, value in getattr(theirs, kind).state_dict().items():
            assert torch.equal(getattr(ours, kind).state_dict()[name], value), (kind, name)
    assert ours.trained_on == theirs.trained_on
    assert [one.replace(both, single) for one in ours.provenance['commands']] == \
        theirs.provenance['commands']


def test_what_cannot_be_trained_is_refused_before_frames_are_read(bundle, later, tmp_path, capsys,
                                                                 monkeypatch):
    """One kind of two: nothing is made of the other either."""
    from lewm_model.training import policies
    monkeypatch.setattr(policies, 'encode_all', lambda *_: pytest.fail('read frames'))
    folder = str(bundle.save(tmp_path / 'bundle'))
    assert main(['train-policy', folder, '--data', str(later.path), '--new-data', '--farthest',
                 '40', '--kind', 'prior', '--kind', 'readout']) == 2
    assert "absent for kind 'readout'" in capsys.readouterr().err
    assert Bundle.load(folder).prior is None
