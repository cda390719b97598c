"""What is ordinary for a model: how wrong it is as a rule, and what its camera shows.

Made by `lewm calibrate` from a bundle and its data set; `analysis.calibration` measures it. The
planner compares what it sees with this; nothing here is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from lewm_model.config import Config, require
import torch
from torch import nn, Tensor

EPISODE_QUANTILE = 0.9    # of the highest surprise of an independent piece, such as an episode
MARGIN = 2.0              # the limit is so many times the upper end of its interval: driving by a
#                           planner is not quite the driving of the recordings


@dataclass(frozen=True)
class OrdinaryConfig(Config):
    """The numbers that a person can read in `bundle.yaml`."""

    mean_error: float        # mean squared error of one-block predictions, per number of a latent
    surprise_limit: float    # in units of mean_error: above it something is wrong
    surprise_quantile: float  # of the highest surprise of an episode
    surprise_low: float      # 95 % interval of that quantile: lower end
    surprise_high: float     # upper end; the highest that was seen, if that is not sure to be it
    episodes: int            # held-out ones, which are independent pieces
    frames: int              # judged in them
    view_limit: float        # distance to the nearest picture, relative to its mean on held-out
    #                          frames: above it the view is unfamiliar
    view_scale: float        # that mean: squared latent distance
    pictures: int            # M, training frames kept
    thumbnail_px: int        # side of their pictures

    def __post_init__(self) -> None:
        for name in ('mean_error', 'surprise_limit', 'view_limit', 'view_scale'):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f'OrdinaryConfig.{name}',
                    'a positive number', value)
        require(0 < self.surprise_quantile < 1, 'OrdinaryConfig.surprise_quantile', 'in (0, 1)',
                self.surprise_quantile)
        require(0 <= self.surprise_low <= self.surprise_high < math.inf,
                'OrdinaryConfig.surprise_low', f'in [0, surprise_high={self.surprise_high}]',
                self.surprise_low)
        for name, most in (('episodes', 10 ** 9), ('frames', 10 ** 9), ('pictures', 4096),
                           ('thumbnail_px', 256)):
            value = getattr(self, name)
            require(1 <= value <= most, f'OrdinaryConfig.{name}', f'in [1, {most}]', value)


@dataclass(frozen=True)
class Likeness:
    """How like the training frames a frame is."""

    distance: float      # to the nearest, relative to the mean of held-out frames: 1 is ordinary
    limit: float         # above it the view is unfamiliar
    index: int           # of the nearest picture

    @property
    def familiar(self) -> bool:
        """Whether it is like what the model was trained on."""
        return self.distance <= self.limit


class Ordinary(nn.Module):
    """Limits, and training frames that are as different from each other as can be.

    Args:
        config: The numbers.
        latent_dim: D.
    """

    def __init__(self, config: OrdinaryConfig, latent_dim: int) -> None:
        super().__init__()
        self.config = config
        side = config.thumbnail_px
        self.register_buffer('latents', torch.zeros(config.pictures, latent_dim))
        self.register_buffer('thumbnails', torch.zeros(config.pictures, side, side, 3,
                                                       dtype=torch.uint8))

    def likeness(self, latent: Tensor) -> Likeness:
        """Compare a frame's latent, (D,), with those of training."""
        distances = (self.latents - latent.to(self.latents)).square().sum(dim=1)
        nearest = int(distances.argmin())
        return Likeness(distances[nearest].item() / self.config.view_scale,
                        self.config.view_limit, nearest)
