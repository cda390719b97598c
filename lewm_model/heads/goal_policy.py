"""Behaviour cloning to a goal on frozen latents: no world model is asked, nothing is searched.

Source: goal-conditioned behaviour cloning (GCBC) as LeWorldModel's paper compares with it, there
on DINOv2 features; here on the latents of the bundle that it is added to.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.heads.block_network import BlockNetwork, BlockNetworkConfig, mlp
import torch
from torch import Tensor


@dataclass(frozen=True)
class GoalPolicyConfig(BlockNetworkConfig):
    """Sizes of the network."""


class GoalPolicy(BlockNetwork):
    """Maps where the robot is and where it shall be to the block that leaves here.

    Unlike `prior.InverseDynamicsPrior` it is not told when to arrive: it answers with the mean of
    what the data did on the way to such goals, however far they were.

    Args:
        config: Sizes.
        latent_dim: D.
        low: Smallest action, (A,) normalised; no answer is below it.
        high: Largest action, (A,) normalised.
        frameskip: K, control steps per block.
    """

    def __init__(self, config: GoalPolicyConfig, latent_dim: int, low: Tensor, high: Tensor,
                 frameskip: int) -> None:
        super().__init__(mlp(2 * latent_dim, config.hidden_dim, config.hidden_layers,
                             len(low) * frameskip), low, high, frameskip)
        self.config = config

    def forward(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Answer with one block each: (B, D) and (B, D) to (B, K*A), within the limits."""
        return self.within_limits(self.net(torch.cat([latents, goals], dim=-1)))
