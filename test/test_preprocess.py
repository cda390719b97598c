"""Frames and actions enter the model in exactly one way."""

from lewm_model.errors import ShapeError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
import numpy as np
import pytest
import torch


def test_a_pixel_is_scaled_then_normalised():
    """White and black become (1 - mean) / std and (0 - mean) / std of ImageNet."""
    frames = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    frames[:, 0] = 255
    out = FrameTransform(2)(frames)
    assert out.shape == (1, 3, 2, 2)
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([2.24891, 2.42857, 2.64]),
                               atol=1e-5, rtol=0)
    torch.testing.assert_close(out[0, :, 1, 1], torch.tensor([-2.11790, -2.03571, -1.80444]),
                               atol=1e-5, rtol=0)


def test_other_sizes_are_resized_and_leading_axes_kept():
    """A constant picture stays constant; clips (B, T, H, W, 3) keep B and T."""
    frames = torch.full((2, 4, 96, 96, 3), 128, dtype=torch.uint8)
    out = FrameTransform(64)(frames)
    assert out.shape == (2, 4, 3, 64, 64)
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), atol=1e-5, rtol=0)


@pytest.mark.parametrize('frames', [torch.zeros(4, 4, 3), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_anything_but_uint8_rgb_is_refused(frames):
    """Floats or channel-first frames would be normalised twice or wrongly."""
    with pytest.raises(ShapeError, match='must be uint8'):
        FrameTransform(4)(frames)


def test_actions_survive_a_round_trip():
    """Normalising and denormalising gives the robot's units back."""
    actions = np.random.default_rng(0).normal([1, -3], [2, 0.1], size=(500, 2)).astype(np.float32)
    normalizer = ActionNormalizer.fit(actions)
    scaled = normalizer.normalize(actions)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0, ddof=1), 1, atol=1e-4)
    np.testing.assert_allclose(normalizer.denormalize(scaled), actions, atol=1e-5)


def test_no_action_becomes_zero_after_scaling_and_does_not_count():
    """NaN rows leave the statistics alone and mean "the average action", not "zero"."""
    actions = np.array([[1.0], [3.0], [np.nan]])
    normalizer = ActionNormalizer.fit(actions)
    assert normalizer.mean == 2
    assert normalizer.normalize(actions)[2] == 0
    assert np.isinf(normalizer.normalize(np.array([np.inf])))  # broken values stay visible


def test_a_joint_that_never_moves_does_not_divide_by_zero():
    """Its deviation is floored, so normalised values stay finite."""
    assert np.isfinite(ActionNormalizer.fit(np.ones((5, 1))).normalize(np.ones(1))).all()


def test_statistics_need_two_rows():
    """One row has no spread."""
    with pytest.raises(ShapeError, match='at least 2 finite rows, got 1'):
        ActionNormalizer.fit(np.array([[1.0], [np.nan]]))


def test_a_joint_that_never_moved_is_zero_wherever_it_is():
    """Held elsewhere than in the data it must not look millions of deviations away."""
    rows = np.stack([np.linspace(-1, 1, 9), np.full(9, 0.3)], axis=1)
    normalizer = ActionNormalizer.fit(rows)
    assert normalizer.normalize(np.array([0.5, 0.7]))[1] == 0
    assert normalizer.normalize(np.array([0.5, 0.3]))[1] == 0
    np.testing.assert_allclose(normalizer.denormalize(np.array([0.0, 1.0]))[1], 0.3, atol=1e-6)
