"""The text of a message type with all it depends on, as bags carry it. No rclpy.

From the installed `.msg` files, so that a recording can be read where nothing is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
import os
from pathlib import Path
import re

from lewm_model.errors import BagError

_RULE = '=' * 80
_TYPE = re.compile(r'([a-zA-Z]\w*)/msg/([A-Z]\w*)')
_PRIMITIVES = frozenset(
    ['bool', 'byte', 'char', 'float32', 'float64', 'string', 'wstring']
    + [f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)])


def message_class(name: str) -> type:
    """Return the Python class of a message type such as 'sensor_msgs/msg/Image'.

    Raises:
        BagError: If it is not installed here.
    """
    match = _TYPE.fullmatch(name)
    try:
        return getattr(import_module(f'{match[1]}.msg'), match[2])
    except (TypeError, ImportError, AttributeError) as error:
        raise BagError(f'message type {name!r} is not installed for Python; install its package '
                       f'and source it') from error


@cache
def message_definition(name: str) -> tuple[str, str]:
    """Return (encoding, text) of a message type.

    The text is the type's own `.msg` file followed by those it depends on, each under a line
    `MSG: package/Type`; for a type that was defined in IDL the same with `IDL:`.

    Raises:
        BagError: If neither file is installed.
    """
    parts, missing = _collect(name, 'msg', _fields_of)
    if not missing:
        head, *rest = parts.items()
        return 'ros2msg', head[1] + ''.join(
            f'\n{_RULE}\nMSG: {_short(item)}\n{body}' for item, body in rest)
    parts, missing = _collect(name, 'idl', _includes_of)
    if missing:
        raise BagError(f'the definition of {missing!r} is not installed; source the workspace '
                       f'that has share/{missing}.msg')
    return 'ros2idl', '\n'.join(f'{_RULE}\nIDL: {item}\n{body}' for item, body in parts.items())


def _collect(name: str, suffix: str, needs: Callable[[str, str], list[str]]
             ) -> tuple[dict[str, str], str]:
    """Return the texts of a type and of all it needs, itself first, and the first one missing."""
    parts: dict[str, str] = {}
    waiting = [name]
    while waiting:
        item = waiting.pop(0)
        if item in parts:
            continue
        found = _find(item, suffix)
        if found is None:
            return parts, item
        parts[item] = found
        waiting += needs(found, item.partition('/')[0])
    return parts, ''


def _find(name: str, suffix: str) -> str | None:
    match = _TYPE.fullmatch(name)
    if match is None:
        raise BagError(f'{name!r} is not a message type, such as sensor_msgs/msg/Image')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix, 'share', match[1], 'msg', f'{match[2]}.{suffix}')
        if prefix and path.is_file():
            return path.read_text(encoding='utf-8')
    return None


def _includes_of(text: str, _package: str) -> list[str]:
    """Return the message types that an `.idl` file includes."""
    return re.findall(r'#include\s+"([^"]+)\.idl"', text)


def _fields_of(text: str, package: str) -> list[str]:
    """Return the message types that the fields of a `.msg` file have."""
    needed = []
    for line in text.splitlines():
        words = line.partition('#')[0].split()
        if len(words) < 2:
            continue
        base = re.split(r'[\[<]', words[0])[0]
        if base in _PRIMITIVES:
            continue
        owner, _, kind = base.rpartition('/')
        default = 'std_msgs' if base == 'Header' else package  # the one name with a short form
        needed.append(f'{owner.removesuffix("/msg") or default}/msg/{kind}')
    return needed


def _short(name: str) -> str:
    return name.replace('/msg/', '/')
