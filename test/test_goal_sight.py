"""Goal pictures that were taken in another light, as the plan loop gives them to the policy."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from goal_pictures import put, taken, walled  # noqa: E402
from lewm_model.errors import EngineFailure  # noqa: E402
from lewm_model.types import Observation  # noqa: E402
from lewm_ros.planner.loop.goal_sight import GoalSight  # noqa: E402
from lewm_ros.planner.parameters import PlannerParameters  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalRequest, PlanState  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import FakePolicy, Rig, STEP_NS  # noqa: E402

LIVE, GOAL = put(walled(64), 10, 10, 12, 12), put(walled(64), 40, 40, 12, 12)
DARK = taken(GOAL, 0.7)


def goal(rgb, goal_id='g'):
    return GoalRequest(GoalKind.PICTURE, 0, goal_id, rgb=rgb)


def rig(which='exposure', **options):
    made = Rig(goal_correction=which, **options)
    made.said = []
    made.loop._doubts._say = lambda *what: made.said.append(what)
    return made


def film(one, first, last, rgb=LIVE):
    for step in range(first, last + 1):
        one.now_ns = step * STEP_NS
        one.loop.step(Observation(step * STEP_NS, rgb))


def wrong(rgb):
    """Return how far a picture is from the goal as the camera would take it [levels]."""
    return np.abs(rgb.astype(int) - GOAL).max()


def test_a_goal_is_given_as_the_camera_would_take_it_and_that_is_said():
    """At 0.7 of the light: the policy gets it in the present one; log and reason say so."""
    one = rig()
    film(one, 0, 1)
    one.loop.set_goal(goal(DARK))
    assert wrong(one.policy.goal.image) <= 1 < wrong(DARK)
    film(one, 2, 4)
    reason = one.report.reason
    assert (one.report.state, reason.code) == (PlanState.PLANNING, Code.GOAL_UNFAMILIAR)
    assert reason.text.startswith("goal 'g': it was taken with 0.70, 0.70, 0.70 times the light")
    assert one.said == [('goal_view', reason.text)] and one.published


def test_an_ordinary_goal_is_given_as_it_came():
    """The very picture, and nothing is said; so is the next one after one that was corrected."""
    one = rig('all')
    film(one, 0, 1)
    one.loop.set_goal(goal(DARK))
    one.loop.set_goal(goal(GOAL))
    assert one.policy.goal.image is GOAL
    film(one, 2, 4)
    assert not one.report.reason


def test_off_gives_it_as_it_came_and_may_be_set_between_two_frames():
    """The parameter may change while the planner is active."""
    one = rig('off')
    film(one, 0, 1)
    one.loop.set_goal(goal(DARK))
    assert one.policy.goal.image is DARK
    film(one, 2, 3)
    assert not one.report.reason
    one.loop.configure(Rig(goal_correction='exposure').loop._settings)
    one.loop.set_goal(goal(DARK))
    assert wrong(one.policy.goal.image) <= 1


def test_a_goal_that_was_there_before_the_camera_is_looked_at_with_the_first_frame():
    """Once: what the camera shows later changes it no more."""
    one = rig()
    one.loop.set_goal(goal(DARK))
    assert one.policy.goal.image is DARK
    film(one, 1, 1)
    first = one.policy.goal
    assert wrong(first.image) <= 1
    film(one, 2, 4, taken(LIVE, 0.5))
    assert one.policy.goal is first


def test_a_goal_that_was_taken_back_before_the_first_frame_stays_away():
    """Nothing is given that nobody wants any more."""
    one = rig()
    one.loop.set_goal(goal(DARK))
    one.loop.clear_goal()
    film(one, 0, 1)
    assert one.policy.goal is None and one.report.state is PlanState.NO_GOAL


def test_after_a_reset_the_next_frame_is_what_counts():
    """The old scene had another light."""
    one = rig()
    film(one, 0, 1, taken(LIVE, 0.7))
    one.loop.reset('new scene')
    one.loop.set_goal(goal(DARK))
    assert one.policy.goal.image is DARK
    film(one, 2, 2)
    assert wrong(one.policy.goal.image) <= 1


def test_another_engine_gets_the_corrected_picture():
    """The one that fails was given it; whatever the camera shows at that moment."""
    made = rig(engine_retries=0, fall_back=lambda: (other, 0.1))
    other = FakePolicy(made)
    film(made, 0, 1)
    made.loop.set_goal(goal(DARK))
    made.policy.problems['observe'] = EngineFailure('out of memory')
    film(made, 2, 2)
    assert made.loop.policy is other and wrong(other.goal.image) <= 1


def test_a_shift_is_a_warning_unless_cameras_stand_still():
    """`all` moves the picture back."""
    moved = taken(GOAL, shift=(2, 0))
    one = rig()
    film(one, 0, 1)
    one.loop.set_goal(goal(moved))
    assert one.policy.goal.image is moved
    film(one, 2, 4)
    assert one.report.reason.code is Code.GOAL_UNFAMILIAR
    assert 'everything 2.0 px right' in one.report.reason.text
    one = rig('all')
    film(one, 0, 1)
    one.loop.set_goal(goal(moved))
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_array_equal(one.policy.goal.image[inner], GOAL[inner])


def test_a_question_about_a_picture_is_answered_in_the_light_of_that_picture():
    """`plan_once` may bring its own; the newest frame does not count then."""
    sight = GoalSight()
    sight.which = 'exposure'
    sight.look(taken(LIVE, 0.5))
    asked, text = sight.alike(goal(DARK), LIVE)
    assert wrong(asked.rgb) <= 1 and 'times the light' in text
    numbers = GoalRequest(GoalKind.PROBE, 0, 'n', names=('x',), values=np.zeros(1))
    assert sight.alike(numbers, LIVE) == (numbers, '')
    assert sight.alike(goal(DARK), None)[0].rgb is DARK


def test_the_planner_corrects_exposure_by_default():
    """As docs/goals.md says."""
    assert PlannerParameters().goal_correction == 'exposure'
