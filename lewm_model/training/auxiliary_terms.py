"""All auxiliary terms of a run in one place: what stands beside prediction and regulariser."""

from __future__ import annotations

from typing import Any

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.data.clips import ClipBatch
from lewm_model.models import WorldModel
from lewm_model.training.distributed import Group
from lewm_model.training.inverse_term import InverseTerm
from lewm_model.training.picture_term import PictureTerm
from lewm_model.training.rollout_term import open_loop_error
from lewm_model.training.state_term import StateTerm
from torch import Tensor


class AuxiliaryTerms:
    """Those whose weight is not 0; the others are not there at all.

    Args:
        sizes: Of the model.
        config: The run.
        states: What `state_weight` asks for, see `state_term.state_targets`; None: without.
        device: Where to train.
        group: The processes that train together.

    Attributes:
        weights: By the names of the terms.
    """

    def __init__(self, sizes: ModelConfig, config: TrainConfig, states: Tensor | None, device: str,
                 group: Group) -> None:
        named = {'pictures': config.decoder_weight, 'inverse': config.inverse_weight,
                 'states': config.state_weight, 'rollout': config.rollout_weight}
        self.weights = {name: weight for name, weight in named.items() if weight}
        self._heads: dict[str, PictureTerm | InverseTerm | StateTerm] = {}
        if 'pictures' in self.weights:
            self._heads['pictures'] = PictureTerm(sizes.latent_dim, config, device, group)
        if 'inverse' in self.weights:
            self._heads['inverse'] = InverseTerm(sizes, config, device, group)
        if 'states' in self.weights:
            self._heads['states'] = StateTerm(sizes.latent_dim, states, config, device, group)

    def __call__(self, model: WorldModel, batch: ClipBatch, latents: Tensor, blocks: Tensor,
                 predicted: Tensor) -> dict[str, Tensor]:
        """Return the terms of a batch, without their weights.

        Args:
            model: The one that is trained.
            batch: What `latents` are of.
            latents: (B, L+n, D), with their gradient.
            blocks: (B, L+n, K*A).
            predicted: What follows each of the first L frames, (B, L, D).
        """
        found = {}
        if 'pictures' in self.weights:
            found['pictures'] = self._heads['pictures'].loss(latents, batch.frames)
        if 'inverse' in self.weights:
            found['inverse'] = self._heads['inverse'].loss(latents, blocks)
        if 'states' in self.weights:
            found['states'] = self._heads['states'].loss(latents, batch.rows)
        if 'rollout' in self.weights:
            found['rollout'] = open_loop_error(model, latents, blocks, predicted[:, -1:])
        return found

    def step(self, learning_rate: float) -> None:
        """Let every head follow the gradients of the last loss."""
        for head in self._heads.values():
            head.step(learning_rate)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, by the names of the terms that have a head."""
        return {name: head.state_dict() for name, head in self._heads.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept, among other things."""
        for name, head in self._heads.items():
            head.load_state_dict(state[name])
