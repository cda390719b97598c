"""Engines that fail, plans that come too late: bounded retries, a fall-back, an end."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import EngineFailure, NotFinite  # noqa: E402
from lewm_ros.planner.loop.failures import Failures, Next  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from plan_rig import FakePolicy, Rig, STEP_NS  # noqa: E402

FAILURE = EngineFailure('engine x: CUDA error')


def test_failures_in_a_row_lead_from_retry_to_fall_back_to_the_end():
    """A success in between begins anew; the fall-back is used once."""
    failures = Failures(2, can_fall_back=True)
    assert [failures.failed() for _ in range(2)] == [Next.RETRY] * 2
    failures.worked()
    assert [failures.failed() for _ in range(3)] == [Next.RETRY] * 2 + [Next.FALL_BACK]
    assert [failures.failed() for _ in range(3)] == [Next.RETRY] * 2 + [Next.GIVE_UP]
    assert Failures(0, can_fall_back=False).failed() is Next.GIVE_UP


@pytest.mark.parametrize('where', ['plan', 'observe'])
def test_an_engine_that_fails_once_is_tried_again(where):
    """One frame of FAULT with the reason, the plan withdrawn; then it goes on."""
    rig = Rig().goal()
    rig.frames(1, 5)
    epoch = rig.session.epoch
    rig.policy.problems[where] = FAILURE
    rig.frames(6, 6)
    assert rig.report.state is PlanState.FAULT
    assert rig.report.reason.code is Code.ENGINE_FAILED
    assert 'CUDA error; attempt 2 of 4 follows' in rig.report.reason.text
    assert rig.session.epoch == epoch + 1
    rig.policy.problems.clear()
    rig.frames(7, 7)
    assert rig.report.state is PlanState.PLANNING
    assert not rig.loop.broken


@pytest.mark.parametrize('where', ['plan', 'observe'])
def test_numbers_that_are_not_finite_have_a_code_of_their_own(where):
    """The engine works, the model's answer is of no use: PLAN_INVALID, retried like a failure."""
    rig = Rig(engine_retries=1).goal()
    rig.policy.problems[where] = NotFinite('the latent of a frame is not finite')
    rig.frames(1, 1)
    assert rig.report.reason.code is Code.PLAN_INVALID
    rig.frames(2, 2)
    assert rig.loop.broken.code is Code.PLAN_INVALID


@pytest.mark.parametrize('where', ['plan', 'observe'])
def test_an_engine_that_keeps_failing_ends_the_loop(where):
    """After the retries, with the reason; later frames change nothing."""
    rig = Rig(engine_retries=3).goal()
    rig.policy.problems[where] = FAILURE
    rig.frames(1, 3)
    assert not rig.loop.broken
    rig.frames(4, 4)
    assert rig.loop.broken.code is Code.ENGINE_FAILED
    assert 'giving up' in rig.loop.broken.text
    report = rig.report
    rig.frames(5, 9)
    assert rig.report is report
    assert rig.published == []


def test_the_fall_back_engine_takes_over_with_the_same_goal():
    """Its latency is believed, what it plans is sent, and the report names it."""
    made = []

    def fall_back():
        made.append(FakePolicy(rig, backend='torch on cpu'))
        assert rig.loop.recovering
        return made[0], 0.16

    rig = Rig(fall_back=fall_back, engine_retries=1)
    rig.goal('mug')
    rig.frames(1, 1)
    rig.policy.problems['plan'] = FAILURE
    rig.frames(6, 7)
    assert rig.loop.policy is made[0]
    assert rig.loop.latency.steps() == 4
    assert not rig.loop.recovering
    assert 'fall-back' in rig.report.reason.text
    rig.frames(8, 8)
    assert rig.report.state is PlanState.PLANNING
    assert (rig.report.goal_id, rig.report.backend) == ('mug', 'torch on cpu')
    assert rig.stamps == [1, 8]


def test_a_fall_back_that_cannot_be_made_ends_the_loop_with_both_reasons():
    """Out of memory there, too."""
    def fall_back():
        raise MemoryError('no room')

    rig = Rig(fall_back=fall_back, engine_retries=0).goal()
    rig.policy.problems['plan'] = FAILURE
    rig.frames(1, 1)
    assert 'CUDA error' in rig.loop.broken.text
    assert 'no room' in rig.loop.broken.text


