"""An auxiliary term: a small network has to tell the actions from the latents around them.

Off by default; `inverse_weight` turns it on. It asks latents to hold what the robot can change
by itself. Beside SIGReg, with a weight of 10, published models gained on Cube and Reacher
(sensorimotor world models, arXiv 2606.20104, whose head this is); in PLDM's objective it is the
term whose published weight is 0.
"""

from __future__ import annotations

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.training.auxiliary import AuxiliaryHead
from lewm_model.training.distributed import Group
import torch
from torch import nn, Tensor

_HIDDEN = 256


class InverseTerm(AuxiliaryHead):
    """The network that answers with the block between two frames.

    Args:
        sizes: Of the model.
        config: The run.
        device: Where to train.
        group: The processes that train together.
    """

    def __init__(self, sizes: ModelConfig, config: TrainConfig, device: str, group: Group
                 ) -> None:
        super().__init__(lambda: nn.Sequential(
            nn.Linear(2 * sizes.latent_dim, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(), nn.Linear(_HIDDEN, sizes.block_dim)), config, device, group)

    def loss(self, latents: Tensor, blocks: Tensor) -> Tensor:
        """Return the mean squared error of the actions, normalised units.

        Args:
            latents: (B, T, D), with their gradient.
            blocks: (B, T, K*A); block t leaves frame t, the last one is not used.
        """
        answers = self.head(torch.cat([latents[:, :-1], latents[:, 1:]], dim=-1))
        return (answers.float() - blocks[:, :-1]).square().mean()
