"""From recordings to a model, as docs/robots.md tells people: inspect, edit, ingest, train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import shutil
import subprocess
import sys
import time

from lewm_model.data.shards import open_data
from lewm_model.errors import LewmError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.trials.zoo.results.rows import Rows
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.robot_file import differences, edit_file, shipped_file

_LEWM_S = 240.0        # the longest that one command may take
_FEWEST = 0.75         # share of the driven control steps that become rows
_FEWEST_LOSSY = 0.5    # the same where frames are lost: pieces of under 20 rows are left out


@dataclass(frozen=True)
class Folders:
    """Where one walk keeps its files."""

    root: Path

    @property
    def ours(self) -> Path:
        """Bags of our recorder."""
        return self.root / 'ours'

    @property
    def stock(self) -> Path:
        """Bags as the stock recorder writes them."""
        return self.root / 'stock'

    @property
    def robot_file(self) -> Path:
        """Written by `lewm inspect`."""
        return self.root / 'robot.yaml'

    @property
    def goal(self) -> Path:
        """Picture that was taken while the robot was driven."""
        return self.root / 'goals' / 'goal.png'

    @property
    def bundle(self) -> Path:
        """The model."""
        return self.root / 'bundle'


def inspect(robot: ZooRobot, folders: Folders, rows: Rows) -> None:
    """Let `lewm inspect` suggest the robot file, and change in it what only a person knows."""
    folders.robot_file.unlink(missing_ok=True)
    _remove(folders.bundle, folders.root / 'run')
    bag = min(folders.stock.iterdir())
    lewm('inspect', str(bag), '--robot-out', str(folders.robot_file))
    described = RobotDescription.from_yaml(folders.robot_file)   # runs as it is
    expected = RobotDescription.from_yaml(shipped_file(robot))
    edited = edit_file(folders.robot_file, robot.edits)
    rows.note('inspect', 'keys that a person sets', ', '.join(edited) or 'none')
    facts = differences(RobotDescription.from_yaml(folders.robot_file), expected)
    rows.true('inspect', 'the file says what the robot is', not facts, '; '.join(facts))
    rows.note('inspect', 'interface', f'{described.interface}, {described.command_type}')


def ingest(robot: ZooRobot, folders: Folders, rows: Rows) -> None:
    """Turn both recordings into data sets with the same robot file."""
    fewest = _FEWEST_LOSSY if any(camera.lost for camera in robot.cameras) else _FEWEST
    for name, bags in (('ours', folders.ours), ('stock', folders.stock)):
        data = folders.root / f'{name}.h5'
        _remove(*folders.root.glob(f'{name}.h5*'))
        lewm('ingest', str(bags), '--robot', str(folders.robot_file), '--out', str(data))
        count = len(open_data([str(data)]).action)
        rows.at_least('ingest', f'rows of the recording by {name}', count,
                      fewest * robot.record_s * robot.pace / robot.control_dt_s)
    refused = folders.root / 'second_source'
    if refused.is_dir():
        try:
            lewm('ingest', str(refused), '--robot', str(folders.robot_file), '--out',
                 str(folders.root / 'refused.h5'), '--min-rows', '2')
            rows.true('ingest', 'two sources of the same joints are refused', False, 'ingested')
        except LewmError as error:
            rows.true('ingest', 'two sources of the same joints are refused', True,
                      str(error)[-300:])


def train(folders: Folders, rows: Rows, steps: int) -> None:
    """Train a few steps; what matters is that the bundle runs, not that it is good."""
    _remove(folders.bundle, folders.root / 'run')
    begin_s = time.monotonic()
    lewm('train', str(folders.root / 'stock.h5'), '--config', 'nano', '--steps', str(steps),
         '--batch-size', '8', '--threads', '1', '--out', str(folders.bundle), '--run',
         str(folders.root / 'run'))
    rows.note('train', f'seconds for {steps} steps', round(time.monotonic() - begin_s, 1))
    rows.true('train', 'bundle written', (folders.bundle / 'bundle.yaml').is_file())


def lewm(*words: str) -> str:
    """Run a `lewm` command; return what it says.

    Raises:
        LewmError: With the end of its output, if it fails.
    """
    result = subprocess.run([sys.executable, '-m', 'lewm_sim.cli', *words], timeout=_LEWM_S,
                            capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stderr or result.stdout)[-600:] or 'it said nothing'
        raise LewmError(f'lewm {words[0]} ended with status {result.returncode}: {said}')
    return result.stdout


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
