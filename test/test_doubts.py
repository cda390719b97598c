"""What frames show, as the plan loop acts on it, with errors and latents set by hand."""

import math
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.ordinary import Ordinary, OrdinaryConfig  # noqa: E402
from lewm_model.planning.surprise import Expectation  # noqa: E402
from lewm_model.types import Observation  # noqa: E402
from lewm_ros.planner.surprise.doubts import Doubts, DoubtSettings  # noqa: E402
from lewm_ros.planner.surprise.surprise_guard import SurpriseSettings  # noqa: E402
from lewm_ros.planner.surprise.view_picture import compose  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import PICTURE, Rig, STEP_NS  # noqa: E402
import torch  # noqa: E402


def ordinary():
    made = Ordinary(OrdinaryConfig(
        mean_error=0.5, surprise_limit=10.0, surprise_quantile=0.9, surprise_low=1.0,
        surprise_high=5.0, episodes=9, frames=99, view_limit=3.0, view_scale=1.0, pictures=2,
        thumbnail_px=4), 2)
    made.latents[1] = 100.0
    made.thumbnails[1] = 7
    return made


def doubting(action='stop', view='off', **values):
    return DoubtSettings(SurpriseSettings(action=action, limit=10.0, frames=2, **values),
                         scale=0.5, view_action=view)


def expected(error):
    """Return a frame that is this mean squared error off; NaN: nothing was expected."""
    if math.isnan(error):
        return None
    return Expectation(torch.zeros(2), torch.full((2,), error ** 0.5), torch.zeros(2))


def rig(**settings):
    made = Rig(doubts=doubting(**settings))
    made.policy.error = 0.5
    made.policy.asked = 0

    def expectation():
        made.policy.asked += 1
        return expected(made.policy.error)

    made.policy.expectation = expectation
    made.policy.bundle.ordinary, made.policy.bundle.readout = ordinary(), None
    made.policy.newest_latent = torch.zeros(2)
    return made.goal()


def test_a_surprise_withdraws_the_plan_and_says_so():
    """Two frames at 20 times the mean error: epoch up, SURPRISED, no chunk until a goal comes."""
    one = rig()
    one.frames(0, 6)
    assert (one.report.state, one.report.surprise) == (PlanState.PLANNING, pytest.approx(1))
    assert one.report.surprise_limit == 10.0
    epoch, sent = one.report.epoch, len(one.published)
    one.policy.error = 10.0
    one.frames(7, 8)
    assert one.report.reason.code is Code.SURPRISED
    assert (one.report.state, one.report.surprise) == (PlanState.FAULT, pytest.approx(20))
    assert one.report.epoch == epoch + 1
    one.policy.error = 0.5
    one.frames(9, 40)
    assert len(one.published) == sent and one.report.reason.code is Code.SURPRISED
    one.goal('again').frames(41, 42)
    assert one.report.state is PlanState.PLANNING and len(one.published) > sent


def test_slow_asks_for_less_speed_and_goes_on_planning():
    """Plans go on; the speed comes back after the calm time."""
    one = rig(action='slow', slow_scale=0.25, calm_s=0.5)
    one.frames(0, 3)
    one.policy.error = 10.0
    one.frames(4, 6)
    assert (one.report.state, one.report.speed_scale) == (PlanState.PLANNING, 0.25)
    assert one.report.reason.code is Code.SURPRISED
    one.policy.error = 0.5
    one.frames(7, 16)
    assert one.report.speed_scale == 0.25
    one.frames(17, 18)
    assert (one.report.speed_scale, one.report.reason.code) == (1.0, Code.OK)


def test_what_is_not_known_does_not_stop_and_does_not_end_an_alarm():
    """NaN errors are reported as NaN and change nothing."""
    one = rig()
    one.policy.error = math.nan
    one.frames(0, 20)
    assert one.report.state is PlanState.PLANNING and math.isnan(one.report.surprise)
    one.policy.error = 10.0
    one.frames(21, 22)
    one.policy.error = math.nan
    one.frames(23, 60)
    assert one.report.reason.code is Code.SURPRISED