def test_a_goal_that_the_engine_failed_to_encode_is_encoded_with_the_next_frame():
    """It is latched and would not come again."""
    rig = Rig()
    rig.policy.problems['set_goal_image'] = FAILURE
    rig.goal('mug')
    assert rig.report.reason.code is Code.ENGINE_FAILED
    rig.policy.problems.clear()
    rig.frames(1, 1)
    assert (rig.report.state, rig.report.goal_id) == (PlanState.PLANNING, 'mug')
    assert rig.stamps == [1]


def test_a_plan_that_was_withdrawn_while_it_was_made_is_not_sent():
    """Somebody noticed that it took too long; the next frame plans anew."""
    rig = Rig().goal()
    rig.policy.during_plan = rig.session.withdraw
    rig.frames(1, 1)
    assert rig.published == []
    assert rig.report.reason.code is Code.PLANNER_STUCK
    rig.policy.during_plan = lambda: None
    rig.frames(2, 2)
    assert rig.stamps == [2]
    assert rig.published[0][0].epoch == rig.session.epoch


def test_a_plan_that_was_withdrawn_for_another_reason_is_not_called_slow():
    """The report says why, and what counts as slow stays as it was."""
    rig = Rig().goal()
    limit_s = rig.loop.latency.stuck_limit_s(5)
    frozen = Reason(Code.FRAME_FROZEN, 'the same picture')
    rig.policy.during_plan = lambda: rig.session.withdraw(frozen)
    rig.frames(1, 1)
    assert rig.published == []
    assert (rig.report.state, rig.report.reason) == (PlanState.NO_OBS, frozen)
    assert rig.loop.latency.stuck_limit_s(5) == limit_s


def test_what_a_model_usually_takes_to_answer_decides_when_a_search_hangs():
    """Four times that, in [0.15, 0.25] s at 20 Hz; one that hung counts as at the limit."""
    rig = Rig().goal()

    def search(*seconds: float) -> None:
        for one in seconds:
            rig.now_ns += round(one * 1e9)
            rig.policy.on_progress()
        limits.append(rig.loop.hung_limit_s())

    limits: list[float] = []
    rig.policy.during_plan = lambda: search()
    rig.frames(1, 1)
    for seconds in ((0.02,) * 6, (0.1,) * 6, (5.0,), (0.1,) * 6):
        rig.policy.during_plan = lambda seconds=seconds: search(*seconds)
        rig.loop.robot_enabled()
        rig.frame(rig.now_ns + STEP_NS)
    assert limits[0] == float('inf')            # it never told of any progress
    assert limits[1:] == pytest.approx([0.15, 0.25, 0.25, 0.25])
    assert rig.loop.hung_limit_s() == 0.15      # between plans frames are looked at
    assert len(rig.published) == 5


def test_a_frame_that_hung_in_the_encoder_is_not_planned_on():
    """All was withdrawn meanwhile; its plan would be of long ago."""
    rig = Rig().goal()
    rig.frames(1, 1)
    sent = len(rig.published)
    observe = rig.policy.observe
    rig.policy.observe = lambda frame: (observe(frame), rig.session.withdraw())
    rig.frames(6, 6)
    assert len(rig.published) == sent
    assert rig.report.reason.code is Code.PLANNER_STUCK
    rig.policy.observe = observe
    rig.frames(7, 7)
    assert len(rig.published) == sent + 1


def test_plans_that_came_too_late_count_as_latency():
    """Else a planner that became slow would be called stuck for ever."""
    rig = Rig().goal()
    limit_s = rig.loop.latency.stuck_limit_s(5)
    rig.policy.solve_ns = 10 ** 9
    rig.policy.during_plan = rig.session.withdraw
    rig.frames(1, 1)
    assert rig.loop.latency.stuck_limit_s(5) == pytest.approx(2 * limit_s)
    for frame in range(2, 60):
        rig.frames(frame, frame)
    assert rig.loop.latency.stuck_limit_s(5) >= 1.0


def test_a_closed_session_sends_nothing():
    """Whatever a thread that hung does later."""
    rig = Rig().goal()
    rig.policy.during_plan = rig.session.close
    rig.frames(1, 1)
    rig.policy.during_plan = lambda: None
    rig.frames(2, 9)
    assert rig.published == []
