"""What keeps the latents of a run from collapsing: SIGReg, the terms of PLDM, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.errors import TrainingError
from lewm_model.sigreg import SigReg
from lewm_model.training.distributed import Group
from lewm_model.training.pldm import pldm_terms
import torch
from torch import Tensor


@dataclass(frozen=True)
class Regularized:
    """One batch, of all processes together."""

    loss: Tensor                 # the weighted sum, to be added to the prediction
    sigreg: Tensor               # also where it is not part of the loss: curves compare runs by it
    terms: dict[str, Tensor]     # the other parts, without weights


class Regularizer:
    """The one of `TrainConfig.loss`, with its random numbers.

    Args:
        config: The run.
        group: The processes that train together.
        device: Of the latents.
    """

    def __init__(self, config: TrainConfig, group: Group, device: str) -> None:
        self._config, self._group = config, group
        self._sigreg = SigReg(config.sigreg_projections, config.sigreg_knots,
                              first_knot=config.sigreg_first_knot,
                              last_knot=config.sigreg_last_knot,
                              mean_over_processes=group.mean, processes=group.size)
        self._directions = torch.Generator(device).manual_seed(config.seed)

    def __call__(self, latents: Tensor) -> Regularized:
        """Judge latents (B, T, D), float32."""
        if self._config.loss == 'lewm':
            sigreg = self._sigreg(latents, self._directions)
            return Regularized(self._config.sigreg_weight * sigreg, sigreg, {})
        terms = {} if self._config.loss == 'prediction' else pldm_terms(
            latents, mean_over_processes=self._group.mean, processes=self._group.size)
        loss = sum((weight * terms[name] for name, weight in loss_weights(self._config).items()),
                   latents.new_zeros(()))
        with torch.no_grad():
            return Regularized(loss, self._sigreg(latents, self._directions), terms)

    def state_dict(self) -> Tensor:
        """Return what a checkpoint keeps: the state of the random directions."""
        return self._directions.get_state()

    def load_state_dict(self, state: Tensor) -> None:
        """Go on from what a checkpoint kept."""
        self._directions.set_state(state)


def require_fitting(sizes: ModelConfig, config: TrainConfig) -> None:
    """Refuse to train an encoder without a regulariser, or a regulariser without an encoder.

    Raises:
        TrainingError: The message says what goes together.
    """
    if (sizes.encoder == 'frozen') != (config.loss == 'prediction'):
        raise TrainingError(
            f'encoder {sizes.encoder} and loss {config.loss} do not go together: '
            + ('a frozen encoder needs loss prediction, there is nothing to keep apart'
               if sizes.encoder == 'frozen' else
               'loss prediction needs a frozen encoder, nothing else keeps its latents apart'))
    for name in ('light_jitter', 'camera_jitter'):
        if sizes.encoder == 'frozen' and getattr(config, name):
            raise TrainingError(f'{name} must be 0 with a frozen encoder, which sees each frame '
                                f'once, got {getattr(config, name)}')
    if sizes.encoder == 'frozen' and config.frame_statistics != 'imagenet':
        raise TrainingError(f"frame_statistics must be 'imagenet' with a frozen encoder, which "
                            f'keeps its own, got {config.frame_statistics!r}')


def loss_weights(config: TrainConfig) -> dict[str, float]:
    """Return the weights of what stands beside the prediction, by the names of the terms."""
    if config.loss == 'lewm':
        return {'sigreg': config.sigreg_weight}
    if config.loss == 'prediction':
        return {}
    return {'std': config.pldm_std, 'cov': config.pldm_cov, 'std_time': config.pldm_std_time,
            'alignment': config.pldm_alignment}