def test_a_fast_camera_costs_no_more():
    """Four frames in a control step: the model is asked once."""
    one = rig()
    for quarter in range(40):
        one.now_ns = quarter * STEP_NS // 4 + 1
        one.frame(quarter * STEP_NS // 4 + 1)
    assert one.policy.asked == 10


def test_off_asks_nobody():
    """No cost where nobody wants it."""
    one = rig(action='off')
    one.frames(0, 5)
    assert one.policy.asked == 0 and math.isnan(one.report.surprise)


@pytest.mark.parametrize(('action', 'state'), [('refuse', PlanState.FAULT),
                                               ('warn', PlanState.PLANNING)])
def test_an_unfamiliar_view_is_refused_or_said(action, state):
    """Squared distance 8, allowed 3: no chunk at all, or a reason beside the plan."""
    one = rig(view=action)
    one.policy.newest_latent = torch.full((2,), 2.0)
    one.frames(0, 5)
    assert (one.report.state, one.report.reason.code) == (state, Code.VIEW_UNFAMILIAR)
    assert bool(one.published) == (action == 'warn')
    one.policy.newest_latent = torch.full((2,), 1.0)
    one.frames(6, 12)
    assert one.report.state is PlanState.PLANNING and not one.report.reason and one.published


def test_a_view_is_looked_at_before_motion_and_not_while_moving():
    """Once familiar it is believed until motion is enabled anew."""
    one = rig(view='refuse')
    one.frames(0, 3)
    one.policy.newest_latent = torch.full((2,), 50.0)
    one.frames(4, 9)
    assert one.report.state is PlanState.PLANNING
    one.loop.robot_enabled()
    one.frames(10, 10)
    assert one.report.reason.code is Code.VIEW_UNFAMILIAR


def scene(floor, place=20):
    picture = np.tile(np.array(floor, np.uint8), (64, 64, 1))
    picture[place:place + 16, 10:30] = (200, 40, 30)
    return picture


@pytest.mark.parametrize(('picture', 'stops'), [(scene((200, 240, 190)), False),
                                                (scene((230, 230, 220), 40), True)])
def test_other_colours_slow_down_where_other_places_stop(picture, stops):
    """The same surprise with the floor in another colour, or with the thing elsewhere."""
    one = rig()
    for step in range(6):
        one.now_ns = step * STEP_NS
        one.loop.step(Observation(step * STEP_NS, scene((230, 230, 220))))
    one.policy.error = 10.0
    for step in range(6, 10):
        one.now_ns = step * STEP_NS
        one.loop.step(Observation(step * STEP_NS, picture))
    assert one.report.reason.code is Code.SURPRISED
    assert (one.report.state is PlanState.FAULT) == stops
    assert stops or one.report.speed_scale == 0.3
    assert ('colours' in one.report.reason.text) != stops


def test_a_change_of_colours_is_remembered_until_motion_is_enabled():
    """A goal does not forget it; enabling motion does."""
    one = rig()
    for step, floor in enumerate([(230, 230, 220)] * 3 + [(200, 240, 190)] * 3):
        one.now_ns = step * STEP_NS
        one.loop.step(Observation(step * STEP_NS, scene(floor)))
    one.goal('again')
    one.policy.error = 10.0
    one.frames(6, 9)
    assert one.report.state is PlanState.PLANNING and one.report.speed_scale == 0.3
    one.loop.robot_enabled()
    one.frames(10, 13)
    assert one.report.state is PlanState.FAULT


def test_goals_and_views_are_shown_beside_the_nearest_picture():
    """The second picture is nearest to (90, 90); what is far from both is said to be."""
    shown, said = [], []
    doubts = Doubts(doubting(view='warn'), show=lambda *what: shown.append(what),
                    say=lambda *what: said.append(what))
    goal = SimpleNamespace(latent=torch.full((2,), 90.0), goal_id='g', image=PICTURE)
    policy = SimpleNamespace(bundle=SimpleNamespace(ordinary=ordinary(), control_dt_s=0.05,
                                                    readout=None),
                             goal=goal, expectation=lambda: expected(0.5),
                             newest_latent=torch.zeros(2))
    doubts.new_goal(policy)
    assert doubts.goal_reason.code is Code.GOAL_UNFAMILIAR and said[0][0] == 'goal_view'
    title, picture, nearest, like = shown[0]
    assert (title, nearest.max(), like.distance) == ('goal', 7, pytest.approx(200.0))
    doubts.look(policy, Observation(1, PICTURE))
    assert shown[1][0] == 'camera' and shown[1][3].familiar
    goal.latent = torch.full((2,), 99.5)
    doubts.new_goal(policy)
    assert not doubts.goal_reason


def test_the_picture_has_both_sides_and_the_verdict():
    """The left half is what was seen, the right half the training picture; colours tell."""
    like = ordinary().likeness(torch.full((2,), 5.0))
    drawn = compose('camera', np.full((8, 8, 3), 200, np.uint8),
                    np.full((4, 4, 3), 50, np.uint8), like)
    assert drawn.shape == (284, 480, 3)
    assert (drawn[44:, :240] == 200).all() and (drawn[44:, 240:] == 50).all()
    assert len(np.unique(drawn[:44].reshape(-1, 3), axis=0)) > 2
