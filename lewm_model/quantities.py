"""Quantities: named measurements of a robot or a scene, and how to compare and read them.

Everything that is measured, probed, judged, plotted or recorded beside the pictures says by a
`Quantity` what it is, so that no reader has to take a number for an angle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
import json

from lewm_model.errors import ConfigError
import numpy as np

KINDS = {'position': 'm', 'angle': 'rad', 'velocity': 'm/s', 'quaternion': '', 'number': ''}
_WIDTHS = {'quaternion': 4}


@dataclass(frozen=True)
class Quantity:
    """What one measurement is; its values are (..., `width`)."""

    name: str        # unique in its set, such as 'shoulder' or 'block x'
    kind: str        # one of KINDS
    unit: str = ''   # '': the usual one of its kind; 'px' and 'rad/s' are units too
    of: str = ''     # what is measured, such as 'joint', 'agent' or 'block'; '': not said

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise ConfigError(f'a quantity must have a name that is a text, got {self.name!r}')
        if self.kind not in KINDS:
            raise ConfigError(f'quantity {self.name!r} is of kind {self.kind!r}; it must be one '
                              f'of {", ".join(KINDS)}')
        if not self.unit:
            object.__setattr__(self, 'unit', KINDS[self.kind])

    def __str__(self) -> str:
        """Show name, kind and unit: 'block x (position [px])'."""
        return f'{self.name} ({self.kind}' + f' [{self.unit}]' * bool(self.unit) + ')'

    @property
    def width(self) -> int:
        """Number of columns: 4 (w, x, y, z) for a quaternion, else 1."""
        return _WIDTHS.get(self.kind, 1)

    def targets(self, values: np.ndarray) -> np.ndarray:
        """Return what a readout of pictures can follow, (..., n), from values (..., width).

        An angle becomes sine and cosine, because itself it jumps once per turn; a quaternion its
        rotation matrix, because q and -q are one rotation. Everything else stays as it is.
        """
        values = np.asarray(values)
        if self.kind == 'angle':
            return np.concatenate([np.sin(values), np.cos(values)], axis=-1)
        if self.kind == 'quaternion':
            return _rotation(values).reshape(*values.shape[:-1], 9)
        return values

    def error(self, values: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Return how far values are from a goal, >= 0 in `unit` (quaternions: rad); (...,).

        Angles are compared around the turn: 0.1 and 2 pi are 0.1 apart.
        """
        values, goal = np.asarray(values, float), np.asarray(goal, float)
        if self.kind == 'quaternion':
            lengths = np.linalg.norm(values, axis=-1) * np.linalg.norm(goal, axis=-1)
            cosine = np.abs((values * goal).sum(axis=-1)) / np.maximum(lengths, 1e-12)
            return 2 * np.arccos(np.clip(cosine, 0, 1))
        apart = np.abs(values - goal)[..., 0]
        if self.kind == 'angle':
            apart = apart % (2 * np.pi)
            return np.minimum(apart, 2 * np.pi - apart)
        return apart


def places(quantities: Sequence[Quantity]) -> list[slice]:
    """Return the columns of each quantity in one array that holds them side by side."""
    ends = np.cumsum([one.width for one in quantities]).tolist()
    return [slice(end - one.width, end) for one, end in zip(quantities, ends, strict=True)]


def to_json(quantities: Iterable[Quantity]) -> str:
    """Return quantities as a text, the attribute of a data set column."""
    return json.dumps([asdict(one) for one in quantities])


def from_json(text: str) -> tuple[Quantity, ...]:
    """Read what `to_json` wrote.

    Raises:
        ConfigError: If the text is no list of quantities with different names.
    """
    try:
        found = tuple(Quantity(**values) for values in json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f'quantities are a JSON list of name, kind, unit and of, got '
                          f'{text[:200]!r}') from error
    if len({one.name for one in found}) != len(found):
        raise ConfigError(f'quantities must have different names, got '
                          f'{", ".join(one.name for one in found)}')
    return found


def _rotation(values: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (..., 3, 3) of quaternions (..., 4), w first."""
    unit = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
    w, x, y, z = np.moveaxis(unit, -1, 0)
    rows = [[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
