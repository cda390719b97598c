"""What is ordinary for a model: how wrong it is as a rule, and what its camera shows.

Made by `lewm calibrate` from a bundle and its data set; `analysis.calibration` measures it. The
planner compares what it sees with this; nothing here is trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from lewm_model.config import Config, require
import torch
from torch import nn, Tensor

EPISODE_QUANTILE = 0.9    # of the highest surprise of an independent piece, such as an episode
MARGIN = 1.0              # the limit is so many times the upper end of its interval; measured in
#                           docs/results/surprise.md with the frames in a row that it takes
_FLOOR = 0.01             # of the mean variance of errors: less in some direction counts as this
#                           much, so that rounding of an engine surprises nobody


@dataclass(frozen=True)
class OrdinaryConfig(Config):
    """The numbers that a person can read in `bundle.yaml`."""

    mean_error: float        # mean squared error of one-block predictions, per number of a latent
    surprise_limit: float    # above it something is wrong; 1 is the mean of held-out frames
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
    read_errors: dict = field(default_factory=dict)   # quantity -> root mean square difference
    #                          between what is read of expected and of seen frames, in its unit

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
        for name, value in self.read_errors.items():
            require(isinstance(value, (int, float)) and math.isfinite(value) and value > 0,
                    f'OrdinaryConfig.read_errors[{name!r}]', 'a positive number', value)


def usual_errors(errors: Tensor) -> Tensor:
    """Return the matrix (D, D) that makes errors (N, D) equally large in every direction.

    Their mean `surprise_of` is 1.
    """
    errors = errors.double()
    moments = errors.T @ errors / len(errors)
    moments += _FLOOR * moments.diagonal().mean() * torch.eye(len(moments))
    whitening = torch.linalg.inv(torch.linalg.cholesky(moments))
    return (whitening / (errors @ whitening.T).square().mean().sqrt()).float()


def surprise_of(errors: Tensor, whitening: Tensor) -> Tensor:
    """Return the surprise (...,) of errors (..., D): the mean square after whitening.

    So an error counts relative to what is usual in its direction: a latent has directions that
    every motion stirs, and others in which nothing ever happens.
    """
    return (errors @ whitening.T).square().mean(dim=-1)


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
    """Errors that are ordinary, and training frames as different from each other as can be.

    Args:
        config: The numbers.
        latent_dim: D.
    """

    def __init__(self, config: OrdinaryConfig, latent_dim: int) -> None:
        super().__init__()
        self.config = config
        side = config.thumbnail_px
        self.register_buffer('whitening', torch.eye(latent_dim))
        self.register_buffer('latents', torch.zeros(config.pictures, latent_dim))
        self.register_buffer('thumbnails', torch.zeros(config.pictures, side, side, 3,
                                                       dtype=torch.uint8))

    def surprise(self, expected: Tensor, seen: Tensor) -> Tensor:
        """Return how surprising frames are, (...,), from latents (..., D): 1 is ordinary."""
        return surprise_of((seen - expected).to(self.whitening), self.whitening)

    def likeness(self, latent: Tensor) -> Likeness:
        """Compare a frame's latent, (D,), with those of training."""
        distances = (self.latents - latent.to(self.latents)).square().sum(dim=1)
        nearest = int(distances.argmin())
        return Likeness(distances[nearest].item() / self.config.view_scale,
                        self.config.view_limit, nearest)
