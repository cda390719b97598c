"""What became of every recorded frame; the numbers add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class BagReport:
    """What became of one bag; rows + dropped frames = frames, unless it failed."""

    bag: str
    frames: int = 0
    lengths: tuple[int, ...] = ()           # rows of each episode
    dropped: dict[str, int] = field(default_factory=dict)
    sha256: str = ''
    tasks: tuple[str, ...] = ()             # named by its episode marks
    error: str = ''                         # why nothing could be read


@dataclass(frozen=True)
class IngestReport:
    """What became of all bags."""

    robot: str
    image_size: int
    bags: tuple[BagReport, ...]

    @property
    def episodes(self) -> int:
        """Episodes in the file."""
        return sum(len(bag.lengths) for bag in self.bags)

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return sum(sum(bag.lengths) for bag in self.bags)

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
    def failed(self) -> tuple[BagReport, ...]:
        """Bags that could not be read."""
        return tuple(bag for bag in self.bags if bag.error)

    def text(self) -> str:
        """Summarise for people."""
        lines = [f'{len(self.bags)} bags, {self.frames} frames -> {self.episodes} episodes, '
                 f'{self.rows} rows of {self.image_size}x{self.image_size} px']
        lines += [f'  dropped {count}: {reason}' for reason, count in sorted(self.dropped.items())]
        lines += [f'  not read: {bag.error}' for bag in self.failed]
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report, ready for JSON."""
        return {'robot': self.robot, 'task': self.task,
                'image_size': self.image_size, 'episodes': self.episodes,
                'rows': self.rows, 'frames': self.frames, 'dropped': self.dropped,
                'failed': len(self.failed), 'bags': [asdict(bag) for bag in self.bags]}
