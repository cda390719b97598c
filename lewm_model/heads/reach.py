"""How far one place is from another, learnt from what followed what, and a bank of places.

Two latents say how different two pictures are, not how long the way between them is: a wall, or an
object that has to be gone around, does not show in their distance. A classifier that has seen
which frames of an episode followed which tells the time, and places of the training set that are
near to each other by it make a map.

Sources: search on the replay buffer (arXiv 1906.05253), semi-parametric topological memory
(arXiv 1803.00653).
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.heads.block_network import mlp, Sizes
import torch
from torch import nn, Tensor


@dataclass(frozen=True)
class ReachConfig(Sizes):
    """Sizes of the network and of the bank."""

    most: int = 5            # blocks; what takes longer is called further
    places: int = 500        # N, in the bank
    hidden_dim: int = 256
    hidden_layers: int = 3


class Reach(nn.Module):
    """Tells in how many blocks a robot gets from one latent to another, if that is near.

    Args:
        config: Sizes.
        latent_dim: D.
    """

    def __init__(self, config: ReachConfig, latent_dim: int) -> None:
        super().__init__()
        self.config = config
        self.net = mlp(2 * latent_dim, config.hidden_dim, config.hidden_layers, config.most + 1)
        self.register_buffer('places', torch.zeros(config.places, latent_dim))
        # From row to column [blocks]; above `most` where it is further.
        self.register_buffer('between', torch.zeros(config.places, config.places))

    def forward(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Return logits (B, most + 1) of 1 to `most` blocks and of further, for (B, D) each."""
        return self.net(torch.cat([latents, goals], dim=-1))

    @torch.inference_mode()
    def blocks(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Return blocks (B,) from `latents` to `goals`, (B, D) each; infinite: further."""
        shares = self(latents, goals).softmax(dim=-1)
        near, counts = shares[:, :-1], torch.arange(1, self.config.most + 1, device=shares.device)
        expected = (near * counts).sum(dim=-1) / near.sum(dim=-1)
        return torch.where(shares[:, -1] < 0.5, expected, torch.inf)

    @torch.inference_mode()
    def survey(self) -> None:
        """Fill `between` for the places that are in the bank."""
        for row, place in enumerate(self.places):
            self.between[row] = self.blocks(place.expand_as(self.places), self.places).clamp(
                max=self.config.most + 1)
