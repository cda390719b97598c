"""Going to goals: how it ends, by whom, and that the robot stands then."""

from dataclasses import replace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.goals.reaching.at_rest import AtRest, Heard  # noqa: E402
from lewm_ros.wire.reaching import (  # noqa: E402
    Ending,
    Target,
)
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import (  # noqa: E402
    CommandState,
    ControllerReport,
    PlanReport,
    PlanState,
)
from reach_rig import DISABLED, STEP_S, World  # noqa: E402

# Ends ----------------------------------------------------------------------------------------

def test_no_progress_counts_only_while_the_robot_may_move():
    """Two seconds of motion; a pause, a stop and a slow approach are none of them."""
    world = World()
    world.run(1.5)
    world.controller = replace(world.controller, speed_scale=0.0)     # somebody holds it back
    assert world.run(3.0) == pytest.approx(3.0)
    world.controls(CommandState.STOPPED, Code.PLAN_ENDED, 'the plan ran out')
    assert world.run(3.0) == pytest.approx(3.0)
    world.controller = replace(world.controller, state=CommandState.TRACKING, speed_scale=1.0,
                               at_rest=False)
    assert world.run(3.0) == pytest.approx(0.65, abs=0.16)
    assert world.ending is Ending.NO_PROGRESS
    assert 'for 2 s of motion' in world.reach.result.text

    near = World(Target('door', names=('x', 'y')))
    near.run(9.0, goal_distance=0.05, goal_errors=(0.07, 0.01))
    assert near.ending is Ending.NO_PROGRESS
    assert 'off by x 0.07, y 0.01); allow more by tolerances' in near.reach.result.text

    slow = World()
    for number in range(200):    # one per cent of what is left with every frame
        slow.step(goal_distance=0.99 ** number)
    assert slow.reach.result is None


def test_the_order_may_be_more_patient_than_the_node():
    """Its own no_progress_s wins."""
    world = World(no_progress_s=4.0)
    assert world.run(10.0) == pytest.approx(4.0, abs=0.3)
    assert world.ending is Ending.NO_PROGRESS


def test_a_time_limit_ends_it():
    """With how many were reached."""
    world = World(Target('a'), Target('b'), timeout_s=1.0)
    world.run(0.3, state=PlanState.PLANNING)
    world.run(0.1, state=PlanState.REACHED, goal_distance=0.0)
    world.run(10.0, state=PlanState.PLANNING, goal_distance=1.0)
    assert world.ending is Ending.TIMEOUT
    assert '1 of 2 goals reached in 1 s' in world.reach.result.text
    assert world.reach.result.elapsed_s == pytest.approx(1.05, abs=0.16)


def test_a_silent_planner_is_gone():
    """After the limit, and the command node has stopped the robot by itself."""
    world = World()
    world.run(0.5)
    world.speaks = {'command'}
    world.controls(CommandState.STOPPED, Code.PLANNER_SILENT, 'no plan_status')
    assert world.run(5.0) == pytest.approx(1.5, abs=0.16)
    assert world.ending is Ending.PLANNER_GONE
    assert 'is the planner running' in world.reach.result.text
    assert 'stand' not in world.reach.result.text     # it is known that it stands
    assert world.reach.wanted is None                 # one that comes back finds no goal


def test_a_planner_that_was_never_there_is_gone_too():
    """Silence counts from the beginning."""
    world = World()
    world.speaks = {'command'}
    world.controls(CommandState.IDLE, Code.PLANNER_SILENT, 'no plan_status yet')
    assert world.run(5.0) == pytest.approx(2.0, abs=0.16)    # a little more to be found
    assert world.ending is Ending.PLANNER_GONE


def test_a_silent_command_node_is_a_fault_and_nobody_claims_that_the_robot_stands():
    """Whatever the planner says."""
    world = World()
    world.run(0.5)
    world.speaks = {'planner'}
    assert world.run(5.0) == pytest.approx(1.5, abs=0.11)
    assert world.ending is Ending.COMMAND_FAULT
    assert 'nobody knows whether the robot stands' in world.reach.result.text


@pytest.mark.parametrize(('state', 'code', 'e_stop', 'ending'), [
    (CommandState.FAULT, Code.CHUNK_MALFORMED, False, Ending.COMMAND_FAULT),
    (CommandState.DISABLED, Code.E_STOP, True, Ending.E_STOP),
    (CommandState.DISABLED, Code.STOPPED_BY_CALL, False, Ending.NOT_ENABLED),
    (CommandState.DISABLED, Code.PROCESS_PAUSED, False, Ending.NOT_ENABLED)])
def test_what_only_a_person_can_mend_ends_it_at_once(state, code, e_stop, ending):
    """With the command node's own words."""
    world = World()
    world.run(0.5)
    world.controls(state, code, 'words of the command node', e_stop=e_stop)
    assert world.run(5.0) < 0.16
    assert world.ending is ending
    assert world.reach.result.text == 'words of the command node'
    assert world.reach.wanted is None


