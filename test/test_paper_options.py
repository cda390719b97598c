"""What a person who reproduces the paper may want to set otherwise than the reference's code."""

from dataclasses import fields
import math
from pathlib import Path
import re

from lewm_model.config import ModelConfig, PlanConfig, TrainConfig
from lewm_model.errors import ConfigError
from lewm_model.sigreg import SigReg
from lewm_model.training.optimizer import make_optimizer
import pytest
import torch
from torch import nn


def collapsed_value(first, last, knots, batch):
    """Compute by hand what latents in one point have: every e_j is (1 - phi_j)^2."""
    step = (last - first) / (knots - 1)
    total = 0.0
    for index in range(knots):
        t = first + index * step
        normal = math.exp(-t * t / 2)
        share = 1 if index in (0, knots - 1) else 2
        total += share * step * normal * (1 - normal) ** 2
    return batch * total


@pytest.mark.parametrize(('first', 'last'), [(0.0, 3.0), (0.2, 4.0), (0.5, 2.0)])
def test_sigreg_integrates_over_the_range_that_is_asked_for(first, last):
    """Known answer: latents in one point; also at the first knot, which only counts above 0."""
    statistic = SigReg(32, 17, first_knot=first, last_knot=last)
    assert statistic(torch.zeros(8, 2, 6)).item() == pytest.approx(
        collapsed_value(first, last, 17, 8), rel=1e-5)


def test_the_papers_range_also_tells_gaussian_from_collapsed():
    """Both ranges put a standard normal far below a point, so either keeps latents apart."""
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(128, 1, 32, generator=generator)
    statistic = SigReg(256, 17, first_knot=0.2, last_knot=4.0)
    assert statistic(gaussian) < 0.05 * statistic(torch.zeros(128, 1, 32))


@pytest.mark.parametrize(('first', 'last'), [(-0.1, 3.0), (3.0, 3.0), (2.0, 1.0)])
def test_an_empty_range_is_refused(first, last):
    """By the settings and by SIGReg itself, with the numbers."""
    with pytest.raises(ConfigError, match=r'sigreg_first_knot must be in \[0, sigreg_last_knot='):
        TrainConfig(sigreg_first_knot=first, sigreg_last_knot=last)
    with pytest.raises(ConfigError, match='0 <= first_knot < last_knot'):
        SigReg(first_knot=first, last_knot=last)


@pytest.mark.parametrize('decay_norms', [True, False])
def test_weight_decay_spares_biases_and_norms_only_when_asked(decay_norms):
    """Without gradients to follow, a step shrinks exactly what decays, by lr * decay."""
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    for value in model.parameters():
        nn.init.ones_(value)
        value.grad = torch.zeros_like(value)
    config = TrainConfig(learning_rate=0.1, weight_decay=0.5, decay_norms=decay_norms)
    make_optimizer(model, config).step()
    small = 1.0 if not decay_norms else 0.95
    assert torch.allclose(model[0].weight, torch.tensor(0.95))
    for value in (model[0].bias, model[1].weight, model[1].bias):
        assert torch.allclose(value, torch.tensor(small))


def test_every_setting_that_the_page_names_exists():
    """docs/compatibility.md promises options; a renamed one must not stay promised."""
    text = (Path(__file__).parents[1] / 'docs' / 'compatibility.md').read_text()
    kinds = {'model': ModelConfig, 'train': TrainConfig, 'plan': PlanConfig}
    named = set(re.findall(r'`(model|train|plan)\.(\w+)', text))
    assert len(named) > 15
    for section, name in named:
        assert name in {field.name for field in fields(kinds[section])}, f'{section}.{name}'
