"""What each frame shows when it arrives, before the planner thread has time for it.

A plan takes many camera periods. A camera that froze, changed its mode or sends garbage must not
go on being followed until that plan is done, so frames are decoded and compared in the callback;
the thread gets what is left to think about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lewm_model.errors import LewmError
from lewm_model.types import Observation
from lewm_ros.planner.frozen import FrozenWatch
from lewm_ros.planner.loop.schedule import check_future, StaleFrame
from lewm_ros.planner.parameters import PlannerParameters
from lewm_ros.wire.motion import msg_to_executed
from lewm_ros.wire.reasons import Code, Reason, reason_of
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.sight import Sight

_DAMAGED = 2     # so many frames in a row that cannot be read; a single one is as good as lost


@dataclass(frozen=True)
class Look:
    """One frame as the planner thread gets it.

    Attributes:
        observation: None if the frame is no picture of what the model knows.
        trouble: Why what was planned before must not be followed any more; false if it may.
        frozen: Why the picture may not be a present one; false if it is.
        waited: Whether the thread answered a question when it came.
    """

    observation: Observation | None
    trouble: Reason = Reason()
    frozen: Reason = Reason()
    waited: bool = False


class Glance:
    """Turns camera messages into observations; lives in the callbacks.

    Args:
        interface: Of the robot.
        sight: Makes what the model sees of one message of each camera.
        frozen: Watches the pictures.
        settings: Whether a frozen camera is trouble or only to be said, and how far ahead of the
            clock a stamp may be.
        now_ns: The node clock.
        say: Logs a text under a key; once a second for each key.
    """

    def __init__(self, interface: RobotInterface, sight: Sight, *, frozen: FrozenWatch,
                 settings: Callable[[], PlannerParameters], now_ns: Callable[[], int],
                 say: Callable[..., None]) -> None:
        self._interface, self._sight, self._frozen = interface, sight, frozen
        self._settings, self._now_ns, self._say = settings, now_ns, say
        self._damaged = 0      # frames in a row

    def at(self, frames: tuple) -> Look | None:
        """Look at one message of each camera; None: leave it out, as if it had been lost."""
        try:
            observation = self._sight.observation(frames)
        except LewmError as error:
            reason = reason_of(error, Code.FRAME_UNREADABLE)
            self._damaged += reason.code is Code.FRAME_UNREADABLE
            if reason.code is Code.FRAME_UNREADABLE and self._damaged < _DAMAGED:
                self._say('damaged', f'one frame is left out: {reason.text}')
                return None
            return Look(None, reason)
        self._damaged = 0
        frozen = self._frozen.update(frames, observation.stamp_ns)
        if frozen:
            self._say('frozen', frozen.text)
        settings = self._settings()
        try:
            check_future(observation.stamp_ns, self._now_ns(), settings.obs_max_future_s)
        except StaleFrame as error:
            return Look(observation, error.reason, frozen)
        return Look(observation, frozen if settings.frozen_stops else Reason(), frozen)

    def executed(self, message: Any) -> None:
        """Take what the robot was told; what cannot be read is said by who needs it."""
        try:
            self._frozen.motion.add(*msg_to_executed(message, self._interface.names,
                                                     self._interface.code))
        except LewmError:
            return

    @property
    def listens(self) -> bool:
        """Whether `joints` is of use."""
        return self._frozen.motion.listens

    def joints(self, message: Any) -> None:
        """Take where the robot was measured."""
        self._frozen.motion.measured(message, self._now_ns())
