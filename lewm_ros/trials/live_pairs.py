"""The pairs of an evaluation, one after the other, on a system that runs in real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
import time

from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_model.robots.clicks import Clicks
from lewm_ros.msg import GoalSpec
from lewm_ros.trials.client import DemoClient, DemoError
from lewm_ros.wire import giving
from lewm_sim.evaluate import Exam
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.evaluate.trials import Trial
from lewm_sim.tasks import Task
import numpy as np

_SILENCE_S = 10.0      # the truth may pause this long before we give up
_FAULT_S = 2.0         # a planner fault that lasts longer is the end


def run_pairs(client: DemoClient, exam: Exam, folder: Path,
              report: Callable[[int], None] = lambda done: None,
              clicks: Clicks | None = None) -> list[Trial]:
    """Go from each start to its goal, within the budget of the exam.

    Args:
        client: Of the running system, with the simulator of the exam's task.
        exam: Pairs, and what is measured.
        folder: Of the goal pictures; the system must be allowed to read them.
        report: Told the number of pairs that are done.
        clicks: Goals are given as a person clicks them, see `click_at`; None: as pictures.

    Raises:
        DemoError: If the simulator is silent, or the planner reports a fault that lasts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = []
    for number, pair in enumerate(exam.pairs):
        if clicks is None:
            picture = folder / f'{number:04d}.png'
            write_image(picture, pair.goal_rgb)
            trials.append(_run(client, exam, pair, giving.file(str(picture.resolve()))))
        elif spec := click_at(clicks, exam.task, pair.goal):
            trials.append(_run(client, exam, pair, spec))
        else:
            trials.append(_nothing(exam, pair))
        report(number + 1)
    return trials


def click_at(clicks: Clicks, task: Task, truth: np.ndarray) -> GoalSpec | None:
    """Return the click for place and direction of a true state, (q,); None: none may be there."""
    known = task.named(truth)
    x, y = known[clicks.x].item(), known[clicks.y].item()
    try:
        clicks.wanted(x, y)
    except ConfigError:
        return None
    return giving.pose(x, y, clicks.arrow(known[clicks.yaw].item()) if clicks.yaw else None,
                       frame=clicks.frame)


def instants(truths: Sequence[tuple[int, np.ndarray]], told_ns: int, dt_ns: int, budget: int
             ) -> list[np.ndarray] | None:
    """Return the truth at the end of each control step since a time, or None before the last.

    Args:
        truths: (stamp [ns], values) in their order, one for each step; one that was lost is as
            the one before it.
        told_ns: When the goal was told.
        dt_ns: Control step.
        budget: Steps.
    """
    last_ns = told_ns + budget * dt_ns
    since = [(stamp_ns, values) for stamp_ns, values in truths if stamp_ns > told_ns]
    if not since or since[-1][0] < last_ns:
        return None
    found, place = [], 0
    for step in range(1, budget + 1):
        while place + 1 < len(since) and since[place + 1][0] <= told_ns + step * dt_ns:
            place += 1
        found.append(since[place][1])
    return found


def _nothing(exam: Exam, pair: Pair) -> Trial:
    """Return what comes of a goal that is refused: the robot stays where it is."""
    return Trial(pair.episode, pair.row,
                 [exam.task.outcome(pair.start_truth, pair.goal)] * (exam.budget + 1), [])


def _run(client: DemoClient, exam: Exam, pair: Pair, spec: GoalSpec) -> Trial:
    """Put the scene into the start, then tell the goal: from then on time counts.

    A goal that is told before would be planned for from where the last pair ended, and what counts
    the time to the goal would begin there.
    """
    task, dt_ns = exam.task, round(exam.task.control_dt_s * 1e9)
    client.clear()
    client.truths.clear()
    client.reset(pair.start)
    told_ns, planned = client.truth_stamp_ns, len(client.record.plan_ms)
    client.give(spec)
    heard_s, newest_ns = time.monotonic(), client.truth_stamp_ns
    while (reached := instants(client.truths, told_ns, dt_ns, exam.budget)) is None:
        client.spin()
        if client.truth_stamp_ns != newest_ns:
            heard_s, newest_ns = time.monotonic(), client.truth_stamp_ns
        if time.monotonic() - heard_s > _SILENCE_S:
            raise DemoError(f'the simulator was silent for {_SILENCE_S:g} s')
        if client.fault_since_s and time.monotonic() - client.fault_since_s > _FAULT_S:
            raise DemoError(f'the planner reports a fault: {client.report.reason.text}')
    return Trial(pair.episode, pair.row,
                 [task.outcome(values, pair.goal) for values in [pair.start_truth, *reached]],
                 [ms / 1e3 for ms in client.record.plan_ms[planned:]])
