"""Going to goals: what planner and command node say becomes progress, here and on the wire."""

from dataclasses import replace
import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.action import ReachGoal  # noqa: E402
from lewm_ros.goals.reaching.leg import Leg  # noqa: E402
from lewm_ros.goals.reaching.trend import Trend  # noqa: E402
from lewm_ros.msg import GoalSpec  # noqa: E402
from lewm_ros.wire.checks import MessageError  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg, probe_goal_to_msg  # noqa: E402
from lewm_ros.wire.reach_msgs import (  # noqa: E402
    msg_to_order,
    msg_to_progress,
    msg_to_result,
    order_to_msg,
    progress_to_msg,
    result_to_msg,
    target_of,
)
from lewm_ros.wire.reaching import (  # noqa: E402
    Ending,
    ReachOrder,
    ReachProgress,
    ReachResult,
    Target,
)
from lewm_ros.wire.reasons import Code, Reason, ReasonedError  # noqa: E402
from lewm_ros.wire.reports import (  # noqa: E402
    CommandState,
    PlanReport,
    PlanState,
)
from reach_rig import STEP_S, World  # noqa: E402
from ros_helpers import over_the_wire  # noqa: E402

# Reaching ------------------------------------------------------------------------------------

def test_a_goal_that_the_planner_calls_reached_is_reached():
    """With the distance of that frame, the best one, and the time that passed."""
    world = World()
    for distance in (0.8, 0.4, 0.05, 0.07):
        world.step(goal_distance=distance)
    assert world.reach.result is None
    world.step(state=PlanState.REACHED)
    result = world.reach.result
    assert result and result.ending is Ending.NONE and result.text == ''
    assert (result.goals_reached, result.goal_id) == (1, 'door')
    assert (result.final_distance, result.best_distance) == (0.07, 0.05)
    assert result.elapsed_s == pytest.approx(0.25)
    assert world.reach.wanted == 0    # the robot stays there


def test_a_dwell_of_its_own_counts_from_the_first_frame_within_the_tolerance():
    """Whatever the planner's own is; a frame outside begins anew."""
    world = World(dwell_s=0.5)
    world.run(0.4, goal_distance=0.05, state=PlanState.REACHED)
    world.step(goal_distance=0.15, state=PlanState.PLANNING)
    assert world.run(2.0, goal_distance=0.05) == pytest.approx(0.55)
    assert world.ending is Ending.NONE


def test_what_the_planner_says_of_the_goal_before_counts_for_nothing():
    """Frames from before, and the state that is left over while the first plan is made."""
    world = World()
    world.obeys = False
    early = replace(world.plan, goal_id='door', state=PlanState.REACHED, goal_distance=0.0)
    world.reach.hear_plan(replace(early, frame_stamp_ns=world.now_ns), world.now_ns, world.now_s)
    assert world.reach.result is None
    world.step(goal_id='door', state=PlanState.REACHED, goal_distance=0.9)
    world.reach.hear_plan(world.plan, world.now_ns, world.now_s)    # a heartbeat repeats it
    assert world.reach.result is None
    world.step(state=PlanState.PLANNING)
    world.step(state=PlanState.REACHED, goal_distance=0.05)
    assert world.ending is Ending.NONE


def test_way_points_follow_each_other_without_a_stop():
    """The next one is wanted at once; the last one stays; the planner's lag does not matter."""
    world = World(Target('a'), Target('b'), Target('a'))
    wanted = []
    for _ in range(3):
        world.run(0.3, state=PlanState.PLANNING, goal_distance=0.5)
        wanted.append(world.reach.wanted)
        assert world.reach.progress().goals_left == 4 - len(wanted)
        world.run(0.1, state=PlanState.REACHED, goal_distance=0.01)
    assert wanted == [0, 1, 2]
    assert world.ending is Ending.NONE and world.reach.result.goals_reached == 3
    assert world.reach.wanted == 2


