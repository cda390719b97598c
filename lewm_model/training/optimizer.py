"""The optimiser of a run."""

from __future__ import annotations

from lewm_model.config import TrainConfig
import torch
from torch import nn


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW with the weight decay that the settings say.

    Source: the LeWM reference decays all parameters; its option to spare biases and norms is off.
    """
    parameters = list(model.parameters())
    if config.decay_norms:
        groups = [{'params': parameters}]
    else:   # one axis: biases, and the scales of norms
        groups = [{'params': [value for value in parameters if value.ndim > 1]},
                  {'params': [value for value in parameters if value.ndim <= 1],
                   'weight_decay': 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay,
                             fused=True)
