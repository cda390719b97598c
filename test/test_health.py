"""Health checks see what loss curves hide."""

import math

from lewm_model.sigreg import SigReg
from lewm_model.training.health import (
    check_health,
    Health,
    Readouts,
    ridge_probe,
    straightness,
)
from nano import tiny_bundle
import pytest
import torch


def test_a_linear_quantity_is_read_out_and_noise_is_not():
    """R2 is 1 for a linear function of the latents and about 0 for an unrelated one."""
    torch.manual_seed(0)
    latents = torch.randn(2000, 8)
    sides = latents[:1000], latents[1000:]
    way = torch.randn(8, 2)
    assert ridge_probe(*((one, one @ way + 3) for one in sides)) == pytest.approx(1, abs=1e-3)
    assert abs(ridge_probe(*((one, torch.randn(1000, 1)) for one in sides))) < 0.05


def test_a_quantity_that_only_tells_episodes_apart_is_not_read_out():
    """Latents that know the episode and nothing else: of other episodes they know nothing."""
    torch.manual_seed(0)
    places, angles = torch.randn(40, 16), torch.randn(40, 1)     # one of each in every episode
    latents = (places[:, None] + 0.1 * torch.randn(40, 30, 16)).flatten(0, 1)
    values = angles.repeat_interleave(30, dim=0)
    model = tiny_bundle().model
    frames = torch.nn.functional.pad(latents, (0, 3 * 64 * 64 - 16)).view(-1, 3, 64, 64)
    known, new = slice(0, 600), slice(600, 1200)
    inside = [(latents[first:600:2], values[first:600:2]) for first in (0, 1)]
    assert ridge_probe(*inside) > 0.5
    clips = frames[new][:, None].expand(-1, 4, -1, -1, -1)
    model.encode = lambda part: part.flatten(0, -4).flatten(1)[:, :16].view(*part.shape[:-3], 16)
    health = check_health(model, clips, torch.randn(600, 4, 10), clips[:8, :2],
                          Readouts(frames[known], {'turn': values[known]}, {'turn': values[new]}),
                          SigReg(16), 64, torch.Generator())
    assert health.probes['turn'] < 0.2


def test_the_worst_probe_is_reported_not_the_mean():
    """Partial collapse: one factor perfect, one lost."""
    health = Health(0, 0, 0, 0, 0, 0, probes={'shoulder': 1.0, 'wrist': 0.1})
    assert health.worst_probe == 0.1
    assert math.isnan(Health(0, 0, 0, 0, 0, 0).worst_probe)


@pytest.mark.parametrize('collapsed', [False, True])
def test_collapse_shows_in_spread_rank_and_eval_mode_sigreg(collapsed):
    """A model that maps everything to one point: std 0, and SIGReg at its known collapse value."""
    model = tiny_bundle().model.train()
    with torch.no_grad():
        model.projector.net[3].weight.mul_(0.0 if collapsed else 8.0)
    frames, pairs = torch.randn(64, 4, 3, 64, 64), torch.randn(16, 2, 3, 64, 64)
    health = check_health(model, frames, torch.randn(64, 4, 10), pairs,
                          Readouts(frames[:, 1], {'x': torch.randn(64, 1)},
                                   {'x': torch.randn(64, 1)}), SigReg(64), 64,
                          torch.Generator().manual_seed(0))
    assert model.training   # put back
    if collapsed:
        assert health.latent_std == pytest.approx(0, abs=1e-6)
        assert health.step_distance == pytest.approx(0, abs=1e-9)
        # 0.40205 B for latents at the origin; the bias moves them a little.
        assert health.sigreg == pytest.approx(0.40205 * 64, rel=0.2)
    else:
        assert health.latent_std > 0.05
        assert 1 < health.effective_rank <= 16
        assert health.copy_error > 0


def test_sigreg_is_measured_at_the_batch_size_of_the_run():
    """Its value grows with the batch: 128 clips in batches of 32 give the value of 32."""
    model = tiny_bundle().model
    with torch.no_grad():
        model.projector.net[3].weight.zero_()
        model.projector.net[3].bias.zero_()
    health = check_health(model, torch.randn(128, 4, 3, 64, 64), torch.randn(128, 4, 10),
                          torch.randn(4, 2, 3, 64, 64), None, SigReg(64), 32, torch.Generator())
    assert health.sigreg == pytest.approx(0.40205 * 32, rel=1e-3)


@pytest.mark.parametrize('turn, expected', [(0.0, 1.0), (90.0, 0.0), (120.0, -0.5), (180.0, -1.0)])
def test_straightness_is_the_cosine_of_the_turn(turn, expected):
    """A path that turns by the same angle at every step has the cosine of that angle."""
    headings = torch.deg2rad(turn * torch.arange(5))
    steps = torch.stack([headings.cos(), headings.sin()], dim=-1)
    path = torch.cat([torch.zeros(1, 2), steps.cumsum(dim=0)])
    assert straightness(path[None]) == pytest.approx(expected, abs=1e-6)