def test_a_way_point_can_be_added_while_moving_but_not_after_the_end():
    """It is gone to after the others."""
    world = World(Target('a'), Target('b'))
    world.reach.add(Target('b'))
    world.targets = (Target('a'), Target('b'), Target('b'))
    for _ in range(3):
        world.run(0.2, state=PlanState.PLANNING, goal_distance=0.5)
        assert world.reach.result is None
        world.run(0.1, state=PlanState.REACHED, goal_distance=0.01)
    assert world.reach.result.goals_reached == 3
    with pytest.raises(ReasonedError, match='just ended') as refusal:
        world.reach.add(Target('c'))
    assert refusal.value.reason.code is Code.NOTHING_UNDER_WAY


def test_limits_of_each_quantity_decide_where_the_goal_has_them():
    """A quantity without weight has none; without any limit the planner's word counts."""
    goal = probe_goal_to_msg(['x', 'angle'], [0.0, 1.0], stamp_ns=0, goal_id='p',
                             weights=[1.0, 0.0], tolerances=[0.02, 0.1])
    target = target_of(goal)
    assert target.tolerances == (0.02, math.inf)
    leg = Leg(target, dwell_s=0.1, since_ns=0)
    report = PlanReport(stamp_ns=0, session=1, epoch=0, state=PlanState.PLANNING, goal_id='p',
                        goal_distance=0.5, goal_tolerance=0.02)
    for number, errors in enumerate(((0.05, 0.0), (0.01, 3.0), (0.01, 3.0), (0.01, 3.0)), 1):
        assert not leg.reached
        leg.see(replace(report, frame_stamp_ns=number * 50_000_000, goal_errors=errors),
                moving=True)
    assert leg.reached
    silent = Leg(Target('p', names=('x',)), dwell_s=0.05, since_ns=0)
    for number in range(1, 5):
        silent.see(replace(report, frame_stamp_ns=number * 50_000_000, goal_errors=(0.0,),
                           goal_distance=0.0), moving=True)
    assert not silent.reached
    for number in range(5, 8):
        silent.see(replace(report, frame_stamp_ns=number * 50_000_000, goal_errors=(0.0,),
                           goal_distance=0.0, state=PlanState.REACHED), moving=True)
    assert silent.reached


def test_targets_are_what_goal_messages_say():
    """A picture has no names and its own tolerance."""
    rgb = np.zeros((4, 5, 3), np.uint8)
    assert target_of(picture_goal_to_msg(rgb, stamp_ns=0, goal_id='x', tolerance=0.25)) == (
        Target('x', tolerance=0.25))
    assert target_of(picture_goal_to_msg(rgb, stamp_ns=0, goal_id='x', names=['a'],
                                         tolerances=[0.5])) == Target('x', ('a',), 0.0, (0.5,))


# Progress ------------------------------------------------------------------------------------

def test_the_trend_finds_when_a_falling_line_meets_a_number():
    """Exactly for a line; never for what rises, stands or only scatters."""
    falling, rising, flat, noise = Trend(), Trend(), Trend(), Trend()
    scatter = np.random.default_rng(0).normal(1.0, 0.1, 40)
    for number in range(40):
        stamp_ns = number * 50_000_000
        falling.add(stamp_ns, 10.0 - 2.0 * number * 0.05)
        rising.add(stamp_ns, number)
        flat.add(stamp_ns, 3.0)
        noise.add(stamp_ns, scatter[number])
    assert falling.seconds_to(1.0) == pytest.approx((10.0 - 2.0 * 39 * 0.05 - 1.0) / 2.0)
    assert falling.seconds_to(9.0) == 0.0     # it is below that already
    for other in (rising, flat, noise):
        assert math.isnan(other.seconds_to(0.1))
    assert math.isnan(falling.seconds_to(math.nan))
    assert math.isnan(Trend().seconds_to(0.0))


def test_the_trend_forgets_what_is_old():
    """After a turn only the new direction counts, three seconds later."""
    trend = Trend(window_s=1.0)
    for number in range(100):
        trend.add(number * 50_000_000, number if number < 50 else 50 - (number - 50))
    assert trend.seconds_to(0.0) == pytest.approx(0.05, abs=1e-6)    # at 1, one per step