def test_motion_that_is_enabled_just_now_is_not_taken_for_disabled():
    """What was on its way then does not count; what is said 0.3 s later does."""
    world = World()
    world.controls(DISABLED, Code.NOT_ENABLED, 'not enabled; call ~/enable')
    world.run(0.2)
    world.controls(CommandState.TRACKING)
    world.run(1.0, goal_distance=0.5)
    assert world.reach.result is None
    other = World()
    other.controls(DISABLED, Code.NOT_ENABLED, 'not enabled; call ~/enable')
    assert other.run(5.0) == pytest.approx(0.4, abs=0.06)
    assert other.ending is Ending.NOT_ENABLED


@pytest.mark.parametrize(('state', 'code', 'ending', 'after_s'), [
    (PlanState.FAULT, Code.GOAL_REFUSED, Ending.GOAL_REFUSED, 0.0),
    (PlanState.FAULT, Code.SURPRISED, Ending.SURPRISED, 0.0),
    (PlanState.IDLE, Code.INACTIVE, Ending.MODEL_ERROR, 0.0),
    (PlanState.IDLE, Code.PLANNER_FAILED, Ending.MODEL_ERROR, 0.0),
    (PlanState.NO_OBS, Code.NO_FRAME, Ending.NO_OBSERVATION, 1.0),
    (PlanState.NO_OBS, Code.FRAME_STALE, Ending.NO_OBSERVATION, 1.0),
    (PlanState.FAULT, Code.FRAME_MISFIT, Ending.NO_OBSERVATION, 1.0),
    (PlanState.FAULT, Code.VIEW_UNFAMILIAR, Ending.NO_OBSERVATION, 1.0),
    (PlanState.FAULT, Code.ENGINE_FAILED, Ending.MODEL_ERROR, 1.0),
    (PlanState.PLANNING, Code.PLANNER_STUCK, Ending.MODEL_ERROR, 1.0)])
def test_what_the_planner_says_ends_it_at_once_or_when_it_lasts(state, code, ending, after_s):
    """With its own words; what passes before the limit ends nothing."""
    world = World()
    world.run(0.5)
    if after_s:
        world.run(0.6, state=state, reason=Reason(code, 'words of the planner'))
        world.run(0.1, state=PlanState.PLANNING, reason=Reason())
        assert world.reach.result is None
    took_s = world.run(9.0, state=state, reason=Reason(code, 'words of the planner'))
    assert took_s == pytest.approx(after_s, abs=0.21)
    assert world.ending is ending
    assert 'words of the planner' in world.reach.result.text
    assert world.reach.wanted is None


def test_a_refusal_of_an_earlier_goal_is_none_of_this_one():
    """The planner repeats it until it has looked at a frame with the new goal in mind."""
    world = World()
    world.obeys = False
    refusal = Reason(Code.GOAL_REFUSED, 'goal of before')
    world.run(0.15, state=PlanState.FAULT, reason=refusal)
    world.obeys = True
    world.run(1.0, state=PlanState.PLANNING, reason=Reason(), goal_distance=0.5)
    assert world.reach.result is None


def test_plans_that_are_not_followed_for_long_are_a_fault_but_waiting_for_one_is_not():
    """A slow planner may take its time."""
    world = World()
    world.controls(CommandState.IDLE, Code.WAITING_FOR_PLAN, 'waiting for a plan')
    assert world.run(3.0) == pytest.approx(3.0)
    world.controls(CommandState.STOPPED, Code.NO_JOINT_STATE, 'no joint states')
    assert world.run(5.0) == pytest.approx(1.1, abs=0.11)
    assert world.ending is Ending.COMMAND_FAULT
    assert 'no joint states' in world.reach.result.text


# Somebody else decides -----------------------------------------------------------------------

def test_another_goal_takes_its_place_without_a_stop():
    """At once; the goal that is in force now is not touched."""
    world = World()
    world.run(0.5)
    world.reach.displace('goal y took its place')
    assert world.ending is Ending.PREEMPTED
    assert world.reach.wanted == 0


def test_a_goal_that_somebody_else_publishes_is_noticed_in_what_the_planner_says():
    """Once it has taken ours; before that it may not have heard of it yet."""
    world = World()
    world.run(0.5)
    world.obeys = False
    world.run(1.0, goal_id='kitchen')
    assert world.ending is Ending.PREEMPTED and 'kitchen' in world.reach.result.text

    slow = World()
    slow.obeys = False
    slow.run(2.0, goal_id='kitchen')
    slow.obeys = True
    slow.run(1.0, goal_distance=0.5)
    assert slow.reach.result is None

    deaf = World(no_progress_s=60.0)
    deaf.obeys = False
    deaf.run(9.0, goal_id='kitchen')
    assert deaf.ending is Ending.UNKNOWN and 'does not take the goal' in deaf.reach.result.text


