"""Strangers ask the planner whenever there is room: what that costs the robot, in steps."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.wire.reasons import Reason  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import ROWS, STEP_NS  # noqa: E402
from test_questions import Desk  # noqa: E402


def drive(solve, replan_steps, *, asked):
    """Drive for 400 steps, in the turns of `Worker`; return the desk and what was answered.

    Args:
        solve: Steps that a plan takes, and an answer.
        replan_steps: See `LoopSettings`.
        asked: Whether strangers ask whenever there is room for a question.
    """
    desk = Desk(replan_steps=replan_steps).goal()
    desk.policy.solve_ns = solve * STEP_NS
    desk.frames(1, 1)
    newest, answers, turn, waited = 1, [], False, False
    while desk.now_ns < 400 * STEP_NS:        # with a frame each step
        while asked and not desk.ask():
            pass
        came = desk.now_ns // STEP_NS > newest
        if not (came and turn) and desk.answers.ready():
            desk.answers.work()
            desk.now_ns += STEP_NS // 50
            desk.questions.hand_over(Reason())
            answers.append(desk.told.pop())
            turn, waited = True, desk.now_ns // STEP_NS > newest
            continue
        desk.now_ns = max(desk.now_ns, (newest + 1) * STEP_NS)
        newest = desk.now_ns // STEP_NS
        desk.frame(newest * STEP_NS, waited=waited)
        turn = waited = False
    return desk, answers


@pytest.mark.parametrize(('solve', 'replan_steps'), [(1, 5), (2, 5), (2, 20), (3, 1)])
def test_questions_without_end_leave_the_robot_its_plans(solve, replan_steps):
    """A plan is later by one answer at most, rows never run out, and some are answered.

    What is answered is nothing that the robot follows.
    """
    quiet, _ = drive(solve, replan_steps, asked=False)
    desk, answers = drive(solve, replan_steps, asked=True)
    undisturbed, gaps = (np.diff([chunk.stamp_ns // STEP_NS for chunk, _ in one.published])
                         for one in (quiet, desk))
    assert gaps.max() <= undisturbed.max() + solve + 1   # the frame that waited, and the next one
    assert gaps.max() <= ROWS - 2 * solve          # the next plan is there before the rows end
    assert desk.report.deadline_misses == quiet.report.deadline_misses
    assert desk.session.withdrawals == 0
    assert {chunk.session for chunk, _ in desk.published} == {desk.session.number}
    assert {answer.chunk.session for answer in answers} == {0}
    assert sum(answer.success for answer in answers) > 10
    if (solve, replan_steps) == (1, 5):
        assert np.median(gaps) <= 6
