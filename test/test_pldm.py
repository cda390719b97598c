"""PLDM's objective: every term by hand, in the loop, and named in the bundle."""

import dataclasses

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.card import render_card
from lewm_model.config import TrainConfig
from lewm_model.errors import ConfigError, ShapeError
from lewm_model.training.diagnosis import diagnose
from lewm_model.training.distributed import Group
from lewm_model.training.inverse_term import InverseTerm
from lewm_model.training.pldm import pldm_terms
from lewm_model.training.regularizer import loss_weights, Regularizer
from nano import SIZES, tiny_bundle
import pytest
from test_training import losses, run, TINY, whole_and_in_parts
import torch

ON = dataclasses.replace(TINY, loss='pldm')


def test_every_term_by_hand():
    """Two clips of two frames in two dimensions; numbers worked out on paper.

    Centred over the batch, frame 0 is +-(0.5, 0.3) and frame 1 +-(0.1, -0.2). Variances over two
    clips are twice the squares: 0.5, 0.18, 0.02, 0.08; covariances 0.3 and -0.04. Over time, clip
    by clip, the variance is half the square of the step: (0.4, 0.5) -> 0.08, 0.125, both alike.
    """
    latents = torch.tensor([[[1.5, 2.3], [0.1, 0.8]], [[0.5, 1.7], [-0.1, 1.2]]])
    terms = pldm_terms(latents)

    def short(*variances):
        return sum(1 - (one + 1e-4) ** 0.5 for one in variances) / len(variances)
    expected = {
        'std': short(0.5, 0.18, 0.02, 0.08),
        'cov': (2 * 0.3 ** 2 + 2 * 0.04 ** 2) / 2 / (2 ** 2 - 2),
        'std_time': short(0.08, 0.125),
        'alignment': (1.4 ** 2 + 1.5 ** 2 + 0.6 ** 2 + 0.5 ** 2) / 4}
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected,
                                                                                  rel=1e-4)


def test_independent_unit_latents_cost_almost_nothing_and_a_point_costs_most():
    """Standard deviation 1 and no covariance are what is asked for; one point falls short by 1."""
    spread = pldm_terms(torch.randn(4000, 3, 8, generator=torch.Generator().manual_seed(0)))
    assert spread['std'] < 0.02 and spread['cov'] < 1e-3
    point = pldm_terms(torch.zeros(16, 3, 8))
    assert [point[name].item() for name in ('std', 'std_time')] == pytest.approx([0.99, 0.99])
    assert point['cov'] == point['alignment'] == 0


def test_too_few_clips_are_refused():
    """A variance over one clip does not exist; the message has the shape."""
    with pytest.raises(ShapeError, match=r'got \(1, 3, 8\)'):
        pldm_terms(torch.zeros(1, 3, 8))


def test_the_published_weights():
    """18, 12, 0.7, 0.2, and no inverse dynamics: those of the authors' comparison."""
    config = TrainConfig(loss='pldm')
    assert loss_weights(config) == {'std': 18, 'cov': 12, 'std_time': 0.7, 'alignment': 0.2}
    assert config.inverse_weight == 0
    assert loss_weights(TrainConfig()) == {'sigreg': 0.09}
    with pytest.raises(ConfigError, match="TrainConfig.loss must be one of .*got 'vic'"):
        TrainConfig(loss='vic')


def test_the_loss_is_the_weighted_sum():
    """And SIGReg is measured, but has no gradient."""
    latents = torch.randn(16, 4, 8, requires_grad=True)
    found = Regularizer(ON, Group(), 'cpu')(latents)
    terms = pldm_terms(latents)
    torch.testing.assert_close(found.loss, 18 * terms['std'] + 12 * terms['cov']
                               + 0.7 * terms['std_time'] + 0.2 * terms['alignment'])
    assert found.sigreg > 0 and not found.sigreg.requires_grad


def test_a_run_logs_its_terms_and_goes_on_exactly(tmp_path):
    """Interrupted after step 5 of 12: the same losses, bit for bit; a LeWM run is another one."""
    both = dataclasses.replace(ON, inverse_weight=1.0)
    whole, _ = whole_and_in_parts(tmp_path, both)
    assert set(whole.progress.losses[0]) == {
        'step', 'prediction', 'sigreg', 'grad_norm', 'std', 'cov', 'std_time', 'alignment',
        'inverse'}
    assert losses(run(tmp_path / 'lewm'))[-1] != losses(whole)[-1]


def test_the_spread_grows_towards_what_is_asked_for(tmp_path):
    """From a first shortfall of the standard deviation, 60 steps leave less than half."""
    config = dataclasses.replace(ON, steps=60, learning_rate=3e-3, validate_every=60,
                                 checkpoint_every=60)
    std = [point['std'] for point in run(tmp_path, config).progress.losses]
    assert std[-1] < 0.5 * std[0]


def test_inverse_dynamics_reads_the_action_that_moves_the_latent():
    """Latents that move by their action: the head finds it; latents that stand still: nothing."""
    torch.manual_seed(0)
    for told, low, high in ((1.0, 0, 0.1), (0.0, 0.8, 1.2)):
        blocks = torch.randn(512, 4, SIZES.block_dim)
        latents = torch.zeros(512, 4, SIZES.latent_dim)
        latents[:, 1:, :SIZES.block_dim] = told * blocks[:, :-1].cumsum(dim=1)
        term = InverseTerm(SIZES, dataclasses.replace(TINY, weight_decay=0.0), 'cpu', Group())
        for _ in range(300):
            loss = term.loss(latents, blocks)
            loss.backward()
            term.step(3e-3)
        assert low <= loss.item() < high


def test_health_asks_a_pldm_run_for_no_gaussian():
    """What stops a LeWM run with a huge SIGReg leaves this one alone; a collapse stops both."""
    check = {'step': 10_000, 'sigreg': 1e3, 'training_sigreg': 1e3, 'latent_std': 1.0,
             'prediction': 0.1, 'probes': {}}
    assert diagnose([check] * 3, TrainConfig(loss='pldm'), 10_000) is None
    with pytest.raises(Exception, match='nearly one point'):
        diagnose([check] * 3, TrainConfig(), 10_000)
    with pytest.raises(Exception, match=r'Raise pldm_std \(18\) and pldm_cov \(12\)'):
        diagnose([{**check, 'latent_std': 0.01}] * 3, TrainConfig(loss='pldm'), 10_000)


def test_nobody_takes_the_bundle_for_a_leworldmodel(tmp_path):
    """Name and weights survive the bundle's file, and the card says it in its first line."""
    made = {'validation_split': 0.1, 'loss': 'pldm', 'loss_weights': 'std 18, cov 12'}
    folder = tiny_bundle(provenance=made).save(tmp_path / 'rival')
    card = render_card(Bundle.load(folder), 'rival')
    assert 'the objective of **PLDM** to compare with (no LeWorldModel)' in card
    assert '| loss weights | std 18, cov 12 |' in card
    assert 'A LeWorldModel for task' in render_card(tiny_bundle(), 'ours')
