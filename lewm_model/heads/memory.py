"""What was done in training between places like here and like the goal; nothing is trained.

Source: retrieval initialisation of IMWM, arXiv 2606.01626.
"""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.config import Config, require
import torch
from torch import nn, Tensor


@dataclass(frozen=True)
class MemoryConfig(Config):
    """Size of the memory."""

    rows: int                # N, frames of training episodes at model-step spacing

    def __post_init__(self) -> None:
        require(1 <= self.rows <= 10 ** 8, 'MemoryConfig.rows', 'in [1, 100000000]', self.rows)


class Memory(nn.Module):
    """Latents and executed blocks of training episodes, one episode after the other.

    Half precision: they are compared, not computed with.

    Args:
        config: Size.
        latent_dim: D.
        block_dim: K*A.
    """

    def __init__(self, config: MemoryConfig, latent_dim: int, block_dim: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer('latents', torch.zeros(config.rows, latent_dim, dtype=torch.half))
        self.register_buffer('blocks', torch.zeros(config.rows, block_dim, dtype=torch.half))
        # Blocks from this row to the end of its episode: the block of a last row is no block.
        self.register_buffer('left', torch.zeros(config.rows, dtype=torch.int32))

    def recall(self, latent: Tensor, goal: Tensor, horizon: int, count: int) -> Tensor:
        """Return what was done between the likest pairs of frames at most `horizon` blocks apart.

        A pair is as like as the sum of the squared distances of its first frame to `latent` and
        of its second to `goal` is small; however far apart, pairs compete with each other.

        Args:
            latent: Where the robot is, (D,).
            goal: Where it shall be, (D,).
            horizon: T.
            count: How many, at most; fewer where there are no more pairs.

        Returns:
            (n, T, K*A) float32 normalised, the likest first. After the second frame comes zero,
            the mean of the data.
        """
        rows = len(self.latents)
        here, there = ((self.latents.float() - one).square().sum(dim=1) for one in (latent, goal))
        likeness = torch.full((horizon, rows), torch.inf, device=here.device)
        for steps in range(1, min(horizon, rows - 1) + 1):
            both = here[:-steps] + there[steps:]
            likeness[steps - 1, :-steps] = torch.where(self.left[:-steps] >= steps, both,
                                                       torch.inf)
        flat = likeness.flatten()
        chosen = flat.topk(min(count, int(flat.isfinite().sum())), largest=False).indices
        steps, starts = chosen // rows + 1, chosen % rows
        offsets = torch.arange(horizon, device=chosen.device)
        found = self.blocks[(starts[:, None] + offsets).clamp(max=rows - 1)].float()
        return found * (offsets < steps[:, None])[..., None]
