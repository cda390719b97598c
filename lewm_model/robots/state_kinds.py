"""What the measured states of a robot are: the key `state_kinds` of robot files.

A joint turns unless the file says otherwise; the pose of a base is x, y in metres and a yaw.
Nothing may take a column for an angle without asking here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lewm_model.errors import ConfigError
from lewm_model.quantities import KINDS, Quantity

ONE_NUMBER = tuple(kind for kind in KINDS if kind != 'quaternion')   # what one column can hold


def read_state_kinds(value: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return one text such as 'angle' or 'position mm' for each state; () stays ().

    Args:
        value: A list with one kind for each state, or those that are no angles by name:
            `{gripper: position}`. A unit may follow the kind.
        names: Of the states, in order.

    Raises:
        ConfigError: The message says what is allowed.
    """
    if not value:
        return ()
    if isinstance(value, Mapping):
        unknown = [str(name) for name in value if name not in names]
        if unknown:
            raise ConfigError(f'state_kinds names {", ".join(unknown)}; the states are '
                              f'{", ".join(names)}')
        value = [value.get(name, 'angle') for name in names]
    if not isinstance(value, (list, tuple)) or len(value) != len(names) or not all(
            isinstance(one, str) and one.split(maxsplit=1)[:1]
            and one.split(maxsplit=1)[0] in ONE_NUMBER for one in value):
        raise ConfigError(f'state_kinds must be a kind for each state ({", ".join(names)}), one '
                          f'of {", ".join(ONE_NUMBER)} with a unit after it if it is not the '
                          f'usual one, or a kind by name for those that are no angle, '
                          f'got {value!r}')
    return tuple(value)


def joint_quantities(names: Sequence[str], kinds: Sequence[str]) -> tuple[Quantity, ...]:
    """Describe the states of joints; without kinds they are angles."""
    found = []
    for name, text in zip(names, kinds or ('angle',) * len(names), strict=True):
        kind, _, unit = text.partition(' ')
        found.append(Quantity(name, kind, unit.strip(), 'joint'))
    return tuple(found)


def base_quantities(names: Sequence[str]) -> tuple[Quantity, ...]:
    """Describe the pose of a base: two positions and a heading."""
    return tuple(Quantity(name, kind, of='base') for name, kind in
                 zip(names, ('position', 'position', 'angle'), strict=True))
