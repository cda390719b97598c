"""Reads measured quantities from latents, and says what is wanted of them.

A goal may then be given in quantities instead of a picture: a joint, a position, an angle.

Trained by `lewm train-policy --kind readout` on training episodes; the errors are of held-out
ones. `planning.objectives` plans with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import ConfigError
from lewm_model.heads.block_network import mlp
from lewm_model.heads.readable import Readable, ReadoutConfig
from lewm_model.types import Target
import numpy as np
import torch
from torch import nn, Tensor


class Readout(nn.Module):
    """Reads quantities from latents; see `ReadoutConfig`.

    Args:
        config: Sizes.
        latent_dim: D.

    Attributes:
        readable: The quantities, in the order of everything below.
        mean: Of the answers' columns over the training rows, (n,).
        std: Their standard deviations, (n,).
        places: Latents of training frames, (N, D) half precision: they are compared with.
        place_columns: What was measured there, (N, n).
    """

    def __init__(self, config: ReadoutConfig, latent_dim: int) -> None:
        super().__init__()
        self.config, self.readable = config, config.readable
        width = sum(one.columns for one in self.readable)
        self.net = mlp(latent_dim, config.hidden_dim, config.hidden_layers, width)
        self.register_buffer('mean', torch.zeros(width))
        self.register_buffer('std', torch.ones(width))
        self.register_buffer('places', torch.zeros(config.places, latent_dim, dtype=torch.half))
        self.register_buffer('place_columns', torch.zeros(config.places, width))

    def forward(self, latents: Tensor) -> Tensor:
        """Return columns (..., n) of latents (..., D): angles as sine and cosine, in units."""
        return self.net(latents) * self.std + self.mean

    @torch.inference_mode()
    def read(self, latents: Tensor) -> np.ndarray:
        """Return the quantities of latents (..., D), float64 (..., Q), each in its unit."""
        answers = self(latents).cpu().double().numpy()
        return np.stack([np.arctan2(answers[..., place], answers[..., place + 1])
                         if one.kind == 'angle' else answers[..., place]
                         for one, place in zip(self.readable, self._first, strict=True)], axis=-1)

    def moved(self, before: Tensor, after: Tensor) -> np.ndarray:
        """Return by how much what is read changes, float64 (..., Q)."""
        return self.shorter(self.read(after) - self.read(before))

    def shorter(self, changes: np.ndarray) -> np.ndarray:
        """Return changes of the quantities, (..., Q), with angles the shorter way around."""
        angles = np.array([one.kind == 'angle' for one in self.readable])
        return np.where(angles, (changes + np.pi) % (2 * np.pi) - np.pi, changes)

    def target(self, names: Sequence[str], values: Sequence[float],
               weights: Sequence[float] | None = None,
               tolerances: Sequence[float] | None = None) -> Target:
        """Return what some quantities shall be, ready to plan with.

        A squared error counts relative to its tolerance, without tolerances relative to the
        spread of the training data; then times its weight. All together have the size of latent
        distances: two frames drawn at random are 2 D apart, as in a latent of unit variance.

        Args:
            names: Some of `readable`.
            values: What they shall be, in their units; angles in any turn.
            weights: One per name, not negative; a quantity of weight 0 does not count. None: 1.
            tolerances: One per name, in their units; None: none of their own.

        Raises:
            ConfigError: If a name cannot be read, or a number cannot be.
        """
        known = {one.name: place for place, one in enumerate(self.readable)}
        unknown = [name for name in names if name not in known]
        if unknown or not len(names):
            raise ConfigError(
                f'{"cannot read " + ", ".join(map(repr, unknown)) if unknown else "no quantity"}; '
                f'this bundle reads {", ".join(map(str, self.readable))}')
        if len(set(names)) != len(names):
            raise ConfigError(f'every quantity may be named once, got {", ".join(names)}')
        values = _numbers(values, 'values', names)
        weights = np.ones(len(names)) if weights is None else _numbers(weights, 'weights', names)
        if (weights < 0).any() or not weights.any():
            raise ConfigError(f'weights must not be negative, and not all 0, got '
                              f'{weights.tolist()}')
        if tolerances is not None:
            tolerances = _numbers(tolerances, 'tolerances', names)
            if (tolerances <= 0).any():
                raise ConfigError(f'tolerances must be above 0, got {tolerances.tolist()}')
        columns, shares = torch.zeros_like(self.mean), torch.zeros_like(self.mean)
        apart = 0.0     # expected between two frames of training
        for place, name in enumerate(names):
            one = self.readable[known[name]]
            where = slice(self._first[known[name]], self._first[known[name]] + one.columns)
            spread = max(self.std[where].square().sum().item(), 1e-12)
            scale = spread if tolerances is None else tolerances[place] ** 2
            columns[where] = torch.from_numpy(one.targets(values[place:place + 1])).to(columns)
            shares[where] = float(weights[place] / scale)
            apart += 2 * weights[place] * spread / scale
        notes = [self.readable[known[name]].beyond(value)
                 for name, value, weight in zip(names, values, weights, strict=True) if weight]
        return Target(names=tuple(names), values=values, weights=weights, tolerances=tolerances,
                      columns=columns, shares=shares * (2 * self.places.shape[1] / apart),
                      note='; '.join(filter(None, notes)))

    def cost(self, latents: Tensor, target: Target) -> Tensor:
        """Return how far latents (..., D) are from a target, (...,); see `target`."""
        return ((self(latents) - target.columns).square() * target.shares).sum(dim=-1)

    def errors(self, latent: Tensor, target: Target) -> np.ndarray:
        """Return the error of each quantity that a target names, (N,), in its unit."""
        found = dict(zip((one.name for one in self.readable), self.read(latent), strict=True))
        return np.array([self._named(name).apart(found[name], value)
                         for name, value in zip(target.names, target.values, strict=True)])

    def usual_errors(self, names: Sequence[str]) -> np.ndarray:
        """Return the held-out error of some quantities, (N,), each in its unit."""
        return np.array([self._named(name).read_error for name in names])

    @torch.inference_mode()
    def place(self, target: Target, near: Tensor | None = None) -> Tensor:
        """Return a recorded latent (D,) that has the quantities of a target, as nearly as any.

        Args:
            target: What is wanted.
            near: A latent (D,) that shall stay as it is in all that the target does not name.
                Being off by what a reading cannot tell, or by half of the target's own
                tolerances, counts as much as being two random frames away from it; both grow
                with the square. None: the best place, from wherever.
        """
        costs = ((self.place_columns - target.columns).square() * target.shares).sum(dim=-1)
        if near is not None:
            spare = {} if target.tolerances is None else dict(
                zip(target.names, target.tolerances / 2, strict=True))
            enough = sum(
                target.shares[first].item() * max(one.read_error, spare.get(one.name, 0)) ** 2
                for first, one in zip(self._first, self.readable, strict=True))
            ways = (self.places.float() - near).square().sum(dim=-1) / (2 * near.numel())
            costs = costs / max(enough, 1e-12) + ways
        return self.places[int(costs.argmin())].float()

    def _named(self, name: str) -> Readable:
        return next(one for one in self.readable if one.name == name)

    @property
    def _first(self) -> list[int]:
        """First column of each quantity."""
        ends = np.cumsum([one.columns for one in self.readable])
        return [int(end) - one.columns for end, one in zip(ends, self.readable, strict=True)]


def _numbers(values: Sequence[float], what: str, names: Sequence[str]) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (len(names),) or not np.isfinite(found).all():
        raise ConfigError(f'{what} must be a finite number for each of {", ".join(names)}, got '
                          f'{list(values)}')
    return found
