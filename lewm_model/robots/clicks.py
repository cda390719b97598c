"""The key `clicks` of robot files: what a point or a pose that a person clicks stands for.

A click says where on a plane (the floor, the table) something shall be. The file names the frame
of that plane, the quantities that its x, y and yaw are, and in which way they become a goal.
`lewm_ros.goals.giving.clicks` does that; here is what the file says, and how a point of the
camera's picture becomes a point of the plane.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, MISSING
import math
from typing import Any

from lewm_model.errors import ConfigError, ImageError
import numpy as np

WAYS = ('bank', 'render', 'quantities')
MOST_PIXELS = 100
_WORST_PAIR = 0.05      # error of a pair, as a share of how far the pairs are apart
_FLAT = 1e-3            # least ratio of singular values of what maps the picture to the plane
_HORIZON = 0.02         # depth, as a share of that in the middle: nearer to the horizon is too far


@dataclass(frozen=True)
class Clicks:
    """What clicks stand for."""

    become: str             # one of WAYS: the nearest entry of a goal bank, a rendered picture
    #                         (simulation), or values of the quantities without a picture
    frame: str              # frame_id of poses and points; x and y are in it [m]
    x: str                  # name of the quantity that is the x of a click
    y: str
    within: tuple[float, float, float, float]   # x from, x to, y from, y to: else refused [m]
    yaw: str = ''           # that which is the direction of a pose [rad]; '': it does not count
    yaw_ahead: float = 0.0  # what `yaw` is where an arrow points along x, so by how much it is
    #                         ahead of the arrow [rad]
    enough: float = 0.0     # of quantities: x and y are reached when each is this near [m]; 0: as
    #                         the planner's parameter readout_tolerance
    enough_yaw: float = 0.0   # likewise the direction [rad]
    near: float = 0.0       # of bank: entries farther away are refused [m]; 0: none is
    pixels: tuple[tuple[float, float, float, float], ...] = ()   # u, v, x, y: points of the
    #                         first camera's whole picture, as shares from its left and top edge,
    #                         and where on the plane they are [m]; 4 or more. (): no pixels

    def __post_init__(self) -> None:
        if self.become not in WAYS:
            raise _error('become', f'one of {", ".join(WAYS)}', self.become)
        for name in ('frame', 'x', 'y', 'yaw'):
            value = getattr(self, name)
            if not isinstance(value, str) or not (value.strip() or name == 'yaw'):
                raise _error(name, 'a text' + ' that is not empty' * (name != 'yaw'), value)
        names = [name for name in (self.x, self.y, self.yaw) if name]
        if len(set(names)) < len(names):
            raise _error('x, y and yaw', 'different quantities', names)
        object.__setattr__(self, 'within', _numbers(self.within, 4, 'within'))
        low_x, high_x, low_y, high_y = self.within
        if not (low_x < high_x and low_y < high_y):
            raise _error('within', 'x from, x to, y from, y to [m], each from below its to',
                         list(self.within))
        for name in ('near', 'enough', 'enough_yaw'):
            value = _numbers((getattr(self, name),), 1, name)[0]
            object.__setattr__(self, name, value)
            if value < 0:
                raise _error(name, 'a distance [m] or an angle [rad], not negative', value)
        ahead = _numbers((self.yaw_ahead,), 1, 'yaw_ahead')[0]
        object.__setattr__(self, 'yaw_ahead', ahead)
        if abs(ahead) > math.tau or (ahead and not self.yaw):
            raise _error('yaw_ahead', 'an angle [rad] of at most a turn, and 0 without yaw', ahead)
        if (self.enough > 0) != (self.enough_yaw > 0) and (self.yaw or not self.enough):
            raise _error('enough and enough_yaw', 'both given, or none, where yaw is',
                         [self.enough, self.enough_yaw])
        if not isinstance(self.pixels, (list, tuple)) or not (
                len(self.pixels) == 0 or 4 <= len(self.pixels) <= MOST_PIXELS):
            raise _error('pixels', f'4 to {MOST_PIXELS} points [u, v, x, y], or left out',
                         self.pixels)
        object.__setattr__(self, 'pixels', tuple(
            _numbers(one, 4, f'pixels[{place}]') for place, one in enumerate(self.pixels)))
        if self.pixels:
            _plane_from_picture(self.pixels)

    def wanted(self, x: float, y: float, yaw: float | None = None) -> dict[str, float]:
        """Return what the quantities shall be for a click at (x, y) [m], its arrow at `yaw` [rad].

        Raises:
            ConfigError: If the click is outside of where goals may be.
        """
        low_x, high_x, low_y, high_y = self.within
        if not (low_x <= x <= high_x and low_y <= y <= high_y):   # also for NaN
            raise ConfigError(f'the click at ({x:.3f}, {y:.3f}) m in frame {self.frame!r} is '
                              f'outside of x {low_x:g} to {high_x:g}, y {low_y:g} to {high_y:g} '
                              f'm, see clicks.within of the robot file')
        found = {self.x: float(x), self.y: float(y)}
        if self.yaw and yaw is not None:
            found[self.yaw] = math.remainder(yaw + self.yaw_ahead, math.tau)
        return found

    def arrow(self, value: float) -> float:
        """Return the yaw of the arrow [rad] that stands for a value of the quantity `yaw`."""
        return math.remainder(value - self.yaw_ahead, math.tau)

    def tolerances(self, names: Iterable[str]) -> tuple[float, ...]:
        """Return how near each of these quantities must be; () if the file does not say."""
        if not self.enough:
            return ()
        return tuple(self.enough_yaw if name == self.yaw else self.enough for name in names)

    def require_frame(self, frame: str) -> None:
        """Refuse a pose or a point of another frame.

        Raises:
            ConfigError: Says both frames and what to do.
        """
        if frame != self.frame:
            raise ConfigError(
                f'the click is in frame {frame!r}, clicks.frame of the robot file is '
                f'{self.frame!r}; set the fixed frame of the viewer (RViz: Global Options, Fixed '
                f'Frame) to {self.frame!r}')

    def on_plane(self, u: float, v: float) -> tuple[float, float]:
        """Return where on the plane a point of the picture is, x and y [m].

        Args:
            u: From the left edge of the first camera's whole picture, share of the width.
            v: From the top edge, share of the height.

        Raises:
            ConfigError: If the robot file does not say where pixels are.
            ImageError: If the point does not show the plane.
        """
        if not self.pixels:
            raise ConfigError('the robot file does not say where on the plane points of the '
                              'picture are; write clicks.pixels: four points [u, v, x, y] that '
                              'you have measured, see docs/robots.md')
        x, y, depth = _plane_from_picture(self.pixels) @ (u, v, 1.0)
        if not depth > _HORIZON:
            raise ImageError(f'the point ({u:.3f}, {v:.3f}) of the picture is at or above the '
                             f'horizon, it does not show the plane of the clicks; click lower')
        return float(x / depth), float(y / depth)


def clicked_topic(picture_topic: str) -> str:
    """Return where clicks into a picture are published, as rqt_image_view names it."""
    return f'{picture_topic.removesuffix("/compressed")}_mouse_left'


def parse_clicks(value: Any) -> Clicks | None:
    """Read the `clicks` mapping of a robot file; None stays None.

    Raises:
        ConfigError: Says what is wrong, and what is allowed.
    """
    if value is None or isinstance(value, Clicks):
        return value
    known = {one.name: one.default is MISSING for one in fields(Clicks)}
    if not isinstance(value, Mapping) or not set(value) <= set(known) or not all(
            name in value for name, needed in known.items() if needed):
        needed = ', '.join(name for name, must in known.items() if must)
        optional = ', '.join(name for name, must in known.items() if not must)
        raise ConfigError(f'clicks must have {needed} and perhaps {optional}, got '
                          f'{str(value)[:200]}')
    return Clicks(**value)


def _plane_from_picture(pixels: tuple[tuple[float, float, float, float], ...]) -> np.ndarray:
    """Return what maps (u, v, 1) to (x, y, 1) times a depth that is 1 in the middle, (3, 3).

    Raises:
        ConfigError: If the points lie on a line, or no camera sees them so.
    """
    picture, plane = np.array(pixels)[:, :2], np.array(pixels)[:, 2:]
    centre, size = plane.mean(axis=0), max(float(np.ptp(plane, axis=0).max()), 1e-9)
    rows = []
    for (u, v), (x, y) in zip(picture, (plane - centre) / size, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v, -x], [0, 0, 0, u, v, 1, -y * u, -y * v, -y]]
    _, sizes, directions = np.linalg.svd(np.array(rows))
    found = directions[-1].reshape(3, 3)
    shrinks = np.linalg.svd(found, compute_uv=False)
    if sizes[7] < _FLAT * 1e-2 * sizes[0] or shrinks[2] < _FLAT * shrinks[0]:
        raise ConfigError('clicks.pixels must be four points of which no three are on one line, '
                          f'in the picture and on the plane, got {_text(pixels)}')
    found = np.array([[size, 0, centre[0]], [0, size, centre[1]], [0, 0, 1]]) @ found
    found /= found[2] @ (*picture.mean(axis=0), 1.0)
    seen = np.column_stack([picture, np.ones(len(picture))]) @ found.T
    if not (seen[:, 2] > 0).all():
        raise ConfigError('clicks.pixels cannot be what one camera sees of a plane, the order of '
                          f'the points is different in picture and plane: {_text(pixels)}')
    errors = np.linalg.norm(seen[:, :2] / seen[:, 2:] - plane, axis=1)
    if errors.max() > _WORST_PAIR * size:
        worst = int(errors.argmax())
        raise ConfigError(f'clicks.pixels do not go together: {_text(pixels[worst:worst + 1])} is '
                          f'{errors[worst]:.3g} m off what the others say; measure it again')
    return found


def _text(pixels: Any) -> str:
    return ', '.join(f'[{", ".join(f"{number:g}" for number in one)}]' for one in pixels[:8])


def _numbers(value: Any, count: int, name: str) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != count or not all(
            isinstance(one, (int, float)) and not isinstance(one, bool) and abs(one) < 1e6
            and math.isfinite(one) for one in value):
        raise _error(name, f'{count} finite numbers' if count > 1 else 'a finite number', value)
    return tuple(float(one) for one in value)


def _error(name: str, allowed: str, value: Any) -> ConfigError:
    return ConfigError(f'clicks.{name} must be {allowed}, got {value!r}')
