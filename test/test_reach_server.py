"""The action server of ReachGoal, in a goal node of its own process, over real DDS."""

import math
import signal

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from going_rig import ABORTED, CANCELED, Going, spec, SUCCEEDED  # noqa: E402
from lewm_ros.msg import GoalSpec  # noqa: E402
from lewm_ros.srv import CaptureGoal, PlanOnce, SetGoal  # noqa: E402
from lewm_ros.wire.reach_msgs import MAX_GOALS  # noqa: E402
from lewm_ros.wire.reaching import Ending  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.refusals import refuse  # noqa: E402
from lewm_ros.wire.reports import CommandState, ControllerReport  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402


def call(graph, kind, name, **fields):
    return graph.call(kind, f'/goal_node/{name}', kind.Request(**fields))


def test_way_points_are_reached_one_after_the_other_and_can_be_added(graph, tmp_path):
    """Feedback counts them down, the topic goes from goal to goal, the last one stays."""
    going = Going(graph, tmp_path)
    alone = call(graph, SetGoal, 'add_goal', spec=spec(9))
    assert code_name(alone) == 'NOTHING_UNDER_WAY'
    assert 'no ReachGoal is under way' in alone.message
    sent = going.send(spec(10), spec(20))
    going.wait_in_force('grey 10')
    graph.wait_for(lambda: sent.feedback and sent.feedback[-1].moving, 'feedback')
    assert (sent.feedback[-1].goal_id, sent.feedback[-1].goals_left) == ('grey 10', 2)
    assert sent.feedback[-1].distance == 1.0
    answer = call(graph, SetGoal, 'add_goal', spec=spec(30))
    assert answer.success and answer.goal_id == 'grey 30', answer.message
    wrong = call(graph, SetGoal, 'add_goal', spec=GoalSpec(source=9))
    assert code_name(wrong) == 'BAD_ARGUMENT'
    graph.wait_for(lambda: sent.feedback[-1].goals_left == 3, 'the added goal')
    going.distance = 0.05
    status, result = sent.end()
    assert (status, result.ending) == (SUCCEEDED, Ending.NONE), result
    assert (result.goals_reached, result.goal_id) == (3, 'grey 30')
    assert result.final_distance == pytest.approx(0.05)
    assert [message.goal_id for _, message in going.goals] == ['grey 10', 'grey 20', 'grey 30']
    graph.spin(0.3)
    assert going.in_force() == 'grey 30'


def test_a_list_that_is_full_takes_no_other_goal(graph, tmp_path):
    """It goes on as it is."""
    going = Going(graph, tmp_path)
    sent = going.send(*[spec(10)] * MAX_GOALS)
    going.wait_in_force('grey 10')
    assert code_name(call(graph, SetGoal, 'add_goal', spec=spec(20))) == 'BUSY'
    assert not sent.ended


def test_what_cannot_be_is_an_aborted_result_that_says_why_and_disturbs_nobody(graph, tmp_path):
    """Wrong goals and numbers; the order that is carried out goes on, no goal is published."""
    going = Going(graph, tmp_path)
    first = going.send(spec(10))
    going.wait_in_force('grey 10')
    for goals, fields, words in (
            ([GoalSpec(source=9)], {}, 'goal 1 of 1: source must be'),
            ([spec(1), GoalSpec(uri='../x.png')], {}, 'goal 2 of 2: goals from files are off'),
            ([], {}, 'goals must be 1 to 100'),
            ([spec(1)], {'timeout_s': math.nan}, 'timeout_s must be in'),
            ([spec(1)], {'dwell_s': -1.0}, 'dwell_s must be in'),
            ([spec(1, tolerance=-2.0)], {}, 'tolerance must be in')):
        status, result = going.send(*goals, **fields).end()
        assert (status, result.ending) == (ABORTED, Ending.GOAL_REFUSED)
        assert words in result.text
    assert not first.ended and len(going.goals) == 1
    going.distance = 0.0
    assert first.end()[1]
    assert going.process.poll() is None


def test_cancel_takes_the_goal_away_and_ends_when_the_robot_stands(graph, tmp_path):
    """While the command node still ramps down the client waits; then it is told."""
    going = Going(graph, tmp_path, stop_s=3.0)
    sent = going.send(spec(10))
    going.wait_in_force('grey 10')
    graph.spin(0.5)
    going.controller = ControllerReport(stamp_ns=0, state=CommandState.RAMP_DOWN, at_rest=False,
                                        session=7)
    sent.cancel()
    going.wait_in_force('')
    graph.spin(0.5)
    assert not sent.ended
    going.controller = None
    status, result = sent.end()
    assert (status, result.ending) == (CANCELED, Ending.CANCELED)
    assert 'stands still' in result.text

    again = going.send(spec(20))
    going.wait_in_force('grey 20')
    graph.spin(0.5)
    going.controller = ControllerReport(stamp_ns=0, state=CommandState.TRACKING, at_rest=False,
                                        session=7)
    again.cancel()
    status, result = again.end()   # it never stops
    assert (status, result.ending) == (ABORTED, Ending.STILL_MOVING)
    assert 'e-stop' in result.text


