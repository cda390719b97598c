"""What to do when the camera does not show what was predicted. Pure, stamps come in.

So many judged frames in a row whose surprise is above the limit raise the alarm, or a quantity of
which too little of the expected motion was seen over seconds. A slower speed or a warning end by
themselves, after a time in which every judged frame was below half the limit. A stop does not: a
robot that stands still surprises nobody, whatever is wrong with it, so somebody must send a goal,
enable motion anew or reset the scene. After a change of colours or light nothing stops, what would
have stopped is slow.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from lewm_model.errors import ConfigError
from lewm_ros.wire.reasons import Code, Reason

ACTIONS = ('off', 'warn', 'slow', 'stop')
VIEW_ACTIONS = ('off', 'warn', 'refuse')   # of `doubts`, named here without torch
_CALM = 0.5     # below this share of the limit a frame is calm
_FINE = Reason()


@dataclass(frozen=True)
class SurpriseSettings:
    """The parameters of the guard; may change between frames."""

    action: str = 'off'      # one of ACTIONS
    limit: float = math.nan  # above it something is wrong; NaN: not calibrated
    frames: int = 4          # judged frames in a row above it raise the alarm
    least_gain: float = 0.1  # [0, 1): so does less of the expected motion; 0: never
    calm_s: float = 1.0      # without surprise, after which slowness and warnings end
    slow_scale: float = 0.3  # (0, 1]: what commands are slowed down to

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ConfigError(f'surprise_action must be one of {", ".join(ACTIONS)}, got '
                              f'{self.action!r}')
        if self.limit <= 0 or self.frames < 1 or not self.calm_s >= 0 or not (
                0 < self.slow_scale <= 1) or not 0 <= self.least_gain < 1:
            raise ConfigError(f'surprise: limit must be above 0, frames at least 1, calm_s not '
                              f'negative, slow_scale in (0, 1], least_gain in [0, 1), got {self}')


@dataclass(frozen=True)
class Verdict:
    """What follows for this frame."""

    reason: Reason = _FINE
    speed_scale: float = 1.0
    stops: bool = False


class SurpriseGuard:
    """Counts surprising frames.

    A surprise that is not known (NaN) neither raises an alarm nor ends one, nor breaks a row.

    Args:
        settings: See `SurpriseSettings`.
    """

    def __init__(self, settings: SurpriseSettings) -> None:
        self._settings = settings
        self.forgive()

    def configure(self, settings: SurpriseSettings) -> None:
        """Change the settings; an alarm stays, and is acted on as they say from now on."""
        self._settings = settings

    @property
    def raised(self) -> bool:
        """Whether there is an alarm."""
        return bool(self._raised)

    def forgive(self) -> None:
        """Begin anew: somebody has looked, or the scene is another."""
        self._row = 0                              # surprising frames
        self._known_ns: int | None = None          # stamp of the newest frame that was judged
        self._calm_since_ns: int | None = None
        self._raised: Reason = _FINE
        self._mild = False                         # of the alarm: it does not stop

    def update(self, stamp_ns: int, surprise: float, still: str = '', *,
               recoloured: bool = False) -> Verdict:
        """Take what is known at a frame.

        Args:
            stamp_ns: Of the frame.
            surprise: NaN: not known.
            still: What does not move though it should, in words; '': nothing.
            recoloured: Whether colours or light changed since somebody looked.
        """
        settings, limit = self._settings, self._settings.limit
        if settings.action == 'off':
            self.forgive()
            return Verdict()
        if not math.isnan(surprise) and not math.isnan(limit):
            self._judge(stamp_ns, surprise, limit, still, recoloured)
        if not self._raised:
            return Verdict()
        if settings.action == 'stop' and not self._mild:
            return Verdict(self._raised, stops=True)
        return Verdict(self._raised, 1.0 if settings.action == 'warn' else settings.slow_scale)

    def _judge(self, stamp_ns: int, surprise: float, limit: float, still: str,
               recoloured: bool) -> None:
        settings, calm_ns = self._settings, round(self._settings.calm_s * 1e9)
        if self._known_ns is not None and stamp_ns - self._known_ns > max(calm_ns, 10 ** 9):
            self._row, self._calm_since_ns = 0, None     # nobody knows what was in between
        self._known_ns = stamp_ns
        self._row = self._row + 1 if surprise > limit else 0
        if self._row >= settings.frames:
            self._raise(f'the camera shows something else than was predicted: surprise '
                        f'{surprise:.3g}, allowed is {limit:.3g} (1 is ordinary), in '
                        f'{self._row} frames in a row', recoloured)
        elif still:
            self._raise(still, recoloured)
        if surprise >= _CALM * limit or still:
            self._calm_since_ns = None
            return
        if self._calm_since_ns is None:
            self._calm_since_ns = stamp_ns
        if (settings.action != 'stop' or self._mild) and (
                stamp_ns - self._calm_since_ns >= calm_ns):
            self._raised = _FINE

    def _raise(self, text: str, recoloured: bool) -> None:
        self._mild = recoloured and (self._mild or not self._raised)    # a stop stays a stop
        if self._mild:
            text += ', after a change of colours or light'
        action = self._settings.action
        self._raised = Reason(Code.SURPRISED, f'{text}. ' + _TO_DO[
            'slow' if action == 'stop' and self._mild else action])


_TO_DO = {'off': '', 'warn': 'Look at the robot and its camera',
          'slow': 'It moves slowly until what it sees is as predicted again',
          'stop': 'Look at the robot and its camera, then send the goal again'}
