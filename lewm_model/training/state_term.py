"""An auxiliary term: the robot's own states have to be read from each latent by a linear map.

Off by default; `state_weight` turns it on. A robot always measures its joints or its pose, also
where no simulator knows the scene, and a small part of the picture (a gripper, a thin link) is
what latents lose first. In a published model of billiards a weight of 0.1 brought positions back
from R2 0.60 to 0.999. The map is no part of the model or the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
import logging

from lewm_model.config import TrainConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import own_states, probe_targets
from lewm_model.errors import ConfigError
from lewm_model.training.auxiliary import AuxiliaryHead
from lewm_model.training.distributed import Group
import numpy as np
import torch
from torch import nn, Tensor

_log = logging.getLogger(__name__)


def state_targets(data: EpisodeFile, training: Sequence[int]) -> Tensor:
    """Return what the term asks for in every row of a data set, (N, n) float32.

    Angles as sine and cosine; all with mean 0 and standard deviation 1 over the training
    episodes, so that a loss of 1 is no knowledge.

    Args:
        data: The data set.
        training: Indices of the episodes to train on.

    Raises:
        ConfigError: If the robot measured nothing of itself that moves.
    """
    shown = [one for one in own_states(data) if one.quantity.kind != 'velocity']
    rows = np.concatenate([first + np.arange(length) for first, length in
                           zip(data.ep_offset[training], data.ep_len[training], strict=True)])
    (fit, everywhere), left_out = probe_targets(shown, rows, np.arange(len(data)))
    reasons = ', '.join(f'{name} ({reason})' for name, reason in left_out.items())
    if not fit:
        raise ConfigError(f'state_weight asks for measured states of the robot; {data.path} has '
                          f'none that move{": " * bool(reasons)}{reasons}; record joint states or '
                          f'odometry, or set it to 0')
    if reasons:
        _log.warning('state_weight leaves out %s', reasons)
    columns = []
    for name, values in everywhere.items():
        mean, std = fit[name].mean(axis=0), fit[name].std(axis=0)
        columns.append((values - mean) / std)
    return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))


class StateTerm(AuxiliaryHead):
    """The linear map.

    Args:
        latent_dim: D.
        states: What to read in every row of the data set, see `state_targets`.
        config: The run.
        device: Where to train.
        group: The processes that train together.
    """

    def __init__(self, latent_dim: int, states: Tensor, config: TrainConfig, device: str,
                 group: Group) -> None:
        super().__init__(lambda: nn.Linear(latent_dim, states.shape[1]), config, device, group)
        self._states, self._device = states, device

    def loss(self, latents: Tensor, rows: np.ndarray) -> Tensor:
        """Return the mean squared error of standardised states.

        Args:
            latents: (B, T, D), with their gradient.
            rows: Where they stand in the data set, (B, T).
        """
        wanted = self._states[torch.from_numpy(rows)].to(self._device)
        return (self.head(latents).float() - wanted).square().mean()
