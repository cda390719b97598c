"""A click becomes a goal in the way that the robot file, or a parameter, chooses.

Poses, points and pixels say where on a plane something shall be (`lewm_model.robots.clicks`). The
goal is then the nearest entry of a goal bank, a rendered picture of the simulated scene, or the
values themselves, without a picture.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
import math

from lewm_model.errors import ConfigError
from lewm_model.robots.clicks import Clicks
from lewm_ros.goals.giving.bank import OpenBank
from lewm_ros.goals.giving.resolve import Found
from lewm_ros.wire.checks import MessageError
from lewm_ros.wire.goal_specs import GoalWish
from lewm_ros.wire.reasons import Code, ReasonedError
import numpy as np

Render = Callable[[Mapping[str, float]], Awaitable[np.ndarray]]


def clicks_of(clicks: Clicks | None, way: str) -> Clicks | None:
    """Return what a robot file says of clicks, with the way that a parameter chooses, if any.

    Raises:
        ConfigError: If a way is chosen and the robot file does not say what clicks are.
    """
    if clicks is None and way:
        raise ConfigError(f'parameter clicks is {way!r}, but the robot file has no section '
                          f'clicks, which says what a click stands for; see docs/robots.md')
    return replace(clicks, become=way) if way else clicks


class ClickGoals:
    """Answers wishes that are clicks.

    Args:
        clicks: What they stand for.
        bank: The goal bank, if there is one.
        render: Returns the picture of the scene in which quantities have given values; None:
            clicks do not become rendered pictures.
    """

    def __init__(self, clicks: Clicks, bank: OpenBank | None, render: Render | None = None
                 ) -> None:
        self._clicks, self._bank, self._render = clicks, bank, render

    async def pose(self, wish: GoalWish) -> Found:
        """Return the goal of a pose or a point.

        Raises:
            LewmError: Another frame, outside, or the chosen way has no such goal.
        """
        self._clicks.require_frame(wish.frame_id)
        x, y, _ = wish.position.tolist()   # the height does not count: it is on the plane
        yaw = None if wish.orientation is None else yaw_of(wish.orientation)
        return await self._goal(wish, self._clicks.wanted(x, y, yaw))

    async def pixel(self, wish: GoalWish) -> Found:
        """Return the goal of a point of the picture.

        Raises:
            LewmError: It does not show the plane, is outside, or the way has no such goal.
        """
        try:
            at = self._clicks.on_plane(*wish.point)
        except ConfigError as error:   # the robot file says nothing of pixels
            raise ReasonedError(Code.NOT_SET_UP, str(error)) from error
        return await self._goal(wish, self._clicks.wanted(*at))

    async def _goal(self, wish: GoalWish, wanted: dict[str, float]) -> Found:
        if self._clicks.become == 'bank':
            return self._entry(wanted)
        said = ', '.join(f'{name} {value:.3f}' for name, value in wanted.items())
        if self._clicks.become == 'render':
            return Found(await self._render(wanted), text=f'rendered with {said}')
        counted = wish.names or tuple(wanted)
        if not set(counted) <= set(wanted):
            raise MessageError(f'names must be among what the click says, {", ".join(wanted)}, '
                               f'got {", ".join(wish.names)}')
        return Found(names=counted, values=tuple(wanted[name] for name in counted),
                     weights=wish.weights, text=said,
                     tolerances=wish.tolerances or self._tolerances(wish, counted))

    def _tolerances(self, wish: GoalWish, names: Sequence[str]) -> tuple[float, ...]:
        return () if wish.tolerance else self._clicks.tolerances(names)

    def _entry(self, wanted: dict[str, float]) -> Found:
        if self._bank is None:
            raise ReasonedError(Code.NOT_SET_UP, (
                'clicks become entries of a goal bank, and this goal node has none; set its '
                'parameter goal_bank, or clicks to another way'))
        entry, errors = self._bank.nearest(wanted)
        apart = math.hypot(errors[self._clicks.x], errors[self._clicks.y])
        said = f'{entry.name}, {apart:.3f} m away: {self._bank.bank.text(entry)}'
        if 0 < self._clicks.near < apart:
            raise ReasonedError(Code.NO_SUCH_GOAL, (
                f'the nearest entry of the goal bank is {said}; clicks.near of the robot file is '
                f'{self._clicks.near:g} m, so record more goals there, or raise it'))
        return Found(self._bank.picture(entry), goal_id=entry.name, distance=apart, text=said)


def yaw_of(orientation: np.ndarray) -> float:
    """Return how a unit quaternion x, y, z, w turns about the vertical [rad]."""
    x, y, z, w = orientation.tolist()
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
