"""The planner's decisions with a policy that plans in a known way and a clock set by hand."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import PlanningError  # noqa: E402
from lewm_model.types import Observation  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import PICTURE, Rig, STEP_NS  # noqa: E402


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_without_a_goal_there_is_a_report_but_no_chunk(rig):
    """Frames are encoded and answered with NO_GOAL."""
    rig.frames(1, 3)
    assert rig.published == []
    assert rig.policy.seen == [STEP_NS, 2 * STEP_NS, 3 * STEP_NS]
    assert rig.loop.report.state is PlanState.NO_GOAL
    assert 'goal' in rig.loop.report.reason.text


def test_a_plan_is_made_at_once_and_then_every_replan_steps(rig):
    """Replanning every 5 steps from step 1 means plans at 1, 6, 11."""
    rig.goal('g')
    rig.frames(1, 12)
    assert rig.stamps == [1, 6, 11]
    assert [chunk.sequence for chunk, _ in rig.published] == [1, 2, 3]


def test_the_report_says_which_frame_its_numbers_are_of():
    """Of the one that is planned on, also while the plan is made; a late one changes nothing."""
    rig = Rig().goal()
    during = []
    rig.policy.during_plan = lambda: during.append(rig.report.frame_stamp_ns)
    rig.frames(1, 8)
    assert during == [STEP_NS, 6 * STEP_NS]
    assert rig.report.frame_stamp_ns == 8 * STEP_NS
    rig.frame(7 * STEP_NS)
    assert rig.report.frame_stamp_ns == 8 * STEP_NS


def test_a_long_receding_horizon_replans_before_the_rows_run_out():
    """With 20 rows and 2 reserved steps the next plan starts at row 16, not at row 20."""
    rig = Rig(replan_steps=20)
    rig.policy.solve_ns = 2 * STEP_NS
    rig.goal('g')
    rig.frames(1, 30)
    assert rig.stamps[:2] == [1, 17]


def test_committed_rows_are_those_of_the_last_chunk_on_the_absolute_grid(rig):
    """The first plan commits to standing still, the second to what plays when it arrives."""
    rig.goal('g')
    rig.frames(1, 6)
    first, second = (chunk for chunk, _ in rig.published)
    assert [steps for _, steps in rig.published][0] == 2
    np.testing.assert_array_equal(first.actions[:2], 0)
    d = rig.published[1][1]
    np.testing.assert_array_equal(second.actions[:d], first.actions[5:5 + d])
    np.testing.assert_array_equal(second.actions[d], [2, d])


def test_a_late_plan_is_counted_and_reserves_more_steps(rig):
    """A plan that takes 3 steps with 2 reserved is a miss; the next one reserves 3."""
    rig.policy.solve_ns = 3 * STEP_NS
    rig.goal('g')
    rig.frames(1, 6, delay_ns=0)
    assert rig.loop.report.deadline_misses == 1
    assert [steps for _, steps in rig.published] == [2, 3]


def test_a_new_goal_changes_the_epoch_with_its_first_plan_only(rig):
    """The old plan stays valid until the new one is there, and is what the new one starts with."""
    rig.goal('g')
    rig.frames(1, 3)
    before = rig.loop.report.epoch
    rig.goal('h')
    assert rig.loop.report.epoch == before
    rig.frames(4, 4)
    (old, _), (new, d) = rig.published
    assert (old.epoch, new.epoch, rig.loop.report.epoch) == (before, before + 1, before + 1)
    assert rig.loop.report.goal_id == 'h'
    np.testing.assert_array_equal(new.actions[:d], old.actions[3:3 + d])


def test_a_failed_plan_withdraws_the_old_one_and_the_loop_goes_on(rig):
    """FAULT comes with a newer epoch and the reason; the next frame plans again."""
    rig.goal('g')
    rig.frames(1, 5)
    epoch = rig.loop.report.epoch
    rig.policy.problems['plan'] = PlanningError('no finite plan')
    rig.frames(6, 8)
    assert rig.loop.report.state is PlanState.FAULT
    assert rig.loop.report.reason.text == 'no finite plan'
    assert rig.loop.report.epoch == epoch + 1
    assert len(rig.published) == 1
    rig.policy.problems.clear()
    rig.frames(9, 9)
    assert rig.loop.report.state is PlanState.PLANNING
    assert rig.published[-1][0].epoch == epoch + 1
    np.testing.assert_array_equal(rig.published[-1][0].actions[0], 0)


@pytest.mark.parametrize(('delay_s', 'word'), [(0.3, 'old'), (-0.1, 'future')])
def test_frames_that_do_not_show_the_present_are_not_planned_on(rig, delay_s, word):
    """A stale frame and one from the future are NO_OBS, and withdraw the plan in force."""
    rig.goal('g')
    rig.frames(1, 5)
    epoch = rig.loop.report.epoch
    rig.now_ns = round(6 * STEP_NS + delay_s * 1e9)
    rig.loop.step(Observation(6 * STEP_NS, PICTURE))
    assert rig.loop.report.state is PlanState.NO_OBS
    assert word in rig.loop.report.reason.text
    assert rig.loop.report.epoch == epoch + 1
    assert len(rig.published) == 1


def test_camera_time_that_jumps_back_resets_and_keeps_the_goal(rig):
    """A bag that starts again bumps the epoch; planning goes on with the goal as it was."""
    rig.goal('g')
    rig.frames(100, 101)
    epoch = rig.loop.report.epoch
    rig.now_ns = 0
    rig.frames(1, 1)
    assert rig.policy.seen == [STEP_NS]
    assert rig.stamps == [100, 1]
    assert rig.published[-1][0].epoch == epoch + 1
    assert rig.loop.report.goal_id == 'g'
    np.testing.assert_array_equal(rig.published[-1][0].actions[0], 0)


def test_after_a_scene_reset_older_frames_are_ignored(rig):
    """Frames up to the stamp of the reset show the scene as it was."""
    rig.goal('g')
    rig.frames(1, 3)
    rig.loop.reset('the scene was reset', not_before_ns=5 * STEP_NS)
    rig.frames(4, 5)
    assert rig.stamps == [1]
    rig.frames(6, 6)
    assert rig.stamps == [1, 6]


def test_the_same_frame_twice_counts_once(rig):
    """A repeated stamp changes nothing."""
    rig.goal('g')
    rig.frames(1, 1)
    rig.frames(1, 1)
    assert rig.policy.seen == [STEP_NS]
    assert len(rig.published) == 1


def test_a_refused_goal_stops_the_robot_until_there_is_another(rig):
    """The reason stays in the report although frames keep coming."""
    rig.goal('g')
    rig.frames(1, 1)
    rig.loop.refuse_goal('not a picture')
    rig.frames(2, 4)
    assert rig.loop.report.state is PlanState.FAULT
    assert rig.loop.report.reason.text == 'not a picture'
    assert len(rig.published) == 1
    rig.goal('h')
    rig.frames(5, 5)
    assert rig.loop.report.state is PlanState.PLANNING
    assert len(rig.published) == 2


def test_a_dry_run_plans_and_reports_but_publishes_nothing():
    """The report shows the plan; as nothing moves, nothing is committed."""
    rig = Rig(dry_run=True)
    rig.goal('g')
    rig.frames(1, 12)
    assert rig.published == []
    assert rig.policy.last_plan is not None
    assert rig.loop.report.best_cost == 1.0


def test_reached_is_reported_and_the_robot_keeps_regulating(rig):
    """Within tolerance for the dwell means REACHED; plans go on."""
    rig.policy.goal_distance = 0.5
    rig.goal('g')
    rig.frames(1, 12)
    assert rig.loop.report.state is PlanState.REACHED
    assert rig.stamps == [1, 6, 11]


def test_frames_a_little_out_of_order_are_dropped(rig):
    """Up to a second back nothing is withdrawn and nothing is looked at, as in ingest."""
    rig.goal()
    rig.frames(100, 102)
    before = rig.report
    rig.frame(101 * STEP_NS - 1)
    rig.frame(82 * STEP_NS)
    assert rig.report is before
    assert len(rig.policy.seen) == 3
    rig.frame(81 * STEP_NS)
    assert rig.report.epoch == before.epoch + 1


def test_one_frame_from_the_future_does_not_make_the_next_ones_late(rig):
    """Its stamp is not the newest of anything."""
    rig.goal()
    rig.frames(1, 3)
    rig.frame(13 * STEP_NS)
    assert rig.report.reason.code is Code.FRAME_FUTURE
    rig.frames(4, 4)
    assert rig.report.state is PlanState.PLANNING


def test_an_unstamped_camera_is_told_what_to_set(rig):
    """Zero is no capture time."""
    rig.now_ns = 10 * STEP_NS
    rig.frame(0)
    assert rig.report.reason.code is Code.FRAME_STALE
    assert 'clocks: {image: receive}' in rig.report.reason.text


def test_a_cleared_goal_withdraws_the_plan(rig):
    """The robot stops; frames are answered with NO_GOAL until there is another."""
    rig.goal(tolerance=3.0)
    rig.frames(1, 3)
    assert rig.report.goal_tolerance == 3.0
    epoch = rig.report.epoch
    rig.loop.clear_goal()
    assert (rig.report.state, rig.report.epoch) == (PlanState.NO_GOAL, epoch + 1)
    rig.frames(4, 9)
    assert rig.report.state is PlanState.NO_GOAL
    assert rig.report.goal_tolerance == 1.0
    assert len(rig.published) == 1


def test_a_goal_with_its_own_tolerance_is_judged_by_it(rig):
    """Distance 5 is met within 6, and not with the tolerance of the node."""
    rig.goal(tolerance=6.0)
    rig.frames(1, 5)
    assert rig.report.state is PlanState.REACHED
    rig.goal('h')
    rig.frames(6, 12)
    assert rig.report.state is PlanState.PLANNING


def test_settings_change_between_frames(rig):
    """Tolerance and replanning at once; the plan in force goes on."""
    rig.goal()
    rig.frames(1, 3)
    changed = rig.loop._settings.__class__(replan_steps=2, goal_tolerance=9.0, goal_dwell_s=0.0,
                                           budget_ms=7.0)
    rig.loop.configure(changed)
    assert rig.report.goal_tolerance == 9.0
    assert rig.policy.budget_ms == 7.0
    rig.frames(4, 4)
    assert rig.report.state is PlanState.REACHED
    assert rig.stamps == [1, 4]
    assert rig.report.epoch == 1   # of the first plan to the goal


def test_a_dry_run_that_begins_while_active_withdraws_the_plan(rig):
    """Nothing is sent afterwards."""
    rig.goal()
    rig.frames(1, 3)
    epoch = rig.session.epoch
    rig.loop.configure(rig.loop._settings.__class__(replan_steps=5, goal_tolerance=1.0,
                                                    dry_run=True))
    assert rig.session.epoch == epoch + 1
    rig.frames(4, 20)
    assert len(rig.published) == 1
    assert rig.report.best_cost == 1.0


@pytest.mark.parametrize('stops', [False, True])
def test_a_frozen_picture_is_a_warning_or_a_stop(stops):
    """The reason is in the report either way."""
    rig = Rig(frozen_stops=stops).goal()
    rig.frames(1, 3)
    epoch = rig.session.epoch
    rig.now_ns = 4 * STEP_NS
    rig.frame(4 * STEP_NS, frozen=Reason(Code.FRAME_FROZEN, 'the same picture again'))
    assert rig.report.reason.code is Code.FRAME_FROZEN
    assert rig.report.state is (PlanState.NO_OBS if stops else PlanState.PLANNING)
    assert rig.session.epoch == epoch + stops