def test_a_planner_that_was_started_again_may_take_the_goal_anew():
    """Its session is another one; until the goal has reached it, it has none."""
    world = World()
    world.run(0.5)
    world.obeys = False
    world.controller = replace(world.controller, session=8)
    world.step(session=8, goal_id='', state=PlanState.NO_GOAL)
    world.run(0.5)
    world.obeys = True
    world.run(0.5, state=PlanState.PLANNING, goal_distance=0.5)
    assert world.reach.result is None


def test_a_planner_that_is_not_followed_has_no_say():
    """A forgotten second one reaches nothing and ends nothing."""
    world = World()
    world.run(0.5)
    second = replace(world.plan, session=9, state=PlanState.REACHED, goal_distance=0.0)
    for _ in range(20):
        world.step()
        world.reach.hear_plan(replace(second, frame_stamp_ns=world.now_ns), world.now_ns,
                              world.now_s)
    assert world.reach.result is None


def test_the_end_of_the_node_ends_it_without_a_goal():
    """Nobody will be there to watch."""
    world = World()
    world.run(0.5)
    world.reach.shut_down('the node is ending')
    assert world.ending is Ending.INACTIVE and world.reach.wanted is None


# Cancel --------------------------------------------------------------------------------------

def test_cancel_stops_the_robot_first():
    """It ends when planner and command node have said so, each after the other."""
    world = World()
    world.run(0.5)
    world.obeys = False
    world.reach.cancel(world.now_ns, world.now_s)
    assert world.reach.wanted is None and world.reach.result is None
    world.controller = replace(world.controller, at_rest=True)   # it happens to stand between
    world.run(0.3)
    assert world.reach.result is None
    world.step(state=PlanState.NO_GOAL, goal_id='')
    world.controller = replace(world.controller, state=CommandState.RAMP_DOWN, at_rest=False)
    world.run(0.2)
    assert world.reach.result is None
    world.controls(CommandState.STOPPED, Code.PLAN_WITHDRAWN, 'no goal')
    world.run(0.2)
    assert world.ending is Ending.CANCELED
    assert world.reach.result.text == 'canceled; the robot stands still'


def test_it_stands_when_nothing_else_was_said_for_a_while():
    """What moves needs time to stop; a command in between begins it anew; by the node clock."""
    told = AtRest(10.0, rest_s=0.3, gone_s=3.0)
    quiet = PlanReport(stamp_ns=0, session=7, epoch=0, state=PlanState.NO_GOAL)
    stands = ControllerReport(stamp_ns=0, state=CommandState.STOPPED, session=7)
    moves = replace(stands, state=CommandState.TRACKING, at_rest=False)
    found = []
    for number in range(1, 16):
        now_s = 10.0 + 0.1 * number
        controller = moves if number == 5 else stands
        found.append(told.look(Heard(10.1, quiet), Heard(now_s, controller),
                               round(now_s * 1e9), now_s))
    assert found.index(True) == 8      # the ninth: number 6 is the first of 0.3 s
    assert not any(AtRest(10.0, rest_s=0.3, gone_s=3.0).look(
        Heard(10.1, quiet), Heard(10.2 + k, stands), 5, 10.2 + k) for k in range(5))


def test_a_robot_that_does_not_come_to_rest_is_told():
    """The code says so, and the text what to do."""
    world = World()
    world.run(0.5)
    world.obeys = False
    world.reach.cancel(world.now_ns, world.now_s)
    assert world.run(5.0) == pytest.approx(1.0, abs=0.11)
    assert world.ending is Ending.STILL_MOVING
    assert 'does not stand still after 1 s' in world.reach.result.text


def test_a_cancel_without_a_command_node_claims_nothing():
    """Nobody knows what the robot does."""
    world = World()
    world.speaks = {'planner'}
    world.run(0.3)
    world.reach.cancel(world.now_ns, world.now_s)
    world.run(5.0)
    assert world.ending is Ending.STILL_MOVING
    assert 'nobody knows' in world.reach.result.text


def test_a_time_limit_waits_for_the_robot_to_stand_too():
    """Its code stays; that the robot still moves is in the text."""
    world = World(timeout_s=0.5)
    world.obeys = False
    world.run(5.0, goal_id='door')
    assert world.ending is Ending.TIMEOUT
    assert 'does not stand still after 1 s' in world.reach.result.text


# Clocks --------------------------------------------------------------------------------------

def test_a_node_clock_that_jumps_back_does_not_end_it():
    """A bag that plays in a loop: what was seen is forgotten, the time that passed stays."""
    world = World(timeout_s=5.0)
    world.run(1.0)
    steady_s, world.now_s = world.now_s, 10.0
    plan = replace(world.plan, goal_distance=0.5)
    for number in range(20):
        now_ns = round((10.0 + number * STEP_S) * 1e9)
        world.reach.hear_plan(replace(plan, frame_stamp_ns=now_ns), now_ns,
                              steady_s + number * STEP_S)
        world.reach.hear_controller(world.controller, now_ns, steady_s + number * STEP_S)
    assert world.reach.result is None
    assert world.reach.progress().elapsed_s == pytest.approx(1.95, abs=0.06)
    assert world.reach.progress().distance == 0.5
