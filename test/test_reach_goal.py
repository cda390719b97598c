"""Going to goals: what planner, command node and silence say becomes progress and an end."""

from dataclasses import replace
import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.action import ReachGoal  # noqa: E402
from lewm_ros.goals.at_rest import AtRest, Heard  # noqa: E402
from lewm_ros.goals.leg import Leg  # noqa: E402
from lewm_ros.goals.reach import Reach, ReachLimits  # noqa: E402
from lewm_ros.goals.trend import Trend  # noqa: E402
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
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import (  # noqa: E402
    CommandState,
    ControllerReport,
    PlanReport,
    PlanState,
)
from ros_helpers import over_the_wire  # noqa: E402

STEP_S = 0.05
DOOR = Target('door')
LIMITS = ReachLimits(no_progress_s=2.0, silence_s=1.5, trouble_s=1.0, stop_s=1.0, rest_s=0.0,
                     find_s=0.5)
DISABLED = CommandState.DISABLED


class World:
    """A planner and a command node that speak every 50 ms, until told otherwise."""

    def __init__(self, *targets: Target, **order) -> None:
        self.now_s = 100.0
        self.plan = PlanReport(stamp_ns=0, session=7, epoch=0, state=PlanState.PLANNING,
                               goal_distance=1.0, goal_tolerance=0.1, plan_ms=20.0,
                               total_ms=30.0, surprise=1.5)
        self.controller = ControllerReport(stamp_ns=0, state=CommandState.TRACKING,
                                           at_rest=False, session=7)
        self.speaks = {'planner', 'command'}
        self.obeys = True       # the planner does what the goal topic says
        self.reach = Reach(targets or (DOOR,), ReachOrder(**order), LIMITS, now_ns=self.now_ns,
                           steady_s=self.now_s)
        self.targets = targets or (DOOR,)

    @property
    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    @property
    def ending(self) -> Ending | None:
        return None if self.reach.result is None else self.reach.result.ending

    def step(self, **plan) -> None:
        """Let one frame pass; fields of the planner's report may change with it."""
        self.now_s += STEP_S
        self.plan = replace(self.plan, frame_stamp_ns=self.now_ns, **plan)
        if self.obeys and self.reach.result is None:
            if self.reach.wanted is None:
                self.plan = replace(self.plan, state=PlanState.NO_GOAL, goal_id='')
                self.controller = replace(self.controller, state=CommandState.STOPPED,
                                          at_rest=True) if (
                    self.controller.state in (CommandState.TRACKING, CommandState.HOLD)
                ) else self.controller
            else:
                self.plan = replace(self.plan, goal_id=self.targets[self.reach.wanted].goal_id)
        now = (self.now_ns, self.now_s)
        if 'planner' in self.speaks:
            self.reach.hear_plan(self.plan, *now)
        if 'command' in self.speaks:
            self.reach.hear_controller(self.controller, *now)
        self.reach.tick(*now)

    def run(self, seconds: float, **plan) -> float:
        """Let time pass until it ends; return how long that took."""
        begun_s = self.now_s
        while self.now_s - begun_s < seconds - 1e-6 and self.reach.result is None:
            self.step(**plan)
        return self.now_s - begun_s

    def controls(self, state: CommandState, code: Code = Code.OK, text: str = '', **values):
        self.controller = replace(self.controller, state=state, reason=Reason(code, text),
                                  at_rest=True, **values)


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
    assert 'just ended' in world.reach.add(Target('c'))


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
