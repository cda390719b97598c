"""A goal bank as goals: its pictures, and which entry is nearest to what somebody asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lewm_model.errors import ConfigError, ImageError
from lewm_model.goal_bank import BankEntry, GoalBank, read_bank
from lewm_model.robots.robot import RobotDescription
from lewm_ros.goals.giving.files import read_allowed
import numpy as np


class OpenBank:
    """A bank that fits a robot.

    Args:
        folder: Of the bank; nothing outside of it is read.
        robot: Of this node.

    Raises:
        ConfigError: If it is no bank, or of another robot or number of cameras.
    """

    def __init__(self, folder: str | Path, robot: RobotDescription) -> None:
        self._folder = Path(folder).expanduser()
        self.bank: GoalBank = read_bank(self._folder)
        misfit = self.bank.misfit(robot.robot, len(robot.all_cameras))
        if misfit:
            raise ConfigError(f'goal bank {str(folder)!r} does not fit: {misfit}; make one from '
                              f'recordings of this robot with "lewm goal-bank"')

    def picture(self, entry: BankEntry) -> np.ndarray:
        """Read the picture of an entry, uint8 (H, W, 3).

        Raises:
            ReasonedError: NO_SUCH_GOAL, if it is not there, or leads out of the folder.
            ImageError: If it cannot be read, or has another size than the bank says.
        """
        rgb = read_allowed(entry.file, str(self._folder))
        view = self.bank.view
        if view is not None and rgb.shape[:2] != (view.frame_px, view.frame_px):
            raise ImageError(f'picture {entry.file} of the goal bank is {rgb.shape[1]}x'
                             f'{rgb.shape[0]} px, bank.yaml says {view.frame_px} px')
        return rgb

    def nearest(self, wanted: Mapping[str, float]) -> tuple[BankEntry, dict[str, float]]:
        """Find the entry nearest to values of some quantities; the others do not count.

        Errors in different units are compared as shares of how far the entries differ.

        Args:
            wanted: Values by name, of quantities of one number.

        Returns:
            The entry, and how far it is off in each quantity, in its unit.

        Raises:
            ConfigError: If nothing is wanted, a value is not finite, or the bank does not know
                a quantity.
        """
        if not wanted or not np.isfinite(list(wanted.values())).all():
            raise ConfigError(f'at least one finite value must be wanted, got {dict(wanted)}')
        errors, total = {}, np.zeros(len(self.bank.entries))
        for name, value in wanted.items():
            quantity = self.bank.quantity(name)
            if quantity.width != 1:
                raise ConfigError(f'{quantity} cannot be asked for by one number')
            values = np.array([self.bank.named(one)[name] for one in self.bank.entries])
            targets = quantity.targets(values)
            spread = np.sqrt(targets.var(axis=0).sum())
            errors[name] = quantity.error(values, np.array([value]))
            total += np.square(errors[name] / max(spread, 1e-6))
        best = int(total.argmin())
        return self.bank.entries[best], {name: float(one[best]) for name, one in errors.items()}
