"""Damage for the fuzz tests: bytes, YAML texts, message fields and folders, all seeded."""

from __future__ import annotations

import copy
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import yaml

KEYS = (0, -1, 1, 2 ** 31, -2 ** 63, 10 ** 30, 10 ** 400, 1e308, float('nan'), float('inf'), None,
        True, '', '\0', 'x', '../../etc/passwd', 'x' * 5000, '1e-3')
VALUES = (*KEYS, [], {}, [[]], [None], [float('nan')] * 2, ['a', 'a'], [10 ** 400] * 2, {'a': 1},
          {1: 2}, [[1, 2], [3]], ['x'] * 3000)
TEXTS = (
    '', '\0', '\ufeff', '---', '[]', '3', '- ' * 3000, '[' * 3000, '{' * 3000, '? ' * 2000,
    '&a [*a]', '&a {b: *a}', '*nothing', '!!int ""', '!!float ""', '!!bool x', '!!timestamp x',
    'a: 2001-13-45', 'a: 0x_', 'a: 0b_', f'a: {"9" * 5000}',
    '!!python/object/apply:os.system [ls]', '!!python/name:os.system', '!!binary "\u00e9"',
    '{[1]: 2}', '<<: 3', '<<: [{a: 1}, 3]',
    'a: 1:1:1:1:1:1:1:1:1', '%YAML 9.9\n---\na: 1', 'a: 1\n---\nb: 2', '!!set {a, b}',
    '!!omap [1]',
    'l0: &l0 [x, x, x, x, x, x, x, x, x]\n' + ''.join(
        f'l{n}: &l{n} [{", ".join([f"*l{n - 1}"] * 9)}]\n' for n in range(1, 12)),
    'm0: &m0 {a: 1}\n' + ''.join(
        f'm{n}: &m{n}\n  <<: [{", ".join([f"*m{n - 1}"] * 9)}]\n' for n in range(1, 12)))


def damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with one to five pieces changed, removed, repeated or cut off."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        # A third each: the head, the tail (where indexes are), anywhere.
        place = rng.integers(3)
        low = max(0, len(content) - 400) if place == 1 else 0
        high = min(len(content), 200) if place == 0 else len(content)
        at, kind = int(rng.integers(low, max(high, low + 1))), rng.integers(9)
        if kind <= 2:
            content[at:at + 1] = rng.bytes(1)
        elif kind == 3:
            content[at:at + 8] = [b'\xff' * 8, bytes(8), b'\xff' * 7 + b'\x7f',
                                  bytes(3) + b'\x40' + bytes(4)][rng.integers(4)]
        elif kind == 4:
            del content[at:at + int(rng.integers(1, 60))]
        elif kind == 5:
            content[at:at] = rng.bytes(int(rng.integers(1, 60)))
        elif kind == 6:
            content[at:at] = content[at:at + int(rng.integers(1, 600))]
        elif kind == 7:
            del content[at:]
        else:
            end = at + int(rng.integers(1, 400))
            other = int(rng.integers(max(len(content), 1)))
            content[other:other] = content[at:end]
            del content[at:end]
    return bytes(content)


def damaged_yaml(text: str, rng: np.random.Generator) -> bytes:
    """Return YAML with an odd value, key or structure somewhere, or damaged text."""
    kind = rng.integers(8)
    if kind == 0:
        return damaged_bytes(text.encode(), rng)
    if kind == 1:
        odd = TEXTS[rng.integers(len(TEXTS))]
        return (odd if rng.random() < 0.7 else f'{text}\n{odd}').encode('utf-8', 'surrogatepass')
    values = yaml.safe_load(text)
    for _ in range(rng.integers(1, 3)):
        parent, key = _somewhere(values, rng)
        change = rng.integers(8)
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, dict):
            parent[KEYS[rng.integers(len(KEYS))]] = parent[key]
        elif change <= 4 and type(parent[key]) in (int, float):
            parent[key] *= [2, -1, 1000][rng.integers(3)]
        else:
            parent[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        if not values:
            break
    return yaml.safe_dump(values, sort_keys=False).encode()


def _somewhere(values: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a random place of nested lists and mappings as (container, key)."""
    places: list[tuple[Any, Any]] = []
    waiting = [values]
    while waiting:
        parent = waiting.pop()
        for key in (list(parent) if isinstance(parent, dict) else range(len(parent))):
            places.append((parent, key))
            if isinstance(parent[key], (dict, list)) and parent[key]:
                waiting.append(parent[key])
    return places[rng.integers(len(places))]


def odd_fields(message: Any, rng: np.random.Generator) -> None:
    """Change one field of a message, or of a part of it, to what no driver should send."""
    part = message
    while True:
        names = [name for name in vars(part) if not name.startswith('_') and not name.isupper()]
        name = names[rng.integers(len(names))]
        value = getattr(part, name)
        if hasattr(value, '__msgtype__') and not isinstance(value, (list, np.ndarray)):
            part = value
            continue
        setattr(part, name, _odd(value, rng))
        return


def _odd(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind == 'f' and rng.random() < 0.5:
            changed = value.copy()
            changed[...] = [np.nan, np.inf, -1e308, 0][rng.integers(4)]
            return changed
        size = int(rng.choice([0, 1, max(len(value) - 1, 0), len(value) + 1, 3 * len(value),
                               200_000]))
        return np.resize(value, size) if len(value) and size else np.zeros(size, value.dtype)
    if isinstance(value, list):
        return [[], value[:1], value * 2, value[::-1], [''] * len(value), ['x'] * 4000][
            rng.integers(6)] if all(isinstance(item, str) for item in value) else []
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return ['', 'x', '\0', '/' * 300, 'bayer_rggb16', 'jpeg', '\u00e9' * 9, '{"a":'][
            rng.integers(8)]
    if isinstance(value, float):
        return [np.nan, np.inf, 0.0, -1e308][rng.integers(4)]
    return [0, 1, 100, value + 1 if value < 100 else 7][rng.integers(4)]   # fits every integer


def disturb_folder(folder: Path, around: Path, rng: np.random.Generator) -> None:
    """Do to a folder of files what people, tools and attackers do."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    file = files[rng.integers(len(files))]
    kind = rng.integers(11)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        file.unlink()
        file.mkdir()
    elif kind == 2:     # a link out of the folder, to a file with a secret or to nothing
        file.unlink()
        file.symlink_to(around / ('secret' if rng.random() < 0.7 else 'nothing'))
    elif kind == 3:
        file.unlink()
        file.symlink_to(file)
    elif kind == 4:
        file.write_bytes(b'')
    elif kind == 5:
        other = files[rng.integers(len(files))]
        content = file.read_bytes()
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif kind == 6:
        shutil.copy(file, file.with_name(['x_7.mcap', 'y.db3', '.hidden.mcap', 'z.mcap.zstd',
                                          'a\nb.mcap'][rng.integers(5)]))
    elif kind == 7:
        file.rename(file.with_suffix(['.mcap', '.db3', '.zstd', '.bag'][rng.integers(4)]))
    elif kind == 8:
        file.with_name(file.name + ['-wal', '-journal'][rng.integers(2)]).write_bytes(
            rng.bytes(500))
    elif kind == 9:
        (folder / 'metadata.yaml').unlink(missing_ok=True)
        (folder / 'metadata.yaml').symlink_to(around / 'secret')
    else:
        (folder / 'bag_9.mcap').symlink_to(folder)
