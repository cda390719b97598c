"""A linear map with its activation, its weights cast once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn, Tensor
from torch.nn import functional as F

LinearFactory = Callable[..., nn.Module]    # (weight, bias, activation='none') -> module
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'none': lambda rows: rows, 'gelu': F.gelu, 'silu': F.silu}


class PlainLinear(nn.Module):
    """What every device and exporter understands."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str = 'none',
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer('weight', weight.detach().to(dtype).contiguous())
        self.register_buffer('bias', bias.detach().to(dtype).contiguous())
        self.activation = activation

    def forward(self, rows: Tensor) -> Tensor:
        """Map (N, in) to (N, out) in the dtype of the weights."""
        return _ACTIVATIONS[self.activation](F.linear(rows, self.weight, self.bias))


def linear_factory(dtype: torch.dtype) -> LinearFactory:
    """Return what makes the linear maps of a graph."""
    def make(weight: Tensor, bias: Tensor, activation: str = 'none') -> nn.Module:
        return PlainLinear(weight, bias, activation, dtype)

    return make
