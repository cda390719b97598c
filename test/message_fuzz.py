"""Random messages of any type: every field gets values that peers are not supposed to send.

Two ways: `random_message` fills all fields, which rarely passes the first check; `damaged` changes
a few fields of a good message, which gets further.
"""

from __future__ import annotations

import array
import copy
from importlib import import_module
import math
import random
from typing import Any

from rosidl_parser.definition import (
    AbstractNestedType,
    AbstractSequence,
    AbstractString,
    AbstractWString,
    Array,
    BasicType,
    BoundedSequence,
    NamespacedType,
)

_BITS = {'octet': 8, 'char': 8, 'uint8': 8, 'int8': 8, 'int16': 16, 'uint16': 16, 'int32': 32,
         'uint32': 32, 'int64': 64, 'uint64': 64}
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.05, math.nan, math.inf, -math.inf, 1e-300, 1e39, -1e308)
_TEXTS = ('', 'shoulder', 'wrist', 'rgb8', 'jpeg', 'elbow', 'x' * 5000, '../../etc/passwd',
          '%s%n%x', 'a\nb', '\u202e\u0000\ufffd', 'robot; rm', '{', '[1]', 'start', 'discard')
_LENGTHS = (0, 0, 1, 1, 2, 2, 3, 7, 33, 1000)


class Fuzz:
    """Draws values with one seeded generator; the same seed gives the same messages."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, values: Any) -> Any:
        """Return one of a few values."""
        return self._random.choice(values)

    def random_message(self, kind: type) -> Any:
        """Return a message of this class with every field drawn."""
        message = kind()
        for name, slot in _slots(kind):
            setattr(message, name, self.value(slot))
        return message

    def damaged(self, message: Any, *, changes: int | None = None) -> Any:
        """Return a copy of a good message with one to three fields, at any depth, drawn anew."""
        message = copy.deepcopy(message)
        for _ in range(changes or self._random.randint(1, 3)):
            self._damage(message)
        return message

    def _damage(self, message: Any) -> None:
        slots = _slots(type(message))
        if not slots:
            return
        name, slot = self._random.choice(slots)
        inner = getattr(message, name)
        if isinstance(slot, NamespacedType) and self._random.random() < 0.7:
            self._damage(inner)
        elif (isinstance(slot, AbstractNestedType) and isinstance(slot.value_type, NamespacedType)
              and len(inner) and self._random.random() < 0.5):
            self._damage(self._random.choice(inner))
        elif isinstance(slot, AbstractSequence) and len(inner) and self._random.random() < 0.5:
            values = list(inner)
            at = self._random.randrange(len(values))
            if self._random.random() < 0.5:
                del values[at]                            # one short
            else:
                values[at] = self.value(slot.value_type)  # one strange
            setattr(message, name, values)
        else:
            setattr(message, name, self.value(slot))

    def value(self, slot: Any) -> Any:
        """Return a value that a field of this type can carry."""
        if isinstance(slot, BasicType):
            return self._basic(slot.typename)
        if isinstance(slot, (AbstractString, AbstractWString)):
            text = self._random.choice(_TEXTS).replace('\0', '')
            return text[:slot.maximum_size] if slot.has_maximum_size() else text
        if isinstance(slot, NamespacedType):
            return self.random_message(_class(slot))
        if isinstance(slot, Array):
            length = slot.size
        else:
            length = self._random.choice(_LENGTHS)
            if isinstance(slot.value_type, NamespacedType):
                length = min(length, 3)
            if isinstance(slot, BoundedSequence):
                length = min(length, slot.maximum_size)
        return [self.value(slot.value_type) for _ in range(length)]

    def _basic(self, kind: str) -> Any:
        if kind == 'boolean':
            return self._random.random() < 0.5
        if kind in ('float', 'double', 'long double'):
            value = self._random.choice((*_FLOATS, self._random.gauss(0, 1)))
            # a float32 field refuses what it cannot hold
            return math.copysign(3.4e38, value) if (
                kind == 'float' and math.isfinite(value) and abs(value) > 3.4e38) else value
        if kind == 'octet':
            return bytes([self._random.randrange(256)])
        bits = _BITS[kind]
        low, high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if kind.startswith('int') else (
            0, 2 ** bits - 1)
        value = self._random.choice((0, 0, 1, 1, 2, 3, -1, low, high, high // 2,
                                     self._random.randint(low, high)))
        return min(max(value, low), high)


def _slots(kind: type) -> list[tuple[str, Any]]:
    return list(zip([name.lstrip('_') for name in kind.__slots__ if name != '_check_fields'],
                    kind.SLOT_TYPES, strict=True))


def interface(name: str) -> type:
    """Return the class of 'std_msgs/msg/String', 'std_srvs/srv/Trigger' or a part of an action.

    An action is three services and two topics; its own types are called 'Name_SendGoal' and so on.
    """
    package, kind, short = name.split('/')
    module = import_module(f'{package}.{kind}')
    if kind != 'action':
        return getattr(module, short)
    short, _, part = short.partition('_')
    action = getattr(module, short)
    if part in ('Goal', 'Result', 'Feedback'):
        return getattr(action, part)
    return getattr(action.Impl, part if part == 'FeedbackMessage' else f'{part}Service')


def _class(slot: NamespacedType) -> type:
    return interface('/'.join((*slot.namespaces, slot.name)))


def has_numbers_only(message: Any) -> bool:
    """Tell whether no float of a message, at any depth, is NaN or infinite."""
    for name, _ in _slots(type(message)):
        value = getattr(message, name)
        if hasattr(value, 'SLOT_TYPES'):
            if not has_numbers_only(value):
                return False
        elif isinstance(value, float) and not math.isfinite(value) or (
                isinstance(value, array.array) and value.typecode in 'fd'
                and not all(map(math.isfinite, value))):
            return False
    return True
