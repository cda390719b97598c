"""What colours are normalised by: the paper's numbers, or those of the frames of training."""

from dataclasses import replace

from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, TrainingError
from lewm_model.preprocess import FrameTransform, IMAGENET_MEAN
from lewm_model.training.regularizer import require_fitting
from lewm_model.training.run import Recipe, train_bundle
from nano import SIZES
import numpy as np
import pytest
from test_train_states import path, RECIPE  # noqa: F401 (a fixture)
import torch

OF_DATA = replace(RECIPE, train=replace(RECIPE.train, frame_statistics='data'))


def train(data: EpisodeFile, recipe: Recipe, folder, **options) -> Bundle:
    """Return the bundle as it was written and read again."""
    train_bundle(data, recipe, run_folder=folder / 'run', bundle_folder=folder / 'bundle',
                 commands=[], report=lambda progress: None, **options)
    return Bundle.load(folder / 'bundle')


def test_normalised_frames_have_mean_0_and_spread_1_per_colour():
    """Of white frames with small dark parts, where the paper's numbers give 2.4 and 0.3."""
    rng = np.random.default_rng(0)
    frames = np.full((50, 32, 32, 3), 250, np.uint8)
    frames[:, 4:10, 4:10] = rng.integers(0, 200, (50, 6, 6, 3))
    seen = FrameTransform.fit(frames, 32)(torch.from_numpy(frames))
    for colour in range(3):
        values = seen[:, colour]
        assert values.mean().item() == pytest.approx(0, abs=1e-5)
        assert values.std().item() == pytest.approx(1, abs=1e-3)
    usual = FrameTransform(32)(torch.from_numpy(frames))
    assert usual.mean() > 2


def test_a_colour_that_never_changes_is_not_blown_up():
    """A grey level of noise in it stays below a fifth of a standard deviation."""
    for level in range(1, 255):       # of some the variance is -1e-17 in floats
        frames = np.full((10, 8, 8, 3), level, np.uint8)
        transform = FrameTransform.fit(frames, 8)
        noisy = torch.from_numpy(frames + 1)
        assert (transform(noisy) - transform(torch.from_numpy(frames))).abs().max() < 0.2


def test_the_bundle_has_the_statistics_of_the_episodes_it_was_trained_on(path, tmp_path):  # noqa: F811
    """Not of those held out, which differ here; provenance and card say that they are other."""
    data = EpisodeFile.open(path)
    made = train(data, OF_DATA, tmp_path / 'first')
    assert made.frame_transform == FrameTransform.fit(
        data.pixels[np.repeat(trained_on(made, data), data.ep_len)], 64)
    assert made.frame_transform.mean != IMAGENET_MEAN and not trained_on(made, data).all()
    assert made.provenance['frame_statistics'] == 'data'
    assert 'frame statistics | data' in (tmp_path / 'first/bundle/README.md').read_text()
    usual = train(data, RECIPE, tmp_path / 'second')
    assert usual.frame_transform.mean == IMAGENET_MEAN
    assert 'frame_statistics' not in usual.provenance


def trained_on(bundle, data):
    """Return which episodes are the bundle's own."""
    from lewm_model.held_out import HeldOut
    return np.isin(np.arange(data.num_episodes), HeldOut(bundle, data).kept)


def test_a_run_begins_only_with_weights_that_saw_frames_alike(path, tmp_path):  # noqa: F811
    """Weights that were made for other numbers would see another picture."""
    data = EpisodeFile.open(path)
    first = train(data, RECIPE, tmp_path / 'first')
    with pytest.raises(ConfigError, match='frame_statistics'):
        train(data, OF_DATA, tmp_path / 'second', begin_with=first)
    train(data, RECIPE, tmp_path / 'third', begin_with=first)


def test_a_frozen_encoder_keeps_its_own():
    """It was trained with them; asking for others is refused, not forgotten."""
    frozen = replace(SIZES, encoder='frozen', latent_dim=112 * 16)
    config = replace(OF_DATA.train, loss='prediction')
    with pytest.raises(TrainingError, match="frame_statistics must be 'imagenet' with a frozen"):
        require_fitting(frozen, config)


def test_only_known_statistics():
    """The message names both."""
    with pytest.raises(ConfigError, match="frame_statistics must be 'imagenet' or 'data'"):
        replace(RECIPE.train, frame_statistics='mean')
