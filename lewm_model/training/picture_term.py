"""An auxiliary term: a small decoder has to paint the picture from each latent.

Off by default; `decoder_weight` turns it on. Prediction and SIGReg are content with latents that
have lost a part of the scene (docs/training.md, lost factors); a decoder is not. It sees the
latents of training only, and is no part of the model or the bundle.
"""

from __future__ import annotations

from lewm_model.config import TrainConfig
from lewm_model.training.auxiliary import AuxiliaryHead
from lewm_model.training.distributed import Group
import torch
from torch import nn, Tensor
from torch.nn import functional

PIXELS = 32            # height and width of what is painted
_GRID, _CHANNELS = 8, 32
_LEAST_VARIANCE = 1e-6   # of pixels in [0, 1]: pictures that do not change at all


class PictureTerm(AuxiliaryHead):
    """The decoder.

    Args:
        latent_dim: D.
        config: The run.
        device: Where to train.
        group: The processes that train together.
    """

    def __init__(self, latent_dim: int, config: TrainConfig, device: str, group: Group) -> None:
        super().__init__(lambda: nn.Sequential(
            nn.Linear(latent_dim, 256), nn.GELU(), nn.Linear(256, _CHANNELS * _GRID ** 2),
            nn.Unflatten(1, (_CHANNELS, _GRID, _GRID)), nn.GELU(),
            nn.Conv2d(_CHANNELS, 4 * _CHANNELS, 1), nn.PixelShuffle(2), nn.GELU(),      # 16 x 16
            nn.Conv2d(_CHANNELS, 3 * 2 ** 2, 3, padding=1), nn.PixelShuffle(2)          # 32 x 32
        ), config, device, group)

    def loss(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Return the share of pixel variance that the decoder leaves unexplained.

        0 is a perfect picture, 1 the mean picture of the batch, whatever share of the picture
        moves: a small part counts as much as a large one.

        Args:
            latents: (B, T, D), with their gradient.
            frames: What they show, uint8 (B, T, H, W, 3).
        """
        with torch.no_grad():
            pictures = frames.flatten(0, 1).to(latents.device).movedim(-1, 1).float() / 255
            pictures = functional.interpolate(pictures, size=(PIXELS, PIXELS), mode='area')
            mean = self._group.mean(pictures.mean(dim=0))
            variance = self._group.mean((pictures - mean).square().mean()).clamp(_LEAST_VARIANCE)
        painted = mean + variance.sqrt() * self.head(latents.flatten(0, 1))
        return (painted.float() - pictures).square().mean() / variance
