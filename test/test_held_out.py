"""The one check between a bundle and the data that it is judged on."""

from dataclasses import asdict, replace
import importlib.util
import sys

from episode_sets import episode, write_set
from import_rules import ROOT
from lewm_model import Bundle
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import BundleError, ConfigError, DatasetError, TrainingError
from lewm_model.held_out import HeldOut
from lewm_model.images.view import CameraView, View
from lewm_model.training.divide import divide_episodes, list_trained
from lewm_model.training.policies import train_policy
from lewm_model.training.run import measure_health, Recipe, train_bundle, TrainConfig
from lewm_sim.evaluate import evaluate
from lewm_sim.goals import write_goals
from nano import PLAN, SIZES, tiny_bundle
import pytest

EPISODES = range(20)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('data') / 'set.h5', map(episode, EPISODES))


def trained_on(data, **changes):
    """Return a bundle that lists what it was trained on, as `lewm train` writes it."""
    fingerprint = Fingerprint.of(data)
    kept, _ = divide_episodes(data, fingerprint, TrainConfig(validation_split=0.3))
    return tiny_bundle(provenance={'validation_split': 0.3, **fingerprint.identity(),
                                   **list_trained(fingerprint, kept)}, **changes)


def numbers(data, episodes):
    return {data.ep_id[index] for index in episodes}


def test_held_out_is_what_training_did_not_use(data):
    """The same division as training made, both sides whole."""
    kept, held_out = divide_episodes(data, Fingerprint.of(data), TrainConfig(validation_split=0.3))
    judged = HeldOut(trained_on(data), data)
    assert judged.kept.tolist() == kept.tolist()
    assert judged.held_out.tolist() == held_out.tolist()


def test_renamed_bags_hold_out_the_same_episodes(data, tmp_path, caplog):
    """Ingested under other names, nothing that was trained on is used, and it is said."""
    bundle = trained_on(data)
    renamed = write_set(tmp_path / 'renamed.h5',
                        [episode(number, f'day 2/{number}') for number in EPISODES])
    expected = {name.replace('e', 'day 2/')
                for name in numbers(data, HeldOut(bundle, data).held_out)}
    assert 'under other names' not in caplog.text
    assert numbers(renamed, HeldOut(bundle, renamed).held_out) == expected
    assert 'their names would hold out were trained on, under other names' in caplog.text


def test_a_set_of_training_episodes_only_is_refused(data, tmp_path):
    """There is nothing left to judge by, whatever the names."""
    bundle = trained_on(data)
    kept = [int(data.ep_id[index][1:]) for index in HeldOut(bundle, data).kept]
    again = write_set(tmp_path / 'again.h5', [episode(number, f'x{number}') for number in kept])
    with pytest.raises(DatasetError, match=r'all \d+ episodes of .*again.h5 were trained on, '
                                           r'under whatever name'):
        HeldOut(bundle, again)


def test_another_set_is_refused_unless_it_is_called_new(data, tmp_path):
    """New recordings may judge a bundle, if that is meant; a part of the old set is not new."""
    bundle = trained_on(data)
    other = write_set(tmp_path / 'other.h5', map(episode, range(100, 105)))
    with pytest.raises(DatasetError, match='is another set: the bundle was trained on none'):
        HeldOut(bundle, other)
    assert HeldOut(bundle, other, new_data=True).held_out.tolist() == list(range(5))
    with pytest.raises(DatasetError, match='of 20 episodes .* so it is not new'):
        HeldOut(bundle, data, new_data=True)
    grown = write_set(tmp_path / 'grown.h5', map(episode, range(25)))
    assert numbers(grown, HeldOut(bundle, grown).held_out) == numbers(
        data, HeldOut(bundle, data).held_out) | {f'e{number}' for number in range(20, 25)}


@pytest.mark.parametrize(('change', 'said'), [
    ({'task': 'push_t'}, 'has task reacher, the bundle push_t'),
    ({'robot': 'arm'}, 'has robot sim_reacher, the bundle arm'),
    ({'action_names': ('wrist', 'shoulder')}, 'has actions shoulder, wrist, the bundle wrist, sh'),
    ({'control_dt_s': 0.1}, 'has a control step of 0.05 s, the bundle of 0.1 s'),
    ({'view': View(32, (CameraView(64, 64),))}, 'has frames of 64 px, the bundle 32 px'),
])
def test_data_of_another_kind_is_refused_by_everything_that_judges(data, tmp_path, change, said):
    """Task, robot, order of the actions, rate, size of the frames: named, with the fix."""
    bundle = trained_on(data, **change)
    for judge in (HeldOut, lambda bundle, data: train_policy(bundle, data, 'gcbc'), evaluate,
                  lambda bundle, data: write_goals(bundle, data, tmp_path, count=1, seed=0)):
        with pytest.raises(DatasetError, match=said + '.*; give the data set it was trained from'):
            judge(bundle, data)


def test_pictures_of_another_shape_are_refused(tmp_path):
    """What a wide camera saw, squeezed to a square, is not what a square one saw."""
    view = View(64, (CameraView(640, 480),))
    data = write_set(tmp_path / 'set.h5', map(episode, EPISODES),
                     view=view.to_json())
    assert len(HeldOut(trained_on(data, view=view), data).held_out)
    with pytest.raises(DatasetError, match='the picture is 640x480 instead of 64x64'):
        HeldOut(trained_on(data, view=View(64, (CameraView(64, 64),))), data)


