"""Published checkpoints become bundles and back; each thing wrong with one has its own message."""

import pickle
import shlex

import h5py
from lewm_model import Bundle, LeWorldModel, load_released, ModelConfig, PlanConfig
from lewm_model.bundles.released import write_released
from lewm_model.errors import BundleError, DatasetError
from lewm_model.preprocess import FrameTransform
from lewm_sim.cli import main
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
from released_factory import FACTS, small_release
import torch


@pytest.fixture
def released(tmp_path):
    """Return a small checkpoint in the published format."""
    return small_release(tmp_path / 'released')


def edit_weights(folder, change):
    """Change weights.pt."""
    weights = torch.load(folder / 'weights.pt', weights_only=True)
    torch.save(change(weights) or weights, folder / 'weights.pt')


@pytest.mark.parametrize('transformers, block', [
    (4, 'encoder.encoder.layer.11.attention.attention.query.weight'),
    (5, 'encoder.layers.11.attention.q_proj.weight')])
def test_a_model_of_the_published_size_loads_under_both_names(tmp_path, transformers, block):
    """303 tensors by the names of either version of transformers give the same model."""
    torch.manual_seed(0)
    model = LeWorldModel(ModelConfig(action_dim=2))
    folder = write_released(model, tmp_path / 'paper', transformers=transformers)
    weights = torch.load(folder / 'weights.pt', weights_only=True)
    assert len(weights) == 303 and block in weights
    bundle = load_released(folder, **FACTS)
    assert bundle.provenance['parameters'] == 18_034_478
    assert not bundle.model.training
    for name, value in model.state_dict().items():
        assert torch.equal(bundle.model.state_dict()[name], value), name


def test_what_a_release_does_not_say_is_given_or_has_the_default_of_the_releases(released):
    """Statistics as given; limits of +-1, frameskip 5 and the reference's planner by default."""
    bundle = load_released(released, **FACTS)
    np.testing.assert_array_equal(bundle.action_normalizer.std, np.float32([1.5, 0.5]))
    assert bundle.action_names == ('action_0', 'action_1')
    assert (bundle.action_min.tolist(), bundle.action_max.tolist()) == ([-1, -1], [1, 1])
    assert bundle.plan_config == PlanConfig()
    assert bundle.model_config.frameskip == 5
    robot = load_released(released, robot='sim_reacher', action_mean=[0, 0],
                                 action_std=[1, 1], action_max=[1.5, 1.5], goal_tolerance=1.0)
    assert (robot.robot, robot.control_dt_s) == ('sim_reacher', 0.05)
    assert robot.action_names == ('shoulder', 'wrist')
    assert (robot.action_min[0], robot.action_max[0]) == (-2.0, 1.5)   # an argument wins


def test_bundle_to_release_to_bundle_is_the_identity(tmp_path):
    """Weights, id and settings come back, in memory and on disk."""
    ours = Bundle.load(tiny_bundle().save(tmp_path / 'ours'))
    folder = write_released(ours.model, tmp_path / 'released')
    theirs = load_released(
        folder, action_mean=ours.action_normalizer.mean, action_std=ours.action_normalizer.std,
        robot='sim_reacher', task=ours.task, goal_tolerance=ours.goal_tolerance,
        plan_config=ours.plan_config, provenance=ours.provenance)
    assert theirs.model_id == ours.model_id
    assert theirs.model_config == ours.model_config
    theirs.save(tmp_path / 'theirs')
    assert (tmp_path / 'theirs' / 'weights.safetensors').read_bytes() == \
        (tmp_path / 'ours' / 'weights.safetensors').read_bytes()
    assert Bundle.load(tmp_path / 'theirs').plan_config == ours.plan_config


@pytest.mark.parametrize('change, message', [
    (lambda weights: weights.pop('predictor.pos_embedding') is None,
     r'does not fit the model: missing predictor\.pos_embedding$'),
    (lambda weights: weights.update({'decoder.weight': torch.zeros(1)}),
     r'does not fit the model: unexpected decoder\.weight$'),
    (lambda weights: weights.update({'predictor.pos_embedding': torch.zeros(1, 4, 16)}),
     r'predictor\.pos_embedding is \(1, 4, 16\), the model has \(1, 3, 16\)$'),
    (lambda weights: weights.update({'predictor.pos_embedding': torch.full((1, 3, 16), np.nan)}),
     r'predictor\.pos_embedding has values that are not finite$'),
    (lambda weights: weights.update({'predictor.pos_embedding': torch.zeros(1, 3, 16).long()}),
     r'predictor\.pos_embedding is torch\.int64, the model has torch\.float32$'),
    (lambda weights: weights.update({'encoder.layers.0.mlp.fc1.bias': torch.zeros(96)}),
     r'has encoder\.encoder\.layer\.0\.intermediate\.dense\.bias twice'),
    (lambda weights: {'state_dict': weights, 'epoch': 3},
     r"tensors by name and nothing else, but has 'state_dict' \(dict\), 'epoch' \(int\)"),
    (lambda weights: list(weights.values()), r'must hold a dict of tensors, got list'),
])
def test_weights_that_do_not_fit_are_refused(released, change, message):
    """Missing, extra, misshapen, broken, doubled and wrapped tensors are each named."""
    edit_weights(released, change)
    with pytest.raises(BundleError, match=message):
        load_released(released, **FACTS)


