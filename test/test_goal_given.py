"""Goals of quantities in the plan loop: given to a real policy, judged, kept across engines."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.assemble import make_policy  # noqa: E402
from lewm_model.errors import EngineFailure  # noqa: E402
from lewm_model.types import Observation  # noqa: E402
from lewm_ros.planner.loop.goal_given import give, limits_of  # noqa: E402
from lewm_ros.planner.loop.goal_progress import GoalProgress  # noqa: E402
from lewm_ros.planner.surprise.doubts import Doubts, DoubtSettings  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalRequest, PlanState  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import Rig  # noqa: E402
from readout_bundles import bundle_that_reads, ERROR  # noqa: E402

PICTURE = np.full((64, 64, 3), 90, np.uint8)


def request(kind=GoalKind.PROBE, *, names=('first', 'second'), values=(0.3, 0.2), **fields):
    return GoalRequest(kind, 0, 'g', names=names, **{
        'weights': np.ones(len(names)),
        'values': np.array(values) if kind is GoalKind.PROBE else None,
        'rgb': PICTURE if kind is GoalKind.PICTURE else None, **fields})


@pytest.fixture
def policy():
    made = make_policy(bundle_that_reads(always=(0.3, -0.2)))
    made.observe(Observation(0, PICTURE))
    return made


def test_each_kind_of_goal_is_given_to_the_policy(policy):
    """Quantities, some of a picture, a whole picture."""
    give(policy, request())
    assert policy.goal.target.values.tolist() == [0.3, 0.2] and policy.goal.image is None
    give(policy, request(GoalKind.PICTURE, names=('second',)))
    np.testing.assert_allclose(policy.goal.target.values, [-0.2], atol=1e-6)
    assert policy.goal.image is PICTURE
    give(policy, request(GoalKind.PICTURE, names=()))
    assert policy.goal.target is None and policy.goal.goal_id == 'g'


def test_how_near_is_near_enough(policy):
    """Its tolerances; else its tolerance alone; else twice what the readout is wrong by."""
    def limits(**fields):
        goal = request(**fields)
        give(policy, goal)
        return limits_of(policy, goal, 2.0)

    np.testing.assert_allclose(limits(), [2 * ERROR] * 2)
    assert limits(tolerance=0.5) is None
    assert limits(tolerance=0.5, tolerances=np.array([0.1, 0.2])).tolist() == [0.1, 0.2]
    assert limits(weights=np.array([1.0, 0.0]))[1] == np.inf
    assert limits(kind=GoalKind.PICTURE, names=()) is None


def test_reached_is_every_quantity_within_its_own_limit():
    """However near the distance is; what has no weight does not matter."""
    progress = GoalProgress(tolerance=1.0, dwell_s=0.0, stall_s=0.0)
    progress.limit(np.array([0.1, 0.02, np.inf]), np.array([1.0, 1.0, 0.0]))
    assert progress.tolerance == pytest.approx(np.sqrt((0.01 + 0.0004) / 2))
    assert progress.update(0, 0.01, (0.09, 0.03, 0.0)) is PlanState.PLANNING
    assert progress.update(1, 0.07, (0.09, 0.01, 9.0)) is PlanState.REACHED
    assert progress.update(2, float('nan'), (float('nan'), 0.01, 0.0)) is PlanState.PLANNING
    progress.new_goal()
    assert progress.update(3, 0.5) is PlanState.REACHED      # a picture again


def test_what_training_never_had_is_a_warning(policy):
    """The goal is planned to; the reason says what is beyond the data."""
    doubts = Doubts(DoubtSettings())
    give(policy, request(values=(0.3, 5.5)))
    doubts.new_goal(policy)
    assert doubts.goal_reason.code is Code.GOAL_UNFAMILIAR
    assert 'second shall be 5.5 m, but training had [-5, 5] only' in doubts.goal_reason.text
    give(policy, request())
    doubts.new_goal(policy)
    assert not doubts.goal_reason


def test_the_fall_back_engine_gets_the_same_quantities():
    """There is no picture that could be encoded anew."""
    other = make_policy(bundle_that_reads(always=(0.3, -0.2)))
    rig = Rig(fall_back=lambda: (other, 0.1), engine_retries=0)
    rig.loop.policy = broken = make_policy(bundle_that_reads(always=(0.3, -0.2)))

    def fail(*_):
        raise EngineFailure('out of memory')

    rig.loop.set_goal(request())
    broken.observe = fail
    rig.now_ns = 10 ** 9
    rig.loop.step(Observation(10 ** 9, PICTURE))
    assert rig.loop.policy is other
    assert other.goal.target.values.tolist() == [0.3, 0.2]
