"""Acts for goals without a picture: what some quantities shall be, and the rest may be anything.

Beside `prior.InverseDynamicsPrior`, which goes to one whole frame. Where only the block of a
table counts, a frame that has the block right says by chance where the pusher shall be.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.heads.block_network import BlockNetwork, mlp, Sizes
import torch
from torch import Tensor


@dataclass(frozen=True)
class QuantityPriorConfig(Sizes):
    """Sizes of the network."""

    columns: int = 1        # n, as the bundle's readout answers; training sees to it
    hidden_dim: int = 256
    hidden_layers: int = 3


class QuantityPrior(BlockNetwork):
    """Maps where the robot is, what quantities shall be and when, to the block that leaves here.

    Args:
        config: Sizes.
        latent_dim: D.
        low: Smallest action, (A,) normalised; no answer is below it.
        high: Largest action, (A,) normalised.
        frameskip: K, control steps per block.

    Attributes:
        mean: Of the columns over the training rows, (n,).
        std: Their standard deviations, (n,).
    """

    def __init__(self, config: QuantityPriorConfig, latent_dim: int, low: Tensor, high: Tensor,
                 frameskip: int) -> None:
        super().__init__(mlp(latent_dim + 3 * config.columns + 1, config.hidden_dim,
                             config.hidden_layers, len(low) * frameskip), low, high, frameskip)
        self.config = config
        self.register_buffer('mean', torch.zeros(config.columns))
        self.register_buffer('std', torch.ones(config.columns))

    def forward(self, latents: Tensor, here: Tensor, wanted: Tensor, asked: Tensor,
                steps_left: Tensor) -> Tensor:
        """Answer with one block each.

        Args:
            latents: Where the robot is, (B, D).
            here: What the readout reads there, columns (B, n) in units; see `Readout.forward`.
            wanted: What they shall be, (B, n); of columns that are not asked any finite number.
            asked: Whether they count, (B, n) bool.
            steps_left: Control steps in which to get there, (B,), at least K.

        Returns:
            Blocks (B, K*A), normalised, within the limits.
        """
        share = (self.frameskip / steps_left.to(latents))[:, None]   # of the way, in this block
        counts = asked.to(latents)
        goal = (wanted - self.mean) / self.std * counts
        way = (wanted - here) / self.std * counts
        answer = self.net(torch.cat([latents, goal, share * way, counts, share], dim=-1))
        return self.within_limits(answer)