def test_half_precision_weights_are_read_as_float32(released):
    """A checkpoint saved in bfloat16 is a valid one."""
    edit_weights(released, lambda weights: {
        name: value.bfloat16() if value.is_floating_point() else value
        for name, value in weights.items()})
    model = load_released(released, **FACTS).model
    assert model.predictor.pos_embedding.dtype == torch.float32


class Bomb:
    """What a pickle may hold: something that runs code when it is read."""

    def __reduce__(self):
        return print, ('the bomb went off',)


def test_a_pickled_object_is_refused_and_not_run(released, capsys):
    """Whole modules, the old `_object.ckpt` files and hostile files are not unpickled."""
    for save in (lambda path: torch.save({'weight': Bomb()}, path),
                 lambda path: torch.save(tiny_bundle().model, path),
                 lambda path: path.write_bytes(pickle.dumps(Bomb(), protocol=2))):
        save(released / 'weights.pt')
        with pytest.raises(BundleError, match=r'pickled Python object.*refused.*state_dict\(\)'):
            load_released(released, **FACTS)
    (released / 'weights.pt').rename(released / 'lejepa_object.ckpt')
    for path in (released, released / 'lejepa_object.ckpt'):
        with pytest.raises(BundleError, match=r'lejepa_object\.ckpt is a pickled Python object'):
            load_released(path, **FACTS)
    assert 'bomb' not in capsys.readouterr().out


@pytest.mark.parametrize('prepare, message', [
    (lambda folder: (folder / 'config.json').unlink(), r'has no config\.json; it belongs to'),
    (lambda folder: (folder / 'weights.pt').unlink(), r'must be a folder with weights\.pt.*none'),
    (lambda folder: (folder / 'config.json').write_text('{'), r'is not readable JSON'),
    (lambda folder: (folder / 'weights.pt').write_text('version https://git-lfs'),
     r"starts with b'vers'; is it a Git LFS pointer"),
    (lambda folder: (folder / 'weights.pt').write_bytes(
        (folder / 'weights.pt').read_bytes()[:5000]), r'not a readable PyTorch file.*again'),
    (lambda folder: (folder / 'bundle.yaml').write_text(''), r'is a bundle already'),
    (lambda folder: [(folder / 'weights.pt').rename(folder / 'a.pt'),
                     (folder / 'b.pt').write_bytes(b'')], r'found a\.pt, b\.pt'),
])
def test_a_folder_that_is_no_release_says_what_it_lacks(released, prepare, message):
    """Incomplete, truncated and ambiguous folders are each named."""
    prepare(released)
    with pytest.raises(BundleError, match=message):
        load_released(released, **FACTS)


def test_paths_that_name_a_release(released):
    """A folder, a folder with one epoch of a training run, or that file."""
    (released / 'weights.pt').rename(released / 'weights_epoch_9.pt')
    for path in (released, str(released), released / 'weights_epoch_9.pt'):
        assert load_released(path, **FACTS).provenance['released_as'] == 'released'
    with pytest.raises(BundleError, match=r'does not exist; download config\.json'):
        load_released('quentinll/lewm-pusht', **FACTS)


@pytest.mark.parametrize('left_out', FACTS)
def test_a_fact_that_nobody_gave_is_asked_for(released, left_out):
    """The message names it and the ways to give it."""
    facts = {name: value for name, value in FACTS.items() if name != left_out}
    with pytest.raises(BundleError, match=rf'does not say: {left_out} \(.*stats_from'):
        load_released(released, **facts)


def test_facts_that_do_not_fit_the_model_are_refused(released):
    """Statistics of another number of actions, or another frameskip, contradict the weights."""
    with pytest.raises(BundleError, match=r'must be 15 \(frameskip 5 times 3 actions'):
        load_released(released, **{**FACTS, 'action_mean': [0, 0, 0]})
    with pytest.raises(BundleError, match=r'actions\.std has 3 entries'):
        load_released(released, **{**FACTS, 'action_std': [1, 1, 1]})
    with pytest.raises(BundleError, match=r'must be 8 \(frameskip 4 times 2 actions'):
        load_released(released, **FACTS, frameskip=4)


@pytest.fixture
def data(tmp_path):
    """Return a data set in the public layout: chunked, compressed, without attributes."""
    rng = np.random.default_rng(0)
    actions = rng.normal([1, -1], [2, 3], (40, 2)).astype(np.float32)
    actions[[19, 39]] = np.nan
    with h5py.File(tmp_path / 'public.h5', 'w') as file:
        file['action'], file['ep_len'], file['ep_offset'] = actions, [20, 20], [0, 20]
        file.create_dataset('pixels', data=rng.integers(0, 255, (40, 64, 64, 3), dtype=np.uint8),
                            chunks=(1, 64, 64, 3), compression='gzip')
    return tmp_path / 'public.h5', actions[np.isfinite(actions).all(axis=1)]


