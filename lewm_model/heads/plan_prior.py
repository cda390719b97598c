"""A Gaussian over whole plans, told by a small network from the latents of here and of the goal.

Source: PRISM, arXiv 2606.07974: beta-NLL on frozen latents, goals by hindsight, fused with the
planner's own start by precision.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.heads.block_network import BlockNetwork, mlp, Sizes
import torch
from torch import Tensor

_STDS = (0.02, 2.0)    # the least and the largest that it can say, normalised units


@dataclass(frozen=True)
class PlanPriorConfig(Sizes):
    """Sizes of the network."""

    horizon: int             # T, blocks of a plan
    hidden_dim: int = 256
    hidden_layers: int = 2


class PlanPrior(BlockNetwork):
    """Maps where the robot is and where it shall be to a Gaussian over T blocks.

    Args:
        config: Sizes.
        latent_dim: D.
        low: Smallest action, (A,) normalised; no mean is below it.
        high: Largest action, (A,) normalised.
        frameskip: K, control steps per block.
    """

    def __init__(self, config: PlanPriorConfig, latent_dim: int, low: Tensor, high: Tensor,
                 frameskip: int) -> None:
        super().__init__(mlp(2 * latent_dim, config.hidden_dim, config.hidden_layers,
                             2 * config.horizon * len(low) * frameskip), low, high, frameskip)
        self.config = config

    def forward(self, latents: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Say where plans lie: (B, D) and (B, D) to means and standard deviations (B, T, K*A)."""
        answers = self.net(torch.cat([latents, goals], dim=-1))
        means, spreads = answers.unflatten(1, (2, self.config.horizon, -1)).unbind(dim=1)
        least, largest = _STDS
        return (self.within_limits(means),
                least * (largest / least) ** torch.sigmoid(spreads))     # even in the logarithm


def beta_nll(means: Tensor, stds: Tensor, values: Tensor, beta: float = 0.5) -> Tensor:
    """Return the negative log-likelihood, each value weighted by its own variance to the beta.

    The weight has no gradient. With 0 it is the plain likelihood, whose means learn hardly
    anything where the spread is large; with 1 the means learn as from a squared error.
    """
    variances = stds.square()
    loss = 0.5 * ((values - means).square() / variances + variances.log())
    return (loss * variances.detach() ** beta).mean()


def fuse(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Multiply two Gaussians, (mean, std) each: precisions add up, means are weighted by them."""
    (mean_a, std_a), (mean_b, std_b) = first, second
    precision_a, precision_b = std_a.square().reciprocal(), std_b.square().reciprocal()
    variance = (precision_a + precision_b).reciprocal()
    return variance * (precision_a * mean_a + precision_b * mean_b), variance.sqrt()
