"""Choose frames of a data set as goals, spread over what was seen, and write them as a bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lewm_model.base.farthest import farthest_from
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import (
    Measured,
    measured,
    measured_states,
    measured_truth,
    STILL,
)
from lewm_model.data.robot_facts import require_robot
from lewm_model.errors import DatasetError, without_path
from lewm_model.goal_bank import (
    BANK_FILE,
    BankEntry,
    GALLERY_FILE,
    GoalBank,
    MOST_ENTRIES,
    to_yaml,
)
from lewm_model.images.decode import write_image
from lewm_model.images.gallery import draw_gallery
import numpy as np


def make_goal_bank(data: EpisodeFile, folder: str | Path, *, count: int = 64, every: int = 1,
                   by: Sequence[str] = ()) -> GoalBank:
    """Write `count` frames of a data set, `bank.yaml` and the gallery into a new folder.

    Args:
        data: Must say its robot and have something measured.
        folder: Is made; must not hold a bank.
        count: Frames wanted; fewer come out where fewer differ.
        every: Only every so many rows of an episode can be chosen [control steps].
        by: Names of the quantities to spread the frames over; (): what the simulator knew or,
            on a robot, what it measured of itself.

    Raises:
        DatasetError: If the set does not say enough, or the folder cannot be used.
    """
    folder = Path(folder)
    if not 1 <= count <= MOST_ENTRIES or every < 1:
        raise DatasetError(f'count must be in [1, {MOST_ENTRIES}] and every from 1 on, got '
                           f'{count} and {every}')
    if (folder / BANK_FILE).exists():
        raise DatasetError(f'{folder} holds a goal bank already; choose another folder')
    require_robot(data)
    rows = np.concatenate([np.arange(start, start + length, every) for start, length in zip(
        data.ep_offset.tolist(), data.ep_len.tolist(), strict=True)])
    found = _usable(data, rows)
    spread = _spread(data, found, rows, by)
    points = np.concatenate([_scaled(one, rows) for one in spread], axis=1)
    chosen = rows[np.sort(farthest_points(points, count))]
    bank = GoalBank(
        robot=data.attributes['robot'], task=str(data.attributes.get('task', '')),
        source=data.path.name, view=data.view,
        quantities=tuple(one.quantity for one in found),
        spread=tuple(one.quantity.name for one in spread),
        entries=tuple(_entry(data, found, number, int(row)) for number, row in enumerate(chosen)))
    _write(bank, [np.array(data.pixels[int(row)]) for row in chosen], folder)
    return bank


def farthest_points(points: np.ndarray, count: int) -> list[int]:
    """Choose points (N, k) one after the other, each the farthest from those chosen before.

    Starts in the middle of them, and stops early when all others coincide with a chosen one.
    """
    start = int(np.square(points - np.median(points, axis=0)).sum(axis=1).argmin())
    return farthest_from(points, start, count, least=1e-12)


def _usable(data: EpisodeFile, rows: np.ndarray) -> list[Measured]:
    """Return what the entries can say: recorded everywhere, and no velocity, which none shows."""
    found = [one for one in measured(data) if one.quantity.kind != 'velocity'
             and np.isfinite(np.asarray(one.values[rows], float)).all()]
    if not found:
        raise DatasetError(f'{data.path} has nothing measured beside its pictures (columns qpos, '
                           f'proprio or truth), so frames cannot be told apart by what they show; '
                           f'record the state of the robot, see docs/data.md')
    return found


def _spread(data: EpisodeFile, found: list[Measured], rows: np.ndarray, by: Sequence[str]
            ) -> list[Measured]:
    names = {one.quantity.name: one for one in found}
    unknown = [name for name in by if name not in names]
    if unknown:
        raise DatasetError(f'{data.path} has no {", ".join(unknown)} that every frame has; it has '
                           f'{", ".join(names)}')
    if by:
        return [names[name] for name in dict.fromkeys(by)]
    known = [one.name for one in measured_truth(data)[0] or measured_states(data)[0]]
    moving = [one for one in found if one.quantity.name.removesuffix(' (truth)') in known
              and np.ptp(np.asarray(one.values[rows], float), axis=0).max() > STILL]
    if not moving:
        raise DatasetError(f'nothing that {data.path} measured ever moves ({", ".join(known)}), '
                           f'so all frames would be the same goal')
    return moving


def _scaled(one: Measured, rows: np.ndarray) -> np.ndarray:
    """Return numbers (N, n) without unit that are near where the quantity is alike."""
    targets = one.quantity.targets(np.asarray(one.values[rows], float))
    spread = np.sqrt(targets.var(axis=0).mean())     # of sine and cosine together: a circle stays
    return targets / max(spread, STILL)


def _entry(data: EpisodeFile, found: list[Measured], number: int, row: int) -> BankEntry:
    episode = int(np.searchsorted(data.ep_offset, row, side='right')) - 1
    stamps = data.columns.get('stamp_ns')
    return BankEntry(
        name=f'goal_{number:03d}', episode=data.ep_name[episode],
        row=row - int(data.ep_offset[episode]),
        stamp_ns=0 if stamps is None else max(0, int(stamps[row])),
        values=np.concatenate([np.asarray(one.values[row], np.float64) for one in found]))


def _write(bank: GoalBank, pictures: list[np.ndarray], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one, picture in zip(bank.entries, pictures, strict=True):
            write_image(folder / one.file, picture)
        write_image(folder / GALLERY_FILE, draw_gallery(
            pictures, [bank.lines(one) for one in bank.entries]).rgb)
        (folder / BANK_FILE).write_text(to_yaml(bank), encoding='utf-8')   # last: it is complete
    except OSError as error:
        raise DatasetError(f'cannot write the goal bank {folder}: {without_path(error)}'
                           ) from error
