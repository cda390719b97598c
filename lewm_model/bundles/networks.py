"""What a bundle may have beside its model: names, and how each is built before it is filled.

The name is that of the bundle's attribute, of the section in `bundle.yaml` and of the file
`<name>.safetensors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lewm_model.config import Config, ModelConfig
from lewm_model.heads.decoder import Decoder, DecoderConfig
from lewm_model.heads.goal_policy import GoalPolicy, GoalPolicyConfig
from lewm_model.heads.memory import Memory, MemoryConfig
from lewm_model.heads.plan_prior import PlanPrior, PlanPriorConfig
from lewm_model.heads.prior import InverseDynamicsPrior, PriorConfig
from lewm_model.heads.quantity_prior import QuantityPrior, QuantityPriorConfig
from lewm_model.heads.reach import Reach, ReachConfig
from lewm_model.heads.readable import ReadoutConfig
from lewm_model.heads.readout import Readout
from lewm_model.ordinary import Ordinary, OrdinaryConfig
from torch import nn, Tensor

Limits = tuple[Tensor, Tensor]     # smallest and largest action, (A,) normalised


@dataclass(frozen=True)
class Kind:
    """One of the networks."""

    config: type[Config]
    build: Callable[[Any, ModelConfig, Limits], nn.Module]


def _of_blocks(network: type[nn.Module]) -> Callable[[Any, ModelConfig, Limits], nn.Module]:
    def build(config: Any, sizes: ModelConfig, limits: Limits) -> nn.Module:
        return network(config, sizes.latent_dim, *limits, frameskip=sizes.frameskip)
    return build


NETWORKS = {
    'prior': Kind(PriorConfig, _of_blocks(InverseDynamicsPrior)),
    'gcbc': Kind(GoalPolicyConfig, _of_blocks(GoalPolicy)),
    'quantity_prior': Kind(QuantityPriorConfig, _of_blocks(QuantityPrior)),
    'plan_prior': Kind(PlanPriorConfig, _of_blocks(PlanPrior)),
    'memory': Kind(MemoryConfig, lambda config, sizes, limits: Memory(
        config, sizes.latent_dim, sizes.block_dim)),
    'ordinary': Kind(OrdinaryConfig, lambda config, sizes, limits: Ordinary(
        config, sizes.latent_dim)),
    'reach': Kind(ReachConfig, lambda config, sizes, limits: Reach(config, sizes.latent_dim)),
    'readout': Kind(ReadoutConfig, lambda config, sizes, limits: Readout(
        config, sizes.latent_dim)),
    'decoder': Kind(DecoderConfig, lambda config, sizes, limits: Decoder(
        config, sizes.latent_dim)),
}
# What `lewm train-policy` makes; the rest is measured.
TRAINED = tuple(name for name in NETWORKS if name != 'ordinary')