def test_feedback_says_how_it_goes():
    """A robot whose latent moves evenly: the distance is squared, the time left is right."""
    world = World()
    for number in range(20):
        world.step(goal_distance=(1.0 - 0.02 * number) ** 2, goal_tolerance=0.01)
    progress = over_the_wire(progress_to_msg(world.reach.progress()))
    progress = msg_to_progress(progress)
    assert (progress.goal_id, progress.goals_left, progress.moving) == ('door', 1, True)
    assert progress.distance == progress.best_distance == pytest.approx(0.62 ** 2)
    assert progress.seconds_left == pytest.approx((0.62 - 0.1) / 0.02 * STEP_S, rel=1e-4)
    assert progress.elapsed_s == pytest.approx(1.0)
    assert progress.surprise == 1.5
    assert 'door' in str(progress) and '1.3 s left' in str(progress)


def test_plans_are_counted_once_however_often_their_numbers_are_repeated():
    """The first numbers are of a plan made before; replans are those after the first."""
    world = World()
    world.run(0.2)
    assert world.reach.progress().replans == 0
    assert math.isnan(world.reach.progress().latency_ms)
    for total_ms in (30.0, 50.0, 40.0):
        world.run(0.2, total_ms=total_ms, plan_ms=total_ms - 5)
    assert world.reach.progress().replans == 2
    assert world.reach.progress().latency_ms == 40.0
    world.reach.displace('x')
    assert world.reach.result.latency_p95_ms == pytest.approx(49.0)
    assert world.reach.result.replans == 2


def test_feedback_gives_the_reason_of_whoever_holds_the_robot_up():
    """The command node's while it does not follow, else the planner's."""
    world = World()
    world.step(reason=Reason(Code.NO_PROGRESS, 'stalled'))
    assert world.reach.progress().reason.text == 'stalled'
    world.controls(CommandState.STOPPED, Code.OBSERVATION_STALE, 'old frames')
    world.step()
    assert world.reach.progress().reason.text == 'old frames'
    assert not world.reach.progress().moving



# Messages ------------------------------------------------------------------------------------

def test_endings_are_those_of_the_action():
    """Names and numbers, both ways."""
    constants = {name: getattr(ReachGoal.Result, name)
                 for name, value in vars(type(ReachGoal.Result)).items()
                 if name.isupper() and isinstance(value, property)}
    assert constants == {ending.name: ending.value for ending in Ending}


def test_an_order_is_checked_before_it_goes_out_and_when_it_comes_in():
    """Nonsense is named with what is allowed."""
    spec = GoalSpec(uri='a.png')
    order = ReachOrder(dwell_s=0.5, timeout_s=20.0, no_progress_s=3.0, dry_run=True)
    back, goals = msg_to_order(over_the_wire(order_to_msg(order, [spec, spec])))
    assert back == order and goals == [spec, spec]
    for wrong, words in (({'dwell_s': -1.0}, 'dwell_s must be in'),
                         ({'timeout_s': math.nan}, 'timeout_s must be in'),
                         ({'no_progress_s': math.inf}, 'no_progress_s must be in')):
        with pytest.raises(MessageError, match=words):
            order_to_msg(ReachOrder(**wrong), [spec])
    for goals in ([], [spec] * 101):
        with pytest.raises(MessageError, match='1 to 100 goals'):
            order_to_msg(ReachOrder(), goals)


def test_results_go_over_the_wire_and_say_in_words_what_happened():
    """True only where every goal was reached."""
    result = ReachResult(Ending.NO_PROGRESS, 'it stands', 1, 'door', 0.5, 0.25, 3.5, 4, 60.0)
    back = msg_to_result(over_the_wire(result_to_msg(result)))
    assert str(back) == str(result) == 'NO_PROGRESS: it stands'
    assert (back.goals_reached, back.final_distance, back.replans) == (1, 0.5, 4)
    assert not back
    fine = ReachResult(Ending.NONE, goals_reached=2, goal_id='door', final_distance=0.01,
                       elapsed_s=2.25)
    assert fine and str(fine) == "2 reached in 2.2 s, at 0.01 from goal 'door'"
    dry = ReachResult(Ending.NONE, goal_id='door', start_cost=2.0, final_cost=0.5)
    assert 'cost 2 before the search, 0.5 after' in str(dry)
    assert ReachProgress('a', 1).goals_left == 1