def test_a_data_set_gives_statistics_and_the_goal_tolerance(released, data):
    """Mean and sample std of the rows without NaN; the median distance of neighbouring frames."""
    path, rows = data
    bundle = load_released(released, stats_from=path, control_dt_s=0.1)
    np.testing.assert_allclose(bundle.action_normalizer.mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(bundle.action_normalizer.std, rows.std(axis=0, ddof=1), rtol=1e-5)
    with h5py.File(path) as file:
        pixels = file['pixels'][()]
    with torch.inference_mode():
        latents = bundle.model.encode(bundle.frame_transform(torch.from_numpy(pixels))[None])[0]
    steps = (latents[1:] - latents[:-1]).square().sum(dim=1)
    inside = torch.cat([steps[:19], steps[20:]])     # not across the two episodes
    assert bundle.goal_tolerance == pytest.approx(inside.median().item(), rel=1e-4)


@pytest.mark.parametrize('actions, message', [
    (None, r'public\.h5 has no column action, it has ep_len, ep_offset, pixels'),
    (np.zeros(40), r'public\.h5: action must be \(N, A\), got \(40,\)')])
def test_a_data_set_without_usable_actions_is_refused(released, data, actions, message):
    """Statistics of nothing are no statistics."""
    with h5py.File(data[0], 'a') as file:
        del file['action']
        if actions is not None:
            file['action'] = actions
    with pytest.raises(DatasetError, match=message):
        load_released(released, stats_from=data[0], control_dt_s=0.1)


def test_a_model_that_the_reference_cannot_build_is_not_written(tmp_path):
    """One head as wide as the predictor has no output projection there."""
    sizes = {**SIZES.to_dict(), 'predictor_heads': 1, 'predictor_head_dim': 24}
    with pytest.raises(BundleError, match='cannot be written as a release'):
        write_released(LeWorldModel(ModelConfig(**sizes)), tmp_path / 'released')
    assert not (tmp_path / 'released').exists()


def test_the_command_converts_both_ways(tmp_path, monkeypatch, capsys):
    """What `--to-released` prints is the command that makes the same bundle again."""
    monkeypatch.chdir(tmp_path)
    normalizer = tiny_bundle().action_normalizer
    ours = tiny_bundle(action_normalizer=type(normalizer)(np.float32([-0.1, 0.3]),
                                                          np.float32([1.1, 0.7])))
    ours.save('models/ours')
    assert main(shlex.split('convert models/ours --to-released released')) == 0
    way_back = capsys.readouterr().out.splitlines()[-1]
    assert main(shlex.split(way_back)[1:]) == 0
    theirs = Bundle.load('BUNDLE')
    assert theirs.model_id == Bundle.load('models/ours').model_id
    assert (theirs.robot, theirs.task, theirs.control_dt_s, theirs.goal_tolerance,
            theirs.action_names) == (ours.robot, ours.task, 0.05, 1.0, ours.action_names)
    for part in ('mean', 'std'):
        np.testing.assert_array_equal(getattr(theirs.action_normalizer, part),
                                      getattr(ours.action_normalizer, part))
    assert theirs.provenance['commands'] == [way_back]
    assert way_back in (tmp_path / 'BUNDLE' / 'README.md').read_text()


def test_colours_that_a_checkpoint_cannot_name_are_not_given_away(tmp_path, monkeypatch, capsys):
    """Whoever loads it would normalise otherwise, without a word."""
    monkeypatch.chdir(tmp_path)
    ours = tiny_bundle(frame_transform=FrameTransform(64, (0.9, 0.9, 0.8), (0.1, 0.2, 0.1)))
    ours.save('models/ours')
    assert main(shlex.split('convert models/ours --to-released released')) == 2
    assert 'trained with frame_statistics: data' in capsys.readouterr().err
    assert not (tmp_path / 'released').exists()


@pytest.mark.parametrize('line, message', [
    ('released --out new', 'does not say: action_mean'),
    ('nothing --out new', 'nothing does not exist'),
    ('released --out released', 'released is not empty'),
    ('released --out new --transformers 5', '--transformers goes with --to-released'),
    ('models/ours --to-released released', 'released is not empty'),
    ('models/ours --to-released new --task x', '--to-released takes none of task'),
])
def test_a_wrong_use_of_the_command_gives_one_clean_line(line, message, released, tmp_path,
                                                         monkeypatch, capsys):
    """Exit status 2, the reason, and nothing written."""
    monkeypatch.chdir(tmp_path)
    tiny_bundle().save('models/ours')
    assert main(['convert', *line.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
    assert not (tmp_path / 'new').exists()
