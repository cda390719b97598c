"""A small network whose answer is an action block that the robot can execute, and its sizes."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.config import Config, require
import torch
from torch import nn, Tensor


@dataclass(frozen=True)
class Sizes(Config):
    """Base of a small network's sizes: refuses what no memory holds."""

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            require(value >= 1, f'{type(self).__name__}.{name}', 'at least 1', value)
            most = 1000 if name == 'hidden_layers' else 65536
            require(value <= most, f'{type(self).__name__}.{name}', f'at most {most}', value)


@dataclass(frozen=True)
class BlockNetworkConfig(Sizes):
    """Sizes of a network that answers with one block."""

    hidden_dim: int = 256
    hidden_layers: int = 3


def mlp(width_in: int, hidden_dim: int, hidden_layers: int, width_out: int) -> nn.Sequential:
    """Build linear layers with SiLU in between."""
    widths = [width_in] + [hidden_dim] * hidden_layers
    layers: list[nn.Module] = []
    for narrow, wide in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(narrow, wide), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], width_out))


class BlockNetwork(nn.Module):
    """Base of networks that answer with blocks.

    Args:
        net: Answers with K*A numbers, or with several times as many in a row.
        low: Smallest action, (A,) normalised; no answer is below it.
        high: Largest action, (A,) normalised.
        frameskip: K, control steps per block.
    """

    def __init__(self, net: nn.Module, low: Tensor, high: Tensor, frameskip: int) -> None:
        super().__init__()
        self.frameskip = frameskip
        self.net = net
        # The limits belong to the robot, not to the weights: they are not saved with them.
        self.register_buffer('_centre', ((high + low) / 2).repeat(frameskip), persistent=False)
        self.register_buffer('_reach', ((high - low) / 2).repeat(frameskip), persistent=False)

    def within_limits(self, answers: Tensor) -> Tensor:
        """Map any numbers (..., K*A) to what the robot can do."""
        return self._centre + self._reach * torch.tanh(answers)
