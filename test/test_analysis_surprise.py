"""Surprise on a toy whose future is known, and the statistics around it."""

from types import SimpleNamespace

from lewm_model.analysis.surprise import calibrate, paired_t_test, prediction_errors, student_p
import numpy as np
import pytest
import torch


class RunningSum:
    """Predicts latent + block, which is what the toy's world does."""

    config = SimpleNamespace(history=3)

    def __init__(self):
        self.lengths = []

    def predict(self, latents, blocks):
        self.lengths.append(latents.shape[1])
        return latents + blocks


def toy(teleport_at=None, count=6):
    blocks = torch.randn(40, count - 1, 2, generator=torch.Generator().manual_seed(0))
    latents = torch.cat([torch.zeros(40, 1, 2), blocks.cumsum(dim=1)], dim=1)
    if teleport_at is not None:
        latents[:, teleport_at:] += 5
    return latents, blocks


def test_a_perfect_model_of_the_world_is_never_surprised():
    """Frame k is predicted from frame k-1 and the block leaving it: errors are 0."""
    assert prediction_errors(RunningSum(), *toy()).abs().max() < 1e-10


def test_a_shifted_block_would_be_noticed():
    """The pairing rule matters: with the blocks one late the error is far from 0."""
    latents, blocks = toy()
    assert prediction_errors(RunningSum(), latents, blocks.roll(1, dims=1)).mean() > 0.5


def test_a_teleport_surprises_exactly_once():
    """Only the frame at which the world jumps is wrong, by the squared jump; then life goes on."""
    errors = prediction_errors(RunningSum(), *toy(teleport_at=3)).clone()
    torch.testing.assert_close(errors[:, 2], torch.full((40,), 25.0))
    errors[:, 2] = 0
    assert errors.max() < 1e-9


def test_the_context_grows_to_the_history_of_the_model():
    """Frames 1, 2, 3, 4, 5 are predicted from 1, 2, 3, 3, 3 frames."""
    model = RunningSum()
    prediction_errors(model, *toy())
    assert model.lengths == [1, 2, 3, 3, 3]


def test_calibration_makes_ordinary_surprise_1():
    """The threshold is the quantile of error / mean error, whatever the scale of latents."""
    errors = torch.arange(1, 1002).float()
    found = calibrate(errors.reshape(-1, 1), quantile=0.9)
    assert (found.mean_error, found.samples) == (501.0, 1001)
    assert found.threshold == pytest.approx(901 / 501)
    assert calibrate(errors * 1e3, quantile=0.9).threshold == pytest.approx(found.threshold)


@pytest.mark.parametrize(('t', 'degrees', 'p'), [
    (12.7062, 1, 0.05), (63.6567, 1, 0.01), (2.2622, 9, 0.05), (3.2498, 9, 0.01),
    (2.0096, 49, 0.05), (-2.0096, 49, 0.05), (3.6594, 29, 0.001), (0.0, 5, 1.0),
])
def test_p_values_have_their_textbook_values(t, degrees, p):
    """Two-sided critical values as published tables give them."""
    assert student_p(t, degrees) == pytest.approx(p, rel=2e-4)


def test_tiny_p_values_are_accurate_not_zero():
    """One degree of freedom is Cauchy's, p = 2/pi atan(1/t); with two, p is about 1 / t^2."""
    assert student_p(1e6, 1) == pytest.approx(2 / np.pi * np.arctan(1e-6), rel=1e-10)
    assert student_p(1e5, 2) == pytest.approx(1e-10, rel=1e-6)
    assert 0 < student_p(40, 59) < 1e-40


def test_the_paired_test_on_worked_numbers():
    """Differences 1, 2, 3 have mean 2 and standard error 1/sqrt(3): t = 3.4641, p = 0.0742."""
    found = paired_t_test(np.array([11.0, 22, 33]), np.array([10.0, 20, 30]))
    assert (found.mean_difference, found.degrees) == (2.0, 2)
    assert found.t == pytest.approx(3.4641, abs=1e-4) and found.p == pytest.approx(0.0742,
                                                                               abs=1e-4)
    assert paired_t_test(np.zeros(3), np.array([1.0, 2, 3])).t == pytest.approx(-3.4641, abs=1e-4)
    same = paired_t_test(np.ones(3), np.ones(3))
    assert (same.t, same.p) == (0, 1)
    assert paired_t_test(np.ones(3), np.zeros(3)).p == 0
