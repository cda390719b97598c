"""Where the robot stands and whether it follows plans decide what is committed."""

import dataclasses

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import CommandState, PlanState  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import ARM, Rig, STEP_NS  # noqa: E402

POSITIONS = dataclasses.replace(ARM, interface='joint_position', min_command=[-3, -3],
                                max_command=[3, 3])
SHOULDER, WRIST = ARM.joint_names


@pytest.fixture
def arm() -> Rig:
    """Commanded by positions."""
    return Rig(POSITIONS).goal()


def test_the_first_plan_of_a_position_robot_commits_to_where_it_is(arm):
    """Not to zero, and the search begins there, too."""
    arm.joints(**{SHOULDER: 0.8, WRIST: 0.9})
    arm.frames(1, 1)
    chunk, d = arm.published[0]
    np.testing.assert_allclose(chunk.actions[:d], np.tile([0.8, 0.9], (d, 1)), rtol=1e-6)
    np.testing.assert_allclose(arm.policy.rest, [0.8, 0.9], rtol=1e-6)


def test_without_a_measurement_there_is_no_plan_and_the_reason_says_so(arm):
    """The joint that is missing is named; a plan follows once it is measured."""
    arm.joints(**{SHOULDER: 0.8})
    arm.frames(1, 2)
    assert arm.published == []
    assert arm.report.state is PlanState.NO_OBS
    assert arm.report.reason.code is Code.NO_ROBOT_STATE
    assert f'no position of {WRIST} on joint_states' in arm.report.reason.text
    arm.joints(**{SHOULDER: 0.8, WRIST: 0.9})
    arm.frames(3, 3)
    assert arm.stamps == [3]


def test_an_old_measurement_does_not_count(arm):
    """A driver that died is not where the robot is now."""
    arm.joints(**{SHOULDER: 0.8, WRIST: 0.9})
    arm.now_ns = 300_000_000
    arm.frames(6, 6)
    assert arm.published == []
    assert arm.report.reason.code is Code.NO_ROBOT_STATE


def test_the_command_just_sent_is_where_a_position_robot_rests(arm):
    """It is what the robot holds, even if it sags a little."""
    arm.joints(**{SHOULDER: 0.8, WRIST: 0.9})
    arm.robot.executed(np.array([0.81, 0.92], np.float32), 0.0)
    arm.frames(1, 1)
    np.testing.assert_allclose(arm.published[0][0].actions[0], [0.81, 0.92], rtol=1e-6)


def test_a_velocity_robot_rests_at_zero_and_needs_no_joints():
    """As before."""
    rig = Rig().goal()
    rig.frames(1, 1)
    np.testing.assert_array_equal(rig.published[0][0].actions[0], 0)
    assert rig.policy.rest is None
    assert not rig.robot.needs_joints


@pytest.mark.parametrize('state', [CommandState.DISABLED, CommandState.FAULT,
                                   CommandState.STOPPED, CommandState.RAMP_DOWN])
def test_plans_that_are_not_followed_are_not_committed(state):
    """The next plan begins at rest, not at rows that nobody executes."""
    rig = Rig().goal()
    rig.controller(CommandState.TRACKING)
    rig.frames(1, 5)
    rig.controller(state)
    rig.frames(6, 6)
    chunk, d = rig.published[-1]
    np.testing.assert_array_equal(chunk.actions[:d], 0)


def test_plans_of_a_followed_session_are_committed():
    """While TRACKING, the rows of the last chunk; not if another planner is followed."""
    rig = Rig().goal()
    rig.frames(1, 5)
    rig.controller(CommandState.TRACKING)
    rig.frames(6, 6)
    assert rig.published[-1][0].actions[0].any()
    rig.controller(CommandState.TRACKING, session=rig.session.number + 1)
    rig.frames(7, 11)
    assert not rig.published[-1][0].actions[0].any()


def test_a_robot_that_is_not_enabled_cannot_stall_and_the_report_says_why():
    """Neither while disabled, nor at once after it was enabled."""
    rig = Rig(stall_s=1.0).goal()
    rig.controller(CommandState.DISABLED)
    for k in range(1, 60):
        rig.controller(CommandState.DISABLED)
        rig.frames(k, k)
    assert rig.report.state is PlanState.PLANNING
    assert rig.report.reason.code is Code.NOT_ENABLED
    assert 'DISABLED' in rig.report.reason.text
    rig.controller(CommandState.TRACKING)
    rig.frames(60, 60)
    assert rig.report.state is PlanState.PLANNING
    assert not rig.report.reason
    for k in range(61, 90):
        rig.controller(CommandState.TRACKING)
        rig.frames(k, k)
    assert rig.report.state is PlanState.STALLED
    assert rig.report.reason.code is Code.NO_PROGRESS
    assert 'closer for 1 s' in rig.report.reason.text
    rig.policy.goal_distance = 1.5
    rig.controller(CommandState.TRACKING)
    rig.frames(90, 90)
    assert (rig.report.state, bool(rig.report.reason)) == (PlanState.PLANNING, False)


def test_an_e_stop_is_told_from_a_robot_that_is_not_enabled():
    """The code names it."""
    rig = Rig().goal()
    rig.controller(CommandState.DISABLED, e_stop=True)
    rig.frames(1, 1)
    assert rig.report.reason.code is Code.E_STOP


def test_a_silent_command_node_executes_nothing():
    """It has died: nothing is committed, and nothing stalls."""
    rig = Rig().goal()
    rig.controller(CommandState.TRACKING)
    rig.frames(1, 26)
    assert rig.report.reason.code is Code.NOT_ENABLED
    assert 'was not heard for' in rig.report.reason.text
    assert not rig.published[-1][0].actions[0].any()


def test_enabling_the_robot_brings_a_plan_with_the_next_frame():
    """Not at the end of a horizon that nobody follows."""
    rig = Rig(replan_steps=15).goal()
    rig.controller(CommandState.DISABLED)
    rig.frames(1, 3)
    rig.controller(CommandState.IDLE)
    rig.frames(4, 6)
    assert rig.stamps == [1, 4]


def test_a_dry_run_begins_every_plan_at_rest():
    """Somebody else drives, or nobody."""
    rig = Rig(POSITIONS, dry_run=True).goal()
    for k in range(1, 12):
        rig.joints(**{SHOULDER: 0.1 * k, WRIST: 0.0})
        rig.frames(k, k)
    assert rig.loop._schedule.chunk.stamp_ns == 11 * STEP_NS
    np.testing.assert_allclose(rig.loop._schedule.chunk.actions[0], [1.1, 0], rtol=1e-6)
