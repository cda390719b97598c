"""What surprise is ordinary on this robot: watched for a minute, kept in a small file.

A real camera is noisier than a simulated one, and a planner drives otherwise than who recorded the
data. The limit comes as in `lewm calibrate`: the highest surprise of pieces that do not overlap, a
quantile of them, the upper end of its interval. A file can be wrong in the unsafe direction: so
watching is refused if the robot surprises far more than the data ever did, and a limit above the
bundle's is said at every configure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
from pathlib import Path

from lewm_model.base.quantile import quantile_with_interval
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.weights import write_atomically
from lewm_model.config import Config, require
from lewm_model.errors import ConfigError, LewmError, without_path
from lewm_model.ordinary import EPISODE_QUANTILE
import numpy as np
import yaml

PIECE_S = 1.5              # judged without a break; between two pieces as much is left out
_FEWEST = 10               # pieces
_MARGIN = 2.0              # times the upper end: pieces are shorter than recorded episodes
_MOST_ABOVE = 4.0          # times the bundle's limit: something is wrong, nothing is learnt


@dataclass(frozen=True)
class RobotCalibration(Config):
    """The file."""

    model_id: str            # of the model that was watched
    mean_error: float        # surprise 1, of what the bundle calls 1 (or of the squared error)
    limit: float             # in units of mean_error
    quantile: float          # of the highest surprise of a piece
    low: float               # its 95 % interval
    high: float
    pieces: int
    seconds: float           # watched

    def __post_init__(self) -> None:
        for name in ('mean_error', 'limit', 'seconds'):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f'RobotCalibration.{name}',
                    'a positive number', value)
        require(self.pieces >= _FEWEST, 'RobotCalibration.pieces', f'at least {_FEWEST}',
                self.pieces)

    def compared_with(self, bundle: Bundle) -> list[str]:
        """Say which limit is in force; louder where it lets pass what the bundle's would not."""
        here, there = self.mean_error * self.limit, allowed_error(bundle)
        return [f'surprise is judged as measured on this robot ({self.pieces} pieces): up to '
                f'{here:.3g} passes, by the bundle up to {there:.3g}'
                + ('; that is LESS strict than the bundle' if here > there else '')]

    def save(self, path: str | Path) -> Path:
        """Write the file, as a whole or not at all; raises ConfigError."""
        path = Path(path).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, yaml.safe_dump(self.to_dict(), sort_keys=False).encode())
        except OSError as error:
            raise ConfigError(f'cannot write {path}: {without_path(error)}') from error
        return path

    @classmethod
    def load(cls, path: str | Path, model_id: str) -> RobotCalibration:
        """Read the file of a model; raises ConfigError if it is of another one."""
        found = cls.from_yaml(Path(path).expanduser())
        if found.model_id != model_id:
            raise ConfigError(f'{path} was measured with model {found.model_id}, this is '
                              f'{model_id}; call ~/calibrate_surprise again, or leave '
                              f'surprise_file empty')
        return found


def allowed_error(bundle: Bundle) -> float:
    """Return the surprise that the bundle's own limit lets pass; NaN if it has none."""
    return math.nan if bundle.ordinary is None else bundle.ordinary.config.surprise_limit


class CalibrationWatch:
    """Collects the surprise of frames for a while; the planner thread calls `add`.

    Args:
        model_id: Of the model.
        allowed: The limit of the bundle; NaN if it is not calibrated.
        done: Told the result, or why there is none.
    """

    def __init__(self, model_id: str, allowed: float,
                 done: Callable[[RobotCalibration | None, str], None]) -> None:
        self._model_id, self._allowed, self._done = model_id, allowed, done
        self.running = False
        self._seconds = 0.0
        self._errors: list[tuple[int, float]] = []

    def start(self, seconds: float) -> None:
        """Begin to watch, from the next frame on."""
        self._seconds, self._errors = seconds, []
        self.running = True

    def add(self, stamp_ns: int, error: float) -> None:
        """Take the surprise at a frame; NaN is none, but time that passes."""
        if not self.running:
            return
        if self._errors and stamp_ns < self._errors[-1][0]:
            self._errors = []      # the clock jumped back: from the beginning
        self._errors.append((stamp_ns, error))
        if stamp_ns - self._errors[0][0] < self._seconds * 1e9:
            return
        self.running = False
        try:
            found = self._measure()
        except LewmError as problem:
            self._done(None, f'nothing was learnt: {problem}')
            return
        self._done(found, f'surprise limit {found.limit:.3g} (mean error {found.mean_error:.3g}) '
                          f'from {found.pieces} pieces of driving')

    def _measure(self) -> RobotCalibration:
        stamps = np.array([stamp for stamp, _ in self._errors])
        errors = np.array([error for _, error in self._errors])
        number = ((stamps - stamps[0]) / (PIECE_S * 1e9)).astype(int)
        known = np.isfinite(errors)
        pieces = [errors[(number == piece) & known] for piece in range(0, number[-1] + 1, 2)]
        pieces = [piece for piece in pieces if len(piece)]
        if len(pieces) < _FEWEST:
            raise ConfigError(f'{len(pieces)} pieces of {PIECE_S} s had predictions to judge, '
                              f'{_FEWEST} are needed; let the robot drive all the time, or watch '
                              f'longer (calibrate_s)')
        mean_error = float(errors[known].mean())
        if not mean_error > 0:
            raise ConfigError('all predictions were perfect: the camera shows no motion')
        highest = np.array([piece.max() for piece in pieces]) / mean_error
        found = quantile_with_interval(highest, EPISODE_QUANTILE)
        limit = _MARGIN * found.high
        if mean_error * limit > _MOST_ABOVE * self._allowed:
            raise ConfigError(
                f'the robot surprises the model {mean_error * limit / self._allowed:.3g} times as '
                f'much as the held-out recordings at their worst, {_MOST_ABOVE:g} times are '
                f'allowed; look at camera, joints and light first')
        return RobotCalibration(
            model_id=self._model_id, mean_error=mean_error, limit=float(limit),
            quantile=EPISODE_QUANTILE, low=found.low, high=found.high, pieces=len(pieces),
            seconds=float((stamps[-1] - stamps[0]) / 1e9))
