"""Checks of message fields: every enum, size and array goes through here, stamps through `stamps`.

What arrives on a topic was made by somebody else. A field that cannot be what it should be raises
a `MessageError`, which nodes report and survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

from lewm_model.errors import LewmError
import numpy as np

MAX_TEXT = 200        # of names and identifiers that peers choose [characters]
MAX_NAMES = 1000      # of joints or quantities in one message
MAX_REASON = 2000     # of what is for people only; longer texts are cut [characters]

EnumT = TypeVar('EnumT', bound=IntEnum)


class MessageError(LewmError):
    """A message has a field that cannot be."""


def enum(kind: type[EnumT], value: int, field: str) -> EnumT:
    """Return the member of `kind` with this number.

    Raises:
        MessageError: If there is none; the message names the field and what is allowed.
    """
    try:
        return kind(value)
    except ValueError:
        allowed = ', '.join(f'{item.value} ({item.name})' for item in kind)
        raise MessageError(f'{field} must be one of {allowed}, got {value}') from None


def finite(values: Sequence[float], shape: tuple[int, ...], field: str,
           dtype: type = np.float64) -> np.ndarray:
    """Return the numbers as an array of this shape.

    Raises:
        MessageError: If there are more or fewer, or one is not finite in `dtype`.
    """
    with np.errstate(over='ignore'):   # what float32 cannot hold becomes inf and is refused
        array = np.asarray(values, np.float64).astype(dtype)
    if array.size != int(np.prod(shape)):
        raise MessageError(f'{field} must have {" x ".join(map(str, shape))} numbers, got '
                           f'{array.size}')
    array = array.reshape(shape)
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise MessageError(f'{field} must be finite, got {array[index]} at {list(index)}')
    return array


def at_most(values: Sequence[float], most: int, field: str) -> tuple[float, ...]:
    """Return numbers that need not be finite; raises MessageError for more than `most`."""
    if len(values) > most:
        raise MessageError(f'{field} must be at most {most} numbers, got {len(values)}')
    return tuple(values)


def within(value: float, low: float, high: float, field: str) -> float:
    """Return a number in [low, high]; raises MessageError, also for NaN."""
    if not low <= value <= high:
        raise MessageError(f'{field} must be in [{low:g}, {high:g}], got {value}')
    return float(value)


def text(value: str, field: str) -> str:
    """Return a text of at most `MAX_TEXT` printable characters; raises MessageError."""
    if len(value) > MAX_TEXT or not value.isprintable():
        raise MessageError(f'{field} must be at most {MAX_TEXT} printable characters, got '
                           f'{len(value)}: {value[:40]!r}')
    return value


def names(values: Sequence[str], field: str) -> list[str]:
    """Return different names; raises MessageError if one is empty, too long or there twice."""
    if len(values) > MAX_NAMES:
        raise MessageError(f'{field} must be at most {MAX_NAMES} names, got {len(values)}')
    found = [text(value, field) for value in values]
    if '' in found or len(set(found)) != len(found):
        raise MessageError(f'{field} must be different names, none empty, got {found[:20]}')
    return found