def test_a_planner_that_falls_silent_is_an_abort_and_leaves_no_goal(graph, tmp_path):
    """Also one that was never there; a command node that is disabled says so itself."""
    going = Going(graph, tmp_path, silence_s=1.5)
    sent = going.send(spec(10))
    going.wait_in_force('grey 10')
    graph.spin(0.5)
    going.speaks = {'command'}
    status, result = sent.end()
    assert (status, result.ending) == (ABORTED, Ending.PLANNER_GONE)
    going.wait_in_force('')    # topics have no order with results
    status, result = going.send(spec(20)).end()
    assert (status, result.ending) == (ABORTED, Ending.PLANNER_GONE)
    going.speaks = {'planner', 'command'}
    going.controller = ControllerReport(
        stamp_ns=0, state=CommandState.DISABLED, reason=Reason(Code.NOT_ENABLED, 'call ~/enable'))
    status, result = going.send(spec(30)).end()
    assert (status, result.ending, result.text) == (ABORTED, Ending.NOT_ENABLED, 'call ~/enable')
    going.controller = None
    going.wait_in_force('')
    assert going.process.poll() is None


def test_whoever_chooses_another_goal_takes_over_without_a_stop(graph, tmp_path):
    """A newer ReachGoal, ~/set_goal and ~/capture_goal; ~/clear_goal stops. Nothing between."""
    going = Going(graph, tmp_path)
    first = going.send(spec(10))
    going.wait_in_force('grey 10')
    second = going.send(spec(20))
    status, result = first.end()
    assert (status, result.ending) == (ABORTED, Ending.PREEMPTED)
    assert "another ReachGoal, to 'grey 20'" in result.text
    going.wait_in_force('grey 20')
    assert call(graph, SetGoal, 'set_goal', spec=spec(30)).success
    status, result = second.end()
    assert result.ending is Ending.PREEMPTED and "'grey 30' took its place" in result.text
    going.wait_in_force('grey 30')
    assert [message.goal_id for _, message in going.goals] == ['grey 10', 'grey 20', 'grey 30']
    third = going.send(spec(40))
    going.wait_in_force('grey 40')
    blind = call(graph, CaptureGoal, 'capture_goal', timeout_s=0.2)
    assert code_name(blind) == 'NO_FRAME'
    assert not third.ended
    assert call(graph, Trigger, 'clear_goal').success
    status, result = third.end()
    assert result.ending is Ending.PREEMPTED and 'cleared' in result.text
    going.wait_in_force('')


def test_a_dry_run_asks_the_planner_and_moves_nothing(graph, tmp_path):
    """Without its service that is said; with it the costs come back; a refusal by its code."""
    going = Going(graph, tmp_path)
    status, result = going.send(spec(10), dry_run=True).end()
    assert (status, result.ending) == (ABORTED, Ending.PLANNER_GONE)
    assert 'nobody offers planner_node/plan_once' in result.text
    asked, refusals = [], []

    def plan_once(request, response):
        asked.append(request)
        if request.goal.goal_id == 'grey 99':
            return refuse(response, Reason(refusals[-1], 'words of the planner'))
        response.success, response.start_cost, response.final_cost = True, 4.0, 1.5
        return response

    graph.node.create_service(PlanOnce, '/planner_node/plan_once', plan_once)

    def planned():    # once the goal node knows who plans
        status, result = going.send(spec(10), spec(20), dry_run=True).end()
        return result if status == SUCCEEDED else None

    result = graph.wait_for(planned, 'a plan')
    assert result.ending is Ending.NONE, result
    assert (result.start_cost, result.final_cost, result.goals_reached) == (4.0, 1.5, 0)
    assert (asked[0].goal.goal_id, asked[0].image.width) == ('grey 10', 0)
    for code, ending in ((Code.GOAL_REFUSED, Ending.GOAL_REFUSED), (Code.BUSY, Ending.UNKNOWN),
                         (Code.FRAME_STALE, Ending.NO_OBSERVATION),
                         (Code.INACTIVE, Ending.MODEL_ERROR)):
        refusals.append(code)
        status, result = going.send(spec(99), dry_run=True).end()
        assert (status, result.ending) == (ABORTED, ending)
        assert result.text == 'the planner did not plan: words of the planner'
    assert not going.goals


def test_the_end_of_the_node_is_told_to_whoever_waits(graph, tmp_path):
    """The goal is taken away, the client gets INACTIVE, the process ends well."""
    going = Going(graph, tmp_path)
    sent = going.send(spec(10))
    going.wait_in_force('grey 10')
    graph.spin(0.3)
    going.process.send_signal(signal.SIGINT)
    status, result = sent.end()
    assert (status, result.ending) == (ABORTED, Ending.INACTIVE)
    going.wait_in_force('')
    assert graph.wait_for_exit(going.process) == 0
    assert 'Traceback' not in going.log.read_text()
