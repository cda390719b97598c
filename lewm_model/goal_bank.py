"""A goal bank: recorded frames to go to, each with what was measured when it was taken.

A folder with `bank.yaml` and one PNG for each entry; `lewm goal-bank` writes it. Anybody may have
written one, so everything in it is checked: YAML of a bounded size, plain file names, numbers that
are finite. No torch, no pictures here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import math
from pathlib import Path
import re
from typing import Any

from lewm_model.base.yaml_text import read_yaml
from lewm_model.errors import ConfigError
from lewm_model.images.view import View
from lewm_model.quantities import places, Quantity
import numpy as np
import yaml

FORMAT, FORMAT_VERSION = 'lewm-goal-bank', 1
BANK_FILE, GALLERY_FILE = 'bank.yaml', 'gallery.png'
MOST_ENTRIES = 256
MOST_QUANTITIES = 40
MOST_FRAME_PX = 1024
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}')
_KEYS = {'format', 'format_version', 'robot', 'task', 'source', 'view', 'quantities', 'spread',
         'entries'}
_ENTRY_KEYS = {'name', 'episode', 'row', 'stamp_ns', 'values'}


@dataclass(frozen=True, eq=False)
class BankEntry:
    """One frame that can be a goal."""

    name: str            # of the entry; its picture is <name>.png
    episode: str         # that it is from
    row: int             # its place in the episode [control steps]
    stamp_ns: int        # capture time; 0: not recorded
    values: np.ndarray   # float64 (q,), the bank's quantities side by side

    @property
    def file(self) -> str:
        """Name of the picture inside the bank's folder."""
        return f'{self.name}.png'


@dataclass(frozen=True, eq=False)
class GoalBank:
    """What can be chosen, and of which robot, task and view."""

    robot: str
    task: str                           # '': the recordings do not say
    source: str                         # the data set
    view: View | None                   # of the pictures, which are squares of `frame_px`
    quantities: tuple[Quantity, ...]    # that every entry has
    spread: tuple[str, ...]             # names of those that the entries are spread over
    entries: tuple[BankEntry, ...]

    def __post_init__(self) -> None:
        names = [one.name for one in self.quantities]
        if not 1 <= len(self.entries) <= MOST_ENTRIES:
            raise ConfigError(f'entries must be 1 to {MOST_ENTRIES}, got {len(self.entries)}')
        if not 1 <= len(names) <= MOST_QUANTITIES or len(set(names)) != len(names):
            raise ConfigError(f'quantities must be 1 to {MOST_QUANTITIES} of different names, got '
                              f'{", ".join(names) or "none"}')
        if not self.spread or not set(self.spread) <= set(names):
            raise ConfigError(f'spread must be among {", ".join(names)}, got '
                              f'{", ".join(self.spread) or "nothing"}')
        if self.view is not None and self.view.frame_px > MOST_FRAME_PX:
            raise ConfigError(f'pictures of a bank have at most {MOST_FRAME_PX} px, got '
                              f'{self.view.frame_px}')
        for place, one in enumerate(self.entries):
            if not (isinstance(one.name, str) and _NAME.fullmatch(one.name)):
                raise ConfigError(f'the name of entry {place} must be 1 to 64 letters, digits, _ '
                                  f'and -, got {str(one.name)[:80]!r}')
        if len({one.name for one in self.entries}) != len(self.entries):
            raise ConfigError('entries must have different names')

    def entry(self, name: str) -> BankEntry:
        """Return an entry by its name.

        Raises:
            ConfigError: If there is none.
        """
        for one in self.entries:
            if one.name == name:
                return one
        raise ConfigError(f'the goal bank has no entry {name[:80]!r}; it has '
                          f'{self.entries[0].name} to {self.entries[-1].name}, see ~/list_goals')

    def named(self, entry: BankEntry) -> dict[str, np.ndarray]:
        """Return the values of each quantity of an entry, (width,), by name."""
        return {one.name: entry.values[where] for one, where in zip(
            self.quantities, places(self.quantities), strict=True)}

    def quantity(self, name: str) -> Quantity:
        """Return a quantity by its name.

        Raises:
            ConfigError: If the entries do not have it.
        """
        for one in self.quantities:
            if one.name == name:
                return one
        raise ConfigError(f'the goal bank knows no {name[:80]!r}; it has '
                          f'{", ".join(one.name for one in self.quantities)}')

    def text(self, entry: BankEntry) -> str:
        """Return what an entry shows, for people: the quantities that the bank is spread over."""
        return ', '.join(self.lines(entry))

    def lines(self, entry: BankEntry) -> list[str]:
        """Return the same, one text for each quantity."""
        values = self.named(entry)
        return [f'{name} {" ".join(f"{number:.2f}" for number in values[name])} '
                f'{self.quantity(name).unit}'.strip() for name in self.spread]

    def misfit(self, robot: str, cameras: int) -> str:
        """Say why the bank cannot be one of this robot, or nothing."""
        if robot != self.robot:
            return f'it is of robot {self.robot!r}, this is {robot!r}'
        if self.view is not None and len(self.view.cameras) != cameras:
            return f'its pictures are of {len(self.view.cameras)} cameras, the robot has {cameras}'
        return ''


