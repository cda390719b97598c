"""Claims about `lewm_model.sigreg`; most numbers were measured on the reference."""

from lewm_model.errors import ConfigError, ShapeError
from lewm_model.sigreg import SigReg
import pytest
import torch

T = 4
D = 192


def seeded(seed=0):
    """A generator of its own for every use."""
    return torch.Generator().manual_seed(seed)


def mean_of_draws(make_latents, draws=4):
    """The statistic averaged over fresh latents and fresh directions."""
    generator = seeded()
    sigreg = SigReg()
    return sum(sigreg(make_latents(generator), generator).item() for _ in range(draws)) / draws


@pytest.mark.parametrize('batch, value', [(32, 12.866), (128, 51.462), (256, 102.92)])
def test_collapsed_latents_cost_a_known_multiple_of_the_batch(batch, value):
    """All zeros give 0.40205 * B whatever the directions: no chance, only rounding."""
    assert SigReg()(torch.zeros(batch, T, D)).item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize('batch', [1, 32, 128])
def test_gaussian_latents_sit_at_the_floor_for_every_batch(batch):
    """N(0, I) gives 1.0525; one draw spreads 0.03, so four stay within 0.06."""
    value = mean_of_draws(lambda g: torch.randn(batch, T, D, generator=g))

    assert value == pytest.approx(1.0525, abs=0.06)


@pytest.mark.parametrize('scale, value, tolerance', [
    (0.1, 49.545, 0.03), (0.5, 19.806, 0.25), (2.0, 31.884, 0.3)])
def test_gaussians_of_the_wrong_scale_cost_their_expectation(scale, value, tolerance):
    """The expectation is exact: sum of w * (B * (phi(st) - phi(t))^2 + 1 - phi(st)^2)."""
    measured = mean_of_draws(lambda g: scale * torch.randn(128, T, D, generator=g))

    assert measured == pytest.approx(value, abs=tolerance)  # over four standard errors


@pytest.mark.parametrize('rank, value', [(1, 22), (2, 14), (4, 8.5), (16, 3.0), (64, 1.4)])
def test_low_rank_gaussians_are_seen_although_their_variance_is_right(rank, value):
    """Total variance 192 in few dimensions costs more, the fewer: within 12 % of the table."""
    def low_rank(generator):
        mixing = torch.randn(rank, D, generator=generator) / rank ** 0.5
        return torch.randn(128, T, rank, generator=generator) @ mixing

    assert mean_of_draws(low_rank, draws=8) == pytest.approx(value, rel=0.12)


@pytest.mark.parametrize('axes, value', [(1, 50.4), (16, 37.7), (64, 14.6)])
def test_dead_axes_are_seen(axes, value):
    """Unit variance on some axes, zero on the others: within 2 % of the table."""
    def some_axes(generator):
        latents = torch.zeros(128, T, D)
        latents[..., :axes] = torch.randn(128, T, axes, generator=generator)
        return latents

    assert mean_of_draws(some_axes) == pytest.approx(value, rel=0.02)


def test_row_order_does_not_matter():
    """Shuffling the batch within each time step leaves the value."""
    latents = torch.randn(32, T, 16, generator=seeded(), dtype=torch.float64)
    shuffled = torch.stack([latents[torch.randperm(32, generator=seeded(step)), step]
                            for step in range(T)], dim=1)

    sigreg = SigReg(64)

    torch.testing.assert_close(sigreg(shuffled, seeded()), sigreg(latents, seeded()),
                               atol=1e-12, rtol=0)


def test_time_steps_are_tested_apart_and_averaged():
    """A clip of a collapsed and a Gaussian step costs the mean of both; pooling would not."""
    latents = torch.randn(64, 2, 16, generator=seeded(), dtype=torch.float64)
    latents[:, 1] = 0
    sigreg = SigReg(64)

    apart = [sigreg(latents[:, step:step + 1], seeded()) for step in range(2)]

    torch.testing.assert_close(sigreg(latents, seeded()), (apart[0] + apart[1]) / 2,
                               atol=1e-12, rtol=0)


def test_gradient_agrees_with_finite_differences():
    """Central differences in float64 give the gradient, for a small batch."""
    latents = torch.randn(5, 2, 3, generator=seeded(), dtype=torch.float64, requires_grad=True)
    sigreg = SigReg(num_projections=7)

    assert torch.autograd.gradcheck(lambda z: sigreg(z, seeded(1)), (latents,), atol=1e-7)


def test_descending_the_gradient_undoes_a_collapse():
    """Latents of spread 0.1 reach the Gaussian floor by following the gradient alone."""
    latents = (0.1 * torch.randn(128, 1, 8, generator=seeded())).requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=0.05)
    generator, sigreg = seeded(1), SigReg(64)
    for _ in range(150):
        optimiser.zero_grad()
        sigreg(latents, generator).backward()
        optimiser.step()

    assert sigreg(latents.detach(), generator) < 1.0525
    covariance = latents.detach()[:, 0].T.cov()
    torch.testing.assert_close(covariance, torch.eye(8), atol=0.25, rtol=0)


def test_knots_only_refine_the_integral():
    """From 17 to 65 knots the collapsed value moves by less than 1 %."""
    zeros = torch.zeros(128, 1, 8)

    assert SigReg(8, 65)(zeros).item() == pytest.approx(SigReg(8, 17)(zeros).item(), rel=0.01)


def test_autocast_does_not_lower_the_precision():
    """Under bf16 autocast the value is the float32 one, bit for bit."""
    latents = torch.randn(64, T, 32, generator=seeded())
    sigreg = SigReg(64)

    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = sigreg(latents, seeded())

    assert value.dtype == torch.float32
    assert torch.equal(value, sigreg(latents, seeded()))
    low = sigreg(latents.bfloat16(), seeded())
    assert torch.equal(low, sigreg(latents.bfloat16().float(), seeded()))


def test_directions_come_from_the_generator_alone():
    """Equal seeds give equal values, a running generator others; the global one is untouched."""
    latents = torch.randn(64, T, 32, generator=seeded())
    sigreg, generator, before = SigReg(16), seeded(5), torch.get_rng_state()

    first, second = sigreg(latents, generator), sigreg(latents, generator)

    assert torch.equal(first, sigreg(latents, seeded(5)))
    assert not torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_nonsense_is_refused():
    """Missing axes and impossible counts are named with their values."""
    with pytest.raises(ShapeError, match=r'\(B, T, D\), got \(3, 4\)'):
        SigReg()(torch.zeros(3, 4))
    with pytest.raises(ConfigError, match='got 0 and 17'):
        SigReg(num_projections=0)
    with pytest.raises(ConfigError, match='got 8 and 1'):
        SigReg(8, num_knots=1)
