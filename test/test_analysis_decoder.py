"""The decoder shows what a latent holds."""

from lewm_model.analysis.decoder import train_decoder
from lewm_model.heads.decoder import PIXELS, small_pictures
import numpy as np
import torch


def bars(count, size, seed):
    """Pictures with one bright column whose place is the latent."""
    place = np.random.default_rng(seed).uniform(0, 1, size=count)
    frames = np.full((count, size, size, 3), 60, np.uint8)
    for frame, value in zip(frames, place, strict=True):
        left = int(value * 0.75 * size)
        frame[:, left:left + size // 4] = 220
    return torch.from_numpy(place).float()[:, None], frames


def test_a_decoder_learns_to_draw_what_the_latent_says():
    """Unseen places are drawn where they are: much of the variance is explained."""
    decoder = train_decoder(*bars(300, 64, 0), steps=60)
    latents, frames = bars(50, 64, 1)
    pictures = small_pictures(frames)
    error = (decoder(latents) - pictures).square().mean()
    spread = (pictures - pictures.mean(dim=0)).square().mean()
    assert error < 0.7 * spread
    left, right = decoder(torch.tensor([[0.05], [0.95]]))
    assert left[..., :16].mean() > right[..., :16].mean() + 0.1


def test_larger_cameras_are_shown_small():
    """Any camera size ends at 64 px, by averaging."""
    frames = np.zeros((2, 224, 224, 3), np.uint8)
    frames[:, :112] = 255
    small = small_pictures(frames)
    assert small.shape == (2, 3, PIXELS, PIXELS)
    assert small[:, :, :32].min() == 1 and small[:, :, 32:].max() == 0


def test_the_same_seed_draws_the_same():
    """Training is repeatable, and leaves the global random state alone."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = train_decoder(*bars(80, 64, 0), steps=3, seed=1)
    assert torch.equal(torch.rand(1), expected)
    second = train_decoder(*bars(80, 64, 0), steps=3, seed=1)
    point = torch.tensor([[0.5]])
    assert torch.equal(first(point), second(point))
