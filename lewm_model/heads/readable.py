"""What can be read from a latent: quantities, how exactly, and where data was. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
import math

from lewm_model.config import Config, require
from lewm_model.errors import ConfigError
from lewm_model.quantities import Quantity
import numpy as np

_MOST_QUANTITIES = 256
_SIZES = {'hidden_dim': 65536, 'hidden_layers': 100, 'places': 10 ** 6}


@dataclass(frozen=True)
class Readable(Quantity):
    """A quantity of one number, how exactly it is read, and what training had of it."""

    read_error: float = math.nan      # root mean square over held-out frames, in its unit
    read_error_95: float = math.nan   # 95 % of the held-out frames are read within this
    low: float = math.nan             # smallest and largest value in training
    high: float = math.nan

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width == 1, f'readable quantity {self.name!r}', 'one number', self.kind)
        for name in ('read_error', 'read_error_95', 'low', 'high'):
            value = getattr(self, name)
            require(isinstance(value, (int, float)) and math.isfinite(value),
                    f'{name} of readable quantity {self.name!r}', 'a finite number', value)
        require(self.read_error > 0, f'read_error of readable quantity {self.name!r}',
                'positive', self.read_error)
        require(self.low < self.high, f'low of readable quantity {self.name!r}',
                f'below high={self.high}', self.low)

    @property
    def columns(self) -> int:
        """How many numbers a readout answers with: sine and cosine for an angle, else one."""
        return 2 if self.kind == 'angle' else 1

    def apart(self, value: float, other: float) -> float:
        """Return how far two values are from each other, >= 0 in `unit`."""
        return float(self.error(np.array([value]), np.array([other])))

    def beyond(self, value: float) -> str:
        """Say that a value is outside the training data; nothing if it is not.

        An angle that came all around has no outside.
        """
        low, high = self.low, self.high
        if self.kind == 'angle':
            if high - low > 2 * np.pi - 0.1:
                return ''
            value = low + (value - low) % (2 * np.pi)
        return '' if low <= value <= high else (
            f'{self.name} shall be {value:.4g} {self.unit}, but training had [{low:.4g}, '
            f'{high:.4g}] only')


@dataclass(frozen=True)
class ReadoutConfig(Config):
    """What is read, and sizes."""

    quantities: list           # of mappings with the fields of `Readable`
    hidden_dim: int = 128
    hidden_layers: int = 2
    places: int = 4096         # N, recorded latents with their quantities

    def __post_init__(self) -> None:
        for name, most in _SIZES.items():
            require(1 <= getattr(self, name) <= most, f'ReadoutConfig.{name}', f'in [1, {most}]',
                    getattr(self, name))
        names = [one.name for one in self.readable]
        require(1 <= len(names) <= _MOST_QUANTITIES, 'ReadoutConfig.quantities',
                f'a list of 1 to {_MOST_QUANTITIES}', len(names))
        require(len(set(names)) == len(names), 'ReadoutConfig.quantities',
                'quantities with different names', ', '.join(names))

    @property
    def readable(self) -> tuple[Readable, ...]:
        """What is read, in order.

        Raises:
            ConfigError: If an entry is no such description.
        """
        known = {one.name: one.type for one in fields(Readable)}
        for one in self.quantities:
            if not (isinstance(one, dict) and set(one) <= set(known)
                    and {'name', 'kind'} <= set(one)
                    and all(isinstance(value, str) == (known[key] == 'str')
                            for key, value in one.items())):
                raise ConfigError(f'a readable quantity is a mapping of {", ".join(known)}, got '
                                  f'{one!r}')
        return tuple(Readable(**one) for one in self.quantities)
