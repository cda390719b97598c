"""A small network that is trained along with the model, and is no part of it or of the bundle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_model.config import TrainConfig
from lewm_model.training.distributed import Group
from lewm_model.training.optimizer import make_optimizer
import torch
from torch import nn


class AuxiliaryHead:
    """The network with an optimiser of its own.

    Args:
        build: Makes the network.
        config: The run; its seed decides the first weights, and no other random numbers are drawn.
        device: Where to train.
        group: The processes that train together.
    """

    def __init__(self, build: Callable[[], nn.Module], config: TrainConfig, device: str,
                 group: Group) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.head = build().to(device)
        self._optimizer = make_optimizer(self.head, config)
        self._grad_clip, self._group = config.grad_clip, group

    def step(self, learning_rate: float) -> None:
        """Let the network follow the gradients of the last loss."""
        self._group.average_gradients(self.head)
        nn.utils.clip_grad_norm_(self.head.parameters(), self._grad_clip)
        for parameters in self._optimizer.param_groups:
            parameters['lr'] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {'head': self.head.state_dict(), 'optimizer': self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept; older versions called the network `decoder`."""
        self.head.load_state_dict(state['head'] if 'head' in state else state['decoder'])
        self._optimizer.load_state_dict(state['optimizer'])
