"""Publishes what the planner imagines, while somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.wire.imagined import imagined_to_msg

FAN = 16   # candidates that are shown: enough for a fan, and one rollout with the plan


class ImaginedTopic:
    """Looks at a loop after each of its frames; lives in the planner thread.

    The chunk of a plan is out by then, so the robot never waits for it. Without a subscriber it
    is a comparison per frame.

    Args:
        publisher: Of `Imagined`.
        loop: What it plans is shown.
        say: Logs a text under a key; once a second for each key.
    """

    def __init__(self, publisher: Any, loop: PlanLoop, say: Callable[..., None]) -> None:
        self._publisher, self._loop, self._say = publisher, loop, say
        self._shown: Any = None      # the newest plan that was looked at

    def show(self) -> None:
        """Publish the newest plan unless it was looked at before; trouble is only logged."""
        policy, report = self._loop.policy, self._loop.report
        plan = policy.last_plan
        if plan is None or plan is self._shown:
            return
        self._shown = plan
        try:
            if not self._publisher.get_subscription_count():
                return
            imagined = policy.imagine(FAN)
            if imagined is not None:
                self._publisher.publish(imagined_to_msg(
                    imagined, session=report.session, epoch=report.epoch,
                    model_id=policy.bundle.model_id, block_s=policy.bundle.control_dt_s
                    * policy.bundle.model_config.frameskip))
        except Exception as error:   # whatever an engine raises: people see less, the robot drives
            self._say('imagined', f'what the plan leads to cannot be shown: '
                                  f'{type(error).__name__}: {error}')
