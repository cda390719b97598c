"""One planner is followed; another one takes over when it is silent."""

from lewm_ros.command.planner_link import PlannerLink
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import PlanReport, PlanState
import pytest

TIMEOUT_S = 0.2


def report(session, **changes) -> PlanReport:
    return PlanReport(**{'stamp_ns': 10, 'session': session, 'epoch': 0,
                         'state': PlanState.PLANNING, **changes})


def beat(link: PlannerLink, session: int, steady_s: float, **changes) -> bool:
    counts = link.admit(session, steady_s, TIMEOUT_S)
    if counts:
        link.beat(report(session, **changes), steady_s)
    return counts


def test_the_first_session_is_followed_and_another_waits_for_its_silence():
    """A talks until 0.5 s; B is not heard before 0.7 s, and from then on A is not."""
    link, heard = PlannerLink(), []
    for tenth in range(10):
        if tenth <= 5:
            beat(link, 1, tenth / 10)
        heard.append(beat(link, 2, tenth / 10 + 0.05))
    assert heard == [False] * 7 + [True] * 3
    assert link.session == 2
    assert not beat(link, 1, 1.0)


def test_chunks_alone_keep_no_planner_alive():
    """A chunk of a new session is taken while nobody is there; it is no heartbeat."""
    link = PlannerLink()
    assert link.admit(5, 0.0, TIMEOUT_S)
    assert link.heartbeat_age_s(0.0) == float('inf')
    for at in (0.1, 0.2, 0.3):
        assert link.admit(5, at, TIMEOUT_S)
    assert beat(link, 6, 0.31)
    assert not link.admit(5, 0.32, TIMEOUT_S)


def test_two_planners_at_once_are_named():
    """For a second after the other one was heard; not when it was the follower's end."""
    link = PlannerLink()
    beat(link, 0xa, 0.0)
    beat(link, 0xb, 0.1)
    assert link.second(0.1) == Reason(Code.SECOND_PLANNER, 'two planners at once: session a is '
                                      'followed, b is not; end one of them')
    assert not link.second(1.2)
    beat(link, 0xb, 1.3)
    assert link.session == 0xb and not link.second(1.3)


def test_blindness_is_judged_by_the_frame_that_was_looked_at():
    """Not by the newest that arrived; a planner that has looked at none is blind."""
    link = PlannerLink()
    assert link.observation_age_s(10 ** 9) == float('inf')
    beat(link, 1, 0.0, stamp_ns=10 ** 9)
    assert link.observation_age_s(10 ** 9) == float('inf')
    beat(link, 1, 0.0, stamp_ns=10 ** 9, frame_stamp_ns=4 * 10 ** 8)
    assert link.observation_age_s(10 ** 9) == pytest.approx(0.6)


@pytest.mark.parametrize(('total_ms', 'patience_s'), [
    (80.0, 0.12), (5000.0, 1.0), (-1.0, 0.0), (float('nan'), 0.0), (float('inf'), 0.0)])
def test_a_planner_that_plans_looks_at_no_frame(total_ms, patience_s):
    """Half as long again as its last plan took, and no longer than a second."""
    link = PlannerLink()
    assert link.patience_s() == 0.0
    beat(link, 1, 0.0, total_ms=total_ms)
    assert link.patience_s() == pytest.approx(patience_s)


@pytest.mark.parametrize('state', PlanState)
def test_a_planner_without_a_plan_says_so(state):
    """A planner that makes no progress still plans; one without goal or camera does not."""
    link = PlannerLink()
    beat(link, 1, 0.0, state=state, reason=Reason(Code.NO_GOAL, 'no goal'))
    why = link.without_plan()
    if state in (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED):
        assert not why
    else:
        assert why == Reason(Code.PLAN_WITHDRAWN,
                             f'the planner has no plan, it says {state.name}: no goal')


def test_one_plan_that_was_slow_does_not_count_and_two_do():
    """Plans of 0.1 s allow 0.15 s, also after one of 0.8 s; after a second one of 0.4 s, 0.6 s."""
    link = PlannerLink()
    for total_ms in (100.0, 100.0, 99.0, 100.0, 800.0, 800.0, 98.0):   # one is in two heartbeats
        beat(link, 1, 0.0, total_ms=total_ms)
    assert link.patience_s() == pytest.approx(0.15)
    beat(link, 1, 0.0, total_ms=400.0)
    assert link.patience_s() == pytest.approx(0.6)
    for index in range(16):
        beat(link, 1, 0.0, total_ms=100.0, plan_ms=90.0 + index)
    assert link.patience_s() == pytest.approx(0.15)
