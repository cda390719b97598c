"""One goal picture: make it the goal, and watch the truth until the robot is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import time

from lewm_ros.trials.client import DemoClient, DemoError
from lewm_ros.trials.goal_set import GoalPicture, Judge

_FAULT_S = 1.0         # a planner fault that lasts longer is the end
_SILENCE_S = 5.0       # the truth may pause this long before we give up


@dataclass(frozen=True)
class Pursued:
    """How it ended."""

    reached: bool
    seconds: float        # simulated time


def pursue(client: DemoClient, judge: Judge, goal: GoalPicture, *, number: int,
           time_limit_s: float, on_truth: Callable[[float], None] = lambda seconds: None,
           on_spin: Callable[[], None] = lambda: None) -> Pursued:
    """Pursue one goal.

    Args:
        client: Of the running system.
        judge: Is told the goal here.
        goal: Picture and where it was taken.
        number: Of the goal, for the record.
        time_limit_s: Simulated time after which it counts as missed.
        on_truth: Called with the simulated seconds so far, whenever the truth has changed.
        on_spin: Called whenever anything arrived, and at least every 20 ms.

    Raises:
        DemoError: If the simulator is silent, or the planner reports a fault that lasts.
    """
    judge.start(goal.truth)
    client.set_goal(goal.file)
    started_ns = seen_ns = client.truth_stamp_ns
    heard_s = time.monotonic()
    reached = False
    while not reached and seen_ns - started_ns < time_limit_s * 1e9:
        client.spin()
        on_spin()
        if client.truth_stamp_ns != seen_ns:
            seen_ns, heard_s = client.truth_stamp_ns, time.monotonic()
            reached = judge.reached(seen_ns, client.truth)
            on_truth((seen_ns - started_ns) / 1e9)
        client.note_frame(number, judge.outcome(client.truth))
        if time.monotonic() - heard_s > _SILENCE_S:
            raise DemoError(f'the simulator was silent for {_SILENCE_S:g} s')
        if client.fault_since_s and time.monotonic() - client.fault_since_s > _FAULT_S:
            raise DemoError(f'the planner reports a fault: {client.report.reason.text}')
    return Pursued(reached, (seen_ns - started_ns) / 1e9)
