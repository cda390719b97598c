"""Publishes what the encoder makes of each camera frame, while somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.wire.questions import latent_to_msg


class LatentTopic:
    """Looks at a loop after each of its frames; lives in the planner thread.

    Args:
        publisher: Of `LatentState`.
        loop: What its policy saw last is shown.
        say: Logs a text under a key; once a second for each key.
    """

    def __init__(self, publisher: Any, loop: PlanLoop, say: Callable[..., None]) -> None:
        self._publisher, self._loop, self._say = publisher, loop, say
        self._shown_ns: int | None = None

    def show(self) -> None:
        """Publish the newest latent unless it was looked at before; trouble is only logged."""
        policy = self._loop.policy
        stamp_ns = policy.newest_stamp_ns
        if stamp_ns is None or stamp_ns == self._shown_ns:
            return
        self._shown_ns = stamp_ns
        try:
            if self._publisher.get_subscription_count():
                self._publisher.publish(latent_to_msg(
                    policy.newest_latent.float().cpu().numpy(), stamp_ns=stamp_ns,
                    model_id=policy.bundle.model_id))
        except Exception as error:   # people see less, the robot drives
            self._say('latent', f'the latent of a frame cannot be shown: '
                                f'{type(error).__name__}: {error}')
