"""What became of every recorded frame; the numbers add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lewm_model.errors import DatasetError


@dataclass(frozen=True)
class BagReport:
    """What became of one bag; rows + dropped frames = frames, unless it failed.

    Raises:
        DatasetError: If the numbers do not add up.
    """

    bag: str
    frames: int = 0
    lengths: tuple[int, ...] = ()           # rows of each episode
    dropped: dict[str, int] = field(default_factory=dict)
    sha256: str = ''
    tasks: tuple[str, ...] = ()             # named by its episode marks
    acting: tuple[str, ...] = ()            # data policies of a simulation, likewise
    error: str = ''                         # why nothing could be read
    notes: tuple[str, ...] = ()             # what was damaged and repaired, or lost

    def __post_init__(self) -> None:
        dropped = sum(self.dropped.values())
        if self.rows + dropped != self.frames:
            raise DatasetError(f'the report on bag {self.bag} does not add up: {self.rows} rows '
                               f'and {dropped} dropped frames of {self.frames}')

    @property
    def rows(self) -> int:
        """Frames that became rows."""
        return sum(self.lengths)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BagReport:
        """Read what `to_dict` and JSON made of one; keys of later versions are left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value
                      for name, value in values.items() if name in known})


@dataclass(frozen=True)
class IngestReport:
    """What became of all bags of a data set, over all runs that added to it."""

    robot: str
    image_size: int
    bags: tuple[BagReport, ...]
    before: tuple[str, ...] = ()            # bags that the set held already

    @property
    def episodes(self) -> int:
        """Episodes in the file."""
        return sum(len(bag.lengths) for bag in self.bags)

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return sum(bag.rows for bag in self.bags)

    @property
    def frames(self) -> int:
        """Frames in all readable bags."""
        return sum(bag.frames for bag in self.bags)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames left out, by reason."""
        return dict(sum((Counter(bag.dropped) for bag in self.bags), Counter()))

    @property
    def task(self) -> str:
        """The task of all bags, empty if they name several or none."""
        tasks = {task for bag in self.bags for task in bag.tasks}
        return tasks.pop() if len(tasks) == 1 else ''

    @property
    def acting(self) -> dict[str, int]:
        """In how many episodes each data policy acted, as far as bags say."""
        return dict(Counter(name for bag in self.bags for name in bag.acting
                            for _ in bag.lengths))

    @property
    def failed(self) -> tuple[BagReport, ...]:
        """Bags that could not be read."""
        return tuple(bag for bag in self.bags if bag.error)

    def text(self) -> str:
        """Summarise for people."""
        before = f' ({len(self.before)} of them in the set before)' if self.before else ''
        lines = [f'{len(self.bags)} bags{before}, {self.frames} frames -> {self.episodes} '
                 f'episodes, {self.rows} rows of {self.image_size}x{self.image_size} px']
        lines += [f'  dropped {count}: {reason}' for reason, count in sorted(self.dropped.items())]
        if self.acting:
            lines.append(f'  who acted: {acting_text(self.acting)}')
        lines += [f'  {bag.bag}: {note}' for bag in self.bags for note in bag.notes]
        lines += [f'  not read: {bag.error}' for bag in self.failed]
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report, ready for JSON."""
        return {'robot': self.robot, 'task': self.task,
                'image_size': self.image_size, 'episodes': self.episodes,
                'rows': self.rows, 'frames': self.frames, 'dropped': self.dropped,
                'acting': self.acting, 'failed': len(self.failed),
                'bags': [bag.to_dict() for bag in self.bags]}


def acting_text(counts: Mapping[str, int]) -> str:
    """Return who acted in how many episodes, as people read it."""
    return ', '.join(f'{name} {count}' for name, count in sorted(counts.items()))