def to_yaml(bank: GoalBank) -> str:
    """Return the text of `bank.yaml`."""
    def plain(values: np.ndarray) -> Any:
        numbers = [round(float(number), 6) for number in values]
        return numbers[0] if len(numbers) == 1 else numbers

    head = {'format': FORMAT, 'format_version': FORMAT_VERSION, 'robot': bank.robot,
            'task': bank.task, 'source': bank.source,
            'view': None if bank.view is None else bank.view.to_dict(),
            'quantities': [asdict(one) for one in bank.quantities], 'spread': list(bank.spread)}
    entries = [{'name': one.name, 'episode': one.episode, 'row': one.row,
                'stamp_ns': one.stamp_ns,
                'values': {name: plain(values) for name, values in bank.named(one).items()}}
               for one in bank.entries]
    return ('# Frames that can be goals; `values` is what was measured when each was taken.\n'
            + yaml.safe_dump(head, sort_keys=False, default_flow_style=None, width=1000)
            + yaml.safe_dump({'entries': entries}, sort_keys=False, default_flow_style=None,
                             width=1000))


def read_bank(folder: str | Path) -> GoalBank:
    """Read `bank.yaml`; the pictures are not looked at.

    Raises:
        ConfigError: Names the file, what is wrong and what is allowed.
    """
    path = Path(folder) / BANK_FILE
    if not path.is_file():
        raise ConfigError(f'{str(folder)!r} is no goal bank: it has no {BANK_FILE}; make one '
                          f'with "lewm goal-bank"')
    content = read_yaml(path)
    try:
        return _bank(content)
    except ConfigError as error:
        raise ConfigError(f'goal bank {path}: {error}') from error


def _bank(content: Any) -> GoalBank:
    _mapping(content, _KEYS, 'it')
    if content['format'] != FORMAT:
        raise ConfigError(f'format must be {FORMAT}, got {str(content["format"])[:80]!r}')
    if content['format_version'] != FORMAT_VERSION:
        raise ConfigError(f'format_version {str(content["format_version"])[:80]} is not known, '
                          f'this release reads {FORMAT_VERSION}; make the bank again')
    texts = {name: _text(content[name], name) for name in ('robot', 'task', 'source')}
    found = _list(content['quantities'], 'quantities', MOST_QUANTITIES)
    quantities = []
    for one in found:
        _mapping(one, {'name', 'kind', 'unit', 'of'}, 'a quantity')
        quantities.append(Quantity(**{key: _text(value, key) for key, value in one.items()}))
    spread = [_text(one, 'spread') for one in _list(content['spread'], 'spread', MOST_QUANTITIES)]
    entries = [_entry(one, place, quantities) for place, one in enumerate(
        _list(content['entries'], 'entries', MOST_ENTRIES))]
    view = content['view']
    return GoalBank(**texts, view=None if view is None else View.from_dict(view),
                    quantities=tuple(quantities), spread=tuple(spread), entries=tuple(entries))


def _entry(value: Any, place: int, quantities: list[Quantity]) -> BankEntry:
    what = f'entry {place}'
    _mapping(value, _ENTRY_KEYS, what)
    for key in ('row', 'stamp_ns'):
        if type(value[key]) is not int or not 0 <= value[key] < 2 ** 63:
            raise ConfigError(f'{key} of {what} must be a whole number from 0 on, got '
                              f'{str(value[key])[:80]!r}')
    _mapping(value['values'], {one.name for one in quantities}, f'values of {what}')
    numbers: list[float] = []
    for one in quantities:
        given = value['values'][one.name]
        row = given if isinstance(given, list) else [given]
        if len(row) != one.width or not all(
                isinstance(number, (int, float)) and not isinstance(number, bool)
                and abs(number) < 1e12 and math.isfinite(number) for number in row):
            raise ConfigError(f'{one.name!r} of {what} must be {one.width} finite numbers, got '
                              f'{str(given)[:80]!r}')
        numbers += row
    return BankEntry(_text(value['name'], f'the name of {what}'),
                     _text(value['episode'], f'the episode of {what}'), value['row'],
                     value['stamp_ns'], np.array(numbers, dtype=np.float64))


def _mapping(value: Any, keys: set[str], what: str) -> None:
    if not isinstance(value, Mapping) or set(value) != keys:
        got = ', '.join(map(str, value)) if isinstance(value, Mapping) else repr(value)
        raise ConfigError(f'{what} must have the keys {", ".join(sorted(keys))}, got {got[:200]}')


def _list(value: Any, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ConfigError(f'{name} must be a list of 1 to {most}, got {str(value)[:80]!r}')
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        raise ConfigError(f'{name} must be a text of at most 200 characters, got '
                          f'{str(value)[:80]!r}')
    return value