def test_a_real_robot_is_not_looked_for_among_the_simulated_tasks(data):
    """Its closed-loop success cannot be simulated, and that is what is said."""
    with pytest.raises(ConfigError, match='no simulated task.*robot sim_reacher.*lewm analyse'):
        evaluate(trained_on(data, task=''), data)


def test_an_older_bundle_works_with_a_word(data, caplog):
    """It is divided by names, as it was, and what that cannot notice is said."""
    judged = HeldOut(tiny_bundle(provenance={'validation_split': 0.3}), data)
    assert 0 < len(judged.held_out) < len(judged.kept)
    assert 'does not list what it was trained on (made by an older version)' in caplog.text
    with pytest.raises(BundleError, match='no provenance.validation_split'):
        HeldOut(tiny_bundle(provenance={}), data)


def test_what_is_chosen_and_what_is_reported_are_apart(data, tmp_path):
    """Two halves by content: disjoint, complete, and the same under other names."""
    judged = HeldOut(trained_on(data), data)
    choose, report = judged.part('choose'), judged.part('report')
    assert len(choose) and len(report) and judged.part('all') is judged.held_out
    assert sorted([*choose, *report]) == judged.held_out.tolist()
    renamed = write_set(tmp_path / 'renamed.h5', [episode(n, f'x{n}') for n in EPISODES])
    again = HeldOut(trained_on(data), renamed)
    assert again.part('choose').tolist() == choose.tolist()
    with pytest.raises(ConfigError, match="part must be one of all, choose, report, got 'best'"):
        judged.part('best')
    few = HeldOut(tiny_bundle(), write_set(tmp_path / 'few.h5', [episode(1), episode(2)]))
    with pytest.raises(DatasetError, match='1 held-out episode cannot be divided'):
        few.part('report')


def tiny_recipe():
    model = {key: value for key, value in SIZES.to_dict().items() if key != 'action_dim'}
    return Recipe(model, TrainConfig(
        batch_size=8, steps=2, learning_rate=1e-3, sigreg_projections=16, precision='fp32',
        log_every=1, validate_every=1, grace_steps=0, unhealthy_checks=0, validation_split=0.3),
        PLAN)


def train(data, tmp_path, name, run='run'):
    return train_bundle(data, tiny_recipe(), run_folder=tmp_path / run,
                        bundle_folder=tmp_path / name, commands=[], report=lambda progress: None)


def test_a_run_does_not_go_on_with_other_data(data, tmp_path):
    """Finished or not: the message has both digests and says how to begin anew."""
    first = train(data, tmp_path, 'm0')
    assert first.provenance['data_digest'] == Fingerprint.of(data).data
    assert len(HeldOut(first, data).held_out) == first.provenance['held_out_episodes']
    other = write_set(tmp_path / 'other.h5', map(episode, range(50, 70)))
    with pytest.raises(TrainingError, match=(
            'belongs to a run on other data .*digest of the data [0-9a-f]{16} there, .*begin '
            'anew: choose another run folder with --run, or delete .*run')):
        train(other, tmp_path, 'm1')
    assert not (tmp_path / 'm1').exists()
    assert train(data, tmp_path, 'm2').model_id == first.model_id     # the same data: it goes on
    assert train(other, tmp_path, 'm1', run='new').model_id != first.model_id


def test_a_prior_knows_the_data_it_was_made_with(data):
    """Its digests stand beside its errors."""
    from lewm_model.heads.prior import PriorConfig
    from lewm_model.training.policies import PolicyTrainConfig
    bundle = trained_on(data)
    _, measured = train_policy(bundle, data, 'prior', PriorConfig(hidden_dim=8, hidden_layers=1),
                               PolicyTrainConfig(batch_size=8, steps=2))
    assert {key: measured[key] for key in ('data_digest', 'robot_digest')} == (
        Fingerprint.of(data).identity())


def test_a_finished_model_is_looked_at_again_as_training_did(data, tmp_path, monkeypatch):
    """The same numbers from the same clips; the tool records them, whatever stood there."""
    bundle = train(data, tmp_path, 'm')
    wanted = bundle.metrics['training']
    found = asdict(measure_health(bundle, data, tiny_recipe().train))
    assert found.pop('probes') == pytest.approx(wanted['probes'], abs=1e-3)
    assert found == pytest.approx({key: value for key, value in wanted.items() if key != 'probes'},
                                  rel=1e-3, nan_ok=True)
    replace(bundle, metrics={'training': {**wanted, 'prediction': 7.0}}).save(tmp_path / 'm')
    spec = importlib.util.spec_from_file_location('remake', ROOT / 'tools' / 'remake_health.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['remake_health.py', str(tmp_path / 'm'), '--data',
                                      str(data.path), '--config', 'nano'])
    tool.main()
    again = Bundle.load(tmp_path / 'm')
    assert again.metrics['training']['prediction'] == pytest.approx(wanted['prediction'], rel=1e-3)
    assert again.model_id == bundle.model_id
