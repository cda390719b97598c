"""Parity tells an engine that computes something else, and by how much it matters."""

from __future__ import annotations

from dataclasses import replace

from engine_faults import Faulty
from engine_models import alive_bundle, PLAN_2
from lewm_model.engines.parity import check_parity, measure_parity
from lewm_model.engines.parity_cases import make_cases
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import EngineError
from lewm_model.planning.objectives import make_objective
from nano import tiny_bundle
import pytest
import torch


@pytest.mark.parametrize('fault, named', [
    ('encode', 'encode error'), ('pairing', 'rollout error.*regret.*rank correlation'),
    ('history', 'rollout error'), ('answer', 'rollout error'),
    ('nan', 'rollout error nan.*regret nan.*rank correlation nan')])
def test_parity_finds_planted_faults(fault, named):
    """Each wrong computation is refused by the quantity that it spoils."""
    bundle = alive_bundle()
    with pytest.raises(EngineError, match=f'faulty:fp32 does not agree.*{named}'):
        check_parity(Faulty(bundle, fault), bundle, PLAN_2)


def test_parity_of_the_reference_with_itself_is_perfect():
    """No false alarm: zero errors, correlation one; also where actions have no effect yet."""
    for bundle in (alive_bundle(), tiny_bundle()):
        parity = measure_parity(TorchEngine(bundle), bundle, PLAN_2)
        assert parity.encode_error == parity.rollout_error == parity.regret == 0
        assert parity.rank_correlation == pytest.approx(1)


class Off(TorchEngine):
    """Eager, with latents off by noise of a given share of their size."""

    name, precision = 'off', 'bf16'

    def __init__(self, bundle, share):
        super().__init__(bundle)
        self.share = share

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        return latents + self.share * latents.std() * noise


def test_regret_grows_with_the_error_and_has_a_known_size():
    """Nothing for nearly none; a choice at random costs what elites gain over the average."""
    bundle, config = alive_bundle(), replace(PLAN_2, num_candidates=200, num_elites=20)
    regrets = [measure_parity(Off(bundle, share), bundle, config).regret
               for share in (1e-6, 0.1, 1e4)]
    assert regrets[0] < 1e-3 and sorted(regrets) == regrets
    cases = make_cases(bundle, config)
    gains = []
    for case in cases.rollouts:
        for goal in case.goals:
            costs = make_objective(config.cost)(case.expected, goal)
            gains.append((costs.mean() - costs.sort().values[:20].mean()) / costs.std())
    assert min(gains) / 2 < regrets[-1] < 2 * max(gains)
    with pytest.raises(EngineError, match='regret'):
        check_parity(Off(bundle, 1e4), bundle, config)


class OffBySpread(TorchEngine):
    """Eager, with latents off by a share of how much they differ between candidates."""

    name = 'off by spread'

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        return latents + 0.5 * latents.std(dim=0) * noise if len(latents) > 1 else latents


def test_regret_counts_in_units_of_the_spread():
    """Actions with a hundredth of the effect, costs ten thousand times closer: as much regret."""
    regrets = []
    for gain in (1.0, 1e-2):
        bundle = alive_bundle()
        for name, parameter in bundle.model.named_parameters():
            if name.startswith('action_encoder.embed.2'):
                parameter.mul_(gain)
        regrets.append(measure_parity(OffBySpread(bundle), bundle, PLAN_2).regret)
    assert 0.01 < regrets[0] / 4 < regrets[1] < 4 * regrets[0]
