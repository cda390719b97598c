"""The one goal of a plan loop: what was asked for, whether the policy has it, how near it is."""

from __future__ import annotations

from lewm_model.errors import EngineFailure, LewmError
from lewm_model.planning.policy import Policy
from lewm_ros.planner.loop.goal_given import give, limits_of
from lewm_ros.planner.loop.goal_progress import GoalProgress
from lewm_ros.planner.loop.goal_sight import GoalSight
from lewm_ros.planner.loop.loop_settings import LoopSettings
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import GoalRequest
import numpy as np


class GoalInForce:
    """Makes a goal that was asked for the policy's, and judges how near that is.

    Args:
        settings: See `LoopSettings`.
        sight: Corrects goal pictures.

    Attributes:
        progress: Towards the goal.
        refusal: Why the goal that was asked for is not used; false if it is, or none was.
        is_new: Whether it became the policy's since the last plan.
        seen: What there is to say about its picture beside the newest frame; '': nothing.
    """

    def __init__(self, settings: LoopSettings, sight: GoalSight) -> None:
        self.progress = GoalProgress(tolerance=settings.goal_tolerance,
                                     dwell_s=settings.goal_dwell_s, stall_s=settings.stall_s)
        self.refusal = Reason()
        self.is_new, self.seen = False, ''
        self._sight = sight
        self._sight.which = settings.goal_correction
        self._readout_tolerance = settings.readout_tolerance
        self._given: GoalRequest | None = None     # the policy's
        self._wanted: GoalRequest | None = None    # one that is not yet

    def configure(self, settings: LoopSettings) -> None:
        """Judge the goal by other settings from now on; its limits stay until the next goal."""
        self._sight.which = settings.goal_correction
        self._readout_tolerance = settings.readout_tolerance
        self.progress.configure(tolerance=settings.goal_tolerance,
                                dwell_s=settings.goal_dwell_s, stall_s=settings.stall_s)

    @property
    def waits(self) -> bool:
        """Whether a goal was asked for that is not the policy's yet."""
        return self._wanted is not None

    def ask(self, goal: GoalRequest) -> None:
        """Go to a goal; `encode` makes it the policy's."""
        self._wanted, self.refusal = goal, Reason()
        self.progress.new_goal(goal.tolerance)

    def look(self, rgb: np.ndarray) -> None:
        """Take the newest frame, uint8 (H, W, 3); a goal that no frame was beside waits anew."""
        unseen = self._sight.look(rgb)
        self._wanted = self._wanted or unseen

    def encode(self, policy: Policy) -> bool:
        """Make the goal that was asked for the policy's; tell whether it is, else see `refusal`.

        Raises:
            EngineFailure: It is left to do.
        """
        wanted, self.seen = self._sight.give(self._wanted)
        try:
            give(policy, wanted)
        except EngineFailure:
            raise
        except LewmError as error:
            self.drop(policy, Reason(Code.GOAL_REFUSED, f'goal {wanted.goal_id!r}: {error}'))
            return False
        self._given, self._wanted, self.is_new = wanted, None, True
        self.progress.limit(limits_of(policy, wanted, self._readout_tolerance), wanted.weights)
        return True

    def give_again(self, policy: Policy) -> None:
        """Give the goal to another policy; one that waits is left to `encode`."""
        if self._given is not None and not self.waits:
            give(policy, self._given)

    def drop(self, policy: Policy, refusal: Reason) -> None:
        """Go nowhere; `refusal` says why, or is false if somebody wants it so."""
        policy.clear_goal()
        self._sight.forget_goal()
        self._given, self._wanted, self.refusal = None, None, refusal
        self.progress.new_goal()
