"""A linear map with its activation, as each way of running a graph likes it best."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn, Tensor
from torch.nn import functional as F

LinearFactory = Callable[..., nn.Module]    # (weight, bias, activation='none') -> module
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'none': lambda rows: rows, 'gelu': F.gelu, 'silu': F.silu}
_FUSED_NAMES = {'none': 'none', 'gelu': 'gelu', 'silu': 'swish'}


class PlainLinear(nn.Module):
    """What every device and exporter understands; the weights are cast once, here."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str = 'none',
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer('weight', weight.detach().to(dtype).contiguous())
        self.register_buffer('bias', bias.detach().to(dtype).contiguous())
        self.activation = activation

    def forward(self, rows: Tensor) -> Tensor:
        """Map (N, in) to (N, out) in the dtype of the weights."""
        return _ACTIVATIONS[self.activation](F.linear(rows, self.weight, self.bias))


class PackedLinear(nn.Module):
    """oneDNN's own weight layout and fused activation; CPU only.

    The operators are those that torch's compiler emits for frozen CPU graphs. They are not public,
    so `packing_works` asks before they are relied on.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: str = 'none',
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().to(dtype).contiguous(), None)
        self._bias = bias.detach().to(dtype).contiguous()
        self._activation = _FUSED_NAMES[activation]
        self._algorithm = 'none' if activation == 'gelu' else ''   # gelu: erf, not tanh

    def forward(self, rows: Tensor) -> Tensor:
        """Map (N, in) to (N, out) in the dtype of the weights."""
        return torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias,
                                                  self._activation, [], self._algorithm)


def packing_works(dtype: torch.dtype) -> bool:
    """Say whether `PackedLinear` runs here and agrees with `PlainLinear`."""
    weight, bias = torch.linspace(-1, 1, 32 * 16).reshape(32, 16), torch.linspace(-1, 1, 32)
    rows = torch.linspace(1, -1, 4 * 16).reshape(4, 16).to(dtype)
    try:
        packed = PackedLinear(weight, bias, 'gelu', dtype)(rows)
    except (AttributeError, RuntimeError):   # another torch, or one built without oneDNN
        return False
    plain = PlainLinear(weight, bias, 'gelu', dtype)(rows)
    return torch.allclose(packed.float(), plain.float(), rtol=2e-2, atol=2e-2)


def linear_factory(dtype: torch.dtype, *, packed: bool) -> LinearFactory:
    """Return what makes the linear maps of a graph."""
    kind = PackedLinear if packed else PlainLinear

    def make(weight: Tensor, bias: Tensor, activation: str = 'none') -> nn.Module:
        return kind(weight, bias, activation, dtype)

    return make
