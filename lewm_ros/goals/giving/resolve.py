"""From a goal as a person gives it to the goal message; one way for every service and action.

FILE, MESSAGE, CAPTURE and QUANTITIES are answered here. Whoever knows of others (a goal bank,
clicks) plugs in a source: `resolver.plug(GoalSource.BANK, bank.find)`. Nothing is published here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
import hashlib
import inspect

from lewm_model.errors import LewmError
from lewm_ros.goals.giving.files import read_allowed
from lewm_ros.goals.giving.shape import GoalShape
from lewm_ros.msg import Goal, GoalSpec
from lewm_ros.wire.goal_specs import GoalWish, msg_to_wish
from lewm_ros.wire.goals import picture_goal_to_msg, probe_goal_to_msg
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.reports import GoalSource
import numpy as np


@dataclass(frozen=True, eq=False)
class Found:
    """What a source has for a wish: a picture, or quantities with values."""

    rgb: np.ndarray | None = None      # uint8 (H, W, 3); None: `names` have `values`
    names: tuple[str, ...] = ()        # with a picture: only these of what it shows count
    values: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    tolerances: tuple[float, ...] = ()
    goal_id: str = ''                  # where the wish has none; '': derived from the goal
    stamp_ns: int | None = None        # when the picture was taken; None: now
    distance: float = 0.0              # from what was asked for, see SelectGoal.srv
    text: str = ''                     # for people


Source = Callable[[GoalWish], Found | Awaitable[Found]]


@dataclass(frozen=True, eq=False)
class Resolved:
    """The goal message of a wish."""

    goal: Goal
    distance: float = 0.0
    text: str = ''

    @property
    def looks(self) -> str:
        """What kind of goal it is, for people."""
        if self.goal.names and not self.goal.image.width:
            return f'{len(self.goal.names)} quantities'
        return f'{self.goal.image.width}x{self.goal.image.height}'


class Resolver:
    """Makes goals of wishes.

    Args:
        root: The only folder from which files are read; '': none.
        shape: Judges pictures.
        capture: Waits for what the cameras see next: the picture and its stamp [ns].
        now_ns: The node's clock.
        assume_encoding: Of the robot description.
    """

    def __init__(self, *, root: str, shape: GoalShape,
                 capture: Callable[[], Awaitable[tuple[np.ndarray, int]]],
                 now_ns: Callable[[], int], assume_encoding: str = '') -> None:
        self._root, self._shape, self._capture = root, shape, capture
        self._now_ns, self._assume_encoding = now_ns, assume_encoding
        self._sources: dict[GoalSource, Source] = {
            GoalSource.FILE: self._file, GoalSource.MESSAGE: self._message,
            GoalSource.CAPTURE: self._captured, GoalSource.QUANTITIES: self._quantities}

    def plug(self, kind: GoalSource, source: Source) -> None:
        """Answer wishes of this kind from now on; the source raises LewmError to refuse."""
        self._sources[kind] = source

    async def resolve(self, spec: GoalSpec) -> Resolved:
        """Return the goal of a spec; callbacks go on while a camera is waited for.

        Raises:
            LewmError: It cannot be a goal; the message says why.
        """
        return await self.resolve_wish(msg_to_wish(spec, self._assume_encoding))

    async def resolve_wish(self, wish: GoalWish) -> Resolved:
        """Return the goal of a wish, see `resolve`."""
        source = self._sources.get(wish.source)
        if source is None:
            ready = ', '.join(kind.name for kind in sorted(self._sources))
            raise ReasonedError(Code.NOT_SET_UP, (
                f'goals of source {wish.source.name} need a goal bank or a robot file that says '
                f'what they stand for, and this goal node has neither; it takes {ready}'))
        found = source(wish)
        if inspect.isawaitable(found):
            found = await found
        return Resolved(self.goal_of(wish, found), found.distance, found.text)

    async def resolve_all(self, specs: Sequence[GoalSpec]) -> list[Resolved]:
        """Return the goals of several specs, in order; an error names which one it is."""
        resolved = []
        for number, spec in enumerate(specs, 1):
            try:
                resolved.append(await self.resolve(spec))
            except LewmError as error:
                raise LewmError(f'goal {number} of {len(specs)}: {error}') from error
        return resolved

    def goal_of(self, wish: GoalWish, found: Found) -> Goal:
        """Build the message of what was found for a wish.

        Raises:
            LewmError: The picture is not one of this camera, or a number cannot be.
        """
        stamp_ns = self._now_ns() if found.stamp_ns is None else found.stamp_ns
        counted = wish if found.rgb is not None and wish.names else found
        common = {
            'stamp_ns': stamp_ns, 'source': wish.source, 'task': wish.task,
            'tolerance': wish.tolerance, 'names': counted.names, 'weights': counted.weights,
            'tolerances': counted.tolerances}
        goal_id = wish.goal_id or found.goal_id
        if found.rgb is None:
            return probe_goal_to_msg(values=found.values, goal_id=goal_id or _id_of(found),
                                     **common)
        self._shape.check(found.rgb)
        return picture_goal_to_msg(found.rgb, goal_id=goal_id, **common)

    def _file(self, wish: GoalWish) -> Found:
        return Found(read_allowed(wish.uri, self._root))

    def _message(self, wish: GoalWish) -> Found:
        return Found(wish.rgb)

    async def _captured(self, wish: GoalWish) -> Found:
        rgb, stamp_ns = await self._capture()
        return Found(rgb, stamp_ns=stamp_ns)

    def _quantities(self, wish: GoalWish) -> Found:
        return Found(names=wish.names, values=wish.values, weights=wish.weights,
                     tolerances=wish.tolerances)


def _id_of(found: Found) -> str:
    """Return twelve hexadecimal digits of a goal without a picture: the same for the same."""
    said = repr((found.names, found.values, found.weights, found.tolerances))
    return hashlib.sha256(said.encode()).hexdigest()[:12]
