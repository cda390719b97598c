"""What is done about a lifecycle node that is no longer active."""

from itertools import pairwise

from lewm_ros.startup.watch import ATTEMPTS, PAUSE_S, SILENT_S, STEADY_S, Verdict, Watch
import pytest

NOTHING = Verdict()


def watch(brings_back=True) -> Watch:
    """Return a watch that has seen the node active at time 0."""
    made = Watch('/planner_node', brings_back)
    assert made.see('active', 0.0) == NOTHING
    return made


def test_an_active_node_is_not_worth_a_word():
    """Nor is one answer that got lost, nor a transition that somebody is making."""
    watched = watch()
    for second, state in enumerate(('active', '', 'active', 'deactivating', 'activating')):
        assert watched.see(state, float(second)) == NOTHING


def test_a_fallen_node_is_brought_back():
    """Unconfigured means that it left by itself or that its process is a new one."""
    watched = watch()
    verdict = watched.see('unconfigured', 1.0)
    assert verdict.bring_back
    assert 'attempt 1 of 3' in verdict.report
    assert watched.see('active', 2.0).report == '/planner_node is active again'


def test_without_respawn_a_fallen_node_is_only_reported():
    """Once, not at every look."""
    watched = watch(brings_back=False)
    verdict = watched.see('unconfigured', 1.0)
    assert 'left alone' in verdict.report
    assert not verdict.bring_back
    assert watched.see('unconfigured', 2.0) == NOTHING


def test_what_somebody_deactivated_is_left_alone():
    """Also when it is cleaned up next, to read other settings; until it is active again."""
    watched = watch()
    assert 'somebody' in watched.see('inactive', 1.0).report
    verdict = watched.see('unconfigured', 5.0)
    assert not verdict.bring_back
    assert watched.see('inactive', 6.0).bring_back is False
    watched.see('active', 7.0)
    assert watched.see('unconfigured', 8.0).bring_back


def test_a_silent_node_is_reported_and_brought_back_when_it_answers():
    """A process that was killed and started again is unconfigured, whatever it was before."""
    watched = watch()
    watched.see('inactive', 1.0)
    assert watched.see('', 1.0 + 0.9 * SILENT_S) == NOTHING
    assert 'does not answer' in watched.see('', 1.0 + SILENT_S).report
    assert watched.see('', 2.0 + SILENT_S) == NOTHING
    assert watched.see('unconfigured', 3.0 + SILENT_S).bring_back


def test_attempts_are_bounded_and_spaced():
    """A fault that does not go away is reported once and not hidden by trying for ever."""
    watched, now_s, attempts = watch(), 1.0, []
    reports = []
    for _ in range(1000):
        verdict = watched.see('unconfigured', now_s)
        reports += [verdict.report] if verdict.report else []
        if verdict.bring_back:
            attempts.append(now_s)
            watched.failed(now_s)
        now_s += 0.5
    assert len(attempts) == ATTEMPTS
    assert min(later - earlier for earlier, later in pairwise(attempts)) >= PAUSE_S
    assert len(reports) == ATTEMPTS + 1
    assert 'did not stay active after 3 attempts' in reports[-1]


def test_a_node_that_was_well_for_long_gets_all_its_attempts_again():
    """Short returns to active do not count as being well."""
    watched, now_s = watch(), 1.0
    for _ in range(ATTEMPTS):
        assert watched.see('unconfigured', now_s).bring_back
        watched.see('active', now_s + 1.0)
        now_s += 2.0
    assert not watched.see('unconfigured', now_s).bring_back
    watched.see('active', now_s + 1.0)
    watched.see('active', now_s + 1.0 + STEADY_S)
    assert watched.see('unconfigured', now_s + 3.0 + STEADY_S).bring_back


@pytest.mark.parametrize('state', ['finalized', 'inactive'])
def test_other_states_are_named(state):
    """The report says which state it is, once."""
    watched = watch()
    assert state in watched.see(state, 1.0).report
    assert watched.see(state, 2.0) == NOTHING
