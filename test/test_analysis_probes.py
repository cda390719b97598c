"""Probes find what is in the latents, and nothing else."""

from lewm_model.analysis.probes import fit_linear, probe, score
import pytest
import torch


def rows(count, seed):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def test_what_is_linear_in_the_latent_both_probes_read():
    """A target that is a fixed projection of the latent: r is 1, whatever its scale."""
    direction = torch.randn(8, 2, generator=torch.Generator().manual_seed(9))
    fit, held_out = ((z, 50 * z @ direction + 7) for z in (rows(2000, 0), rows(500, 1)))
    scores = probe(fit, held_out, mlp_steps=150)
    assert scores['linear'].r > 0.9999 and scores['linear'].mse < 1e-3
    assert scores['mlp'].r > 0.98


def test_what_is_only_there_nonlinearly_needs_the_mlp():
    """The product of two coordinates is uncorrelated with both: linear r is 0, MLP r is not."""
    fit, held_out = ((z, z[:, :1] * z[:, 1:2]) for z in (rows(4000, 0), rows(1000, 1)))
    scores = probe(fit, held_out, mlp_steps=300)
    assert abs(scores['linear'].r) < 0.15 and scores['linear'].mse > 0.8
    assert scores['mlp'].r > 0.9


def test_what_is_not_there_is_not_found_on_held_out_rows():
    """Noise cannot be read: r is near 0 and the standardised error is not below 1."""
    noise = torch.Generator().manual_seed(5)
    fit, held_out = ((z, torch.randn(len(z), 1, generator=noise))
                     for z in (rows(2000, 0), rows(1000, 1)))
    for found in probe(fit, held_out, mlp_steps=100).values():
        assert abs(found.r) < 0.15 and found.mse > 0.95


def test_ridge_equals_the_solution_of_its_normal_equations():
    """With no ridge and more rows than inputs it is least squares."""
    inputs, targets = rows(50, 0), rows(50, 1)[:, :2]
    design = torch.cat([inputs, torch.ones(50, 1)], dim=1)
    expected = design @ torch.linalg.lstsq(design, targets).solution
    torch.testing.assert_close(fit_linear(inputs, targets, strength=0.0)(inputs), expected,
                               atol=1e-4, rtol=0)


def test_scores_of_known_predictions():
    """Opposite predictions have r = -1; the error is the mean over components and rows."""
    truth = torch.tensor([[-1.0], [0.0], [1.0]])
    assert score(truth, truth).mse == 0 and score(truth, truth).r == pytest.approx(1)
    wrong = score(-truth, truth)
    assert wrong.r == pytest.approx(-1) and wrong.mse == pytest.approx(8 / 3)
