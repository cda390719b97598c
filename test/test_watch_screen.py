"""What `lewm watch` shows: known reports in, known rows out. No ROS."""

from dataclasses import replace
import math

from lewm_model.errors import ConfigError
from lewm_ros.watch.screen import expected, judge, Level, lines, printable
from lewm_ros.watch.snapshot import captured_s, Driver, Health, Heard, Snapshot
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import (
    CommandState,
    ControllerReport,
    GoalKind,
    GoalRequest,
    GoalSource,
    GuardPhase,
    GuardReport,
    PlanReport,
    PlanState,
)
from lewm_sim.cli import build_parser
from lewm_sim.commands import watch as command
import pytest

NOW_S = 100.0
NODES = frozenset({'command_node', 'guard_node', 'planner_node', 'goal_node', 'sim_node'})
PLAN = PlanReport(
    stamp_ns=5, session=7, epoch=0, state=PlanState.PLANNING, goal_id='mug', goal_distance=1.25,
    goal_tolerance=0.5, best_cost=0.75, start_cost=3.0, encode_ms=6.0, plan_ms=40.0, total_ms=81.0,
    obs_age_s=0.03, surprise=1.1, surprise_limit=4.0, backend='torch-tuned:fp32')
CONTROLLER = ControllerReport(
    stamp_ns=5, state=CommandState.TRACKING, at_rest=False, session=7, steps_left=12,
    chunk_age_s=0.1, rate_hz=20.0, commands_clipped=3, commands_slewed=5)


def well(**changes) -> Snapshot:
    """Return a system that is driving, with nothing to complain about."""
    values = {
        'now_s': NOW_S, 'began_s': 90.0, 'nodes': NODES,
        'drivers': (Driver('planner_node', Heard(PLAN, NOW_S - 0.02), NOW_S - 0.05),),
        'controller': Heard(CONTROLLER, NOW_S - 0.01),
        'guard': Heard(GuardReport(5, GuardPhase.WATCHING), NOW_S - 0.3),
        'goal': GoalRequest(GoalKind.PICTURE, 5, 'mug', GoalSource.BANK),
        'health': {name: Heard(Health(0, 'running'), NOW_S - 0.5) for name in NODES},
        'lifecycle': {'command_node': 'active', 'planner_node': 'active'}}
    return Snapshot(**{**values, **changes})


def planning(**changes) -> tuple[Driver, ...]:
    return (Driver('planner_node', Heard(replace(PLAN, **changes), NOW_S - 0.02), NOW_S - 0.05),)


def commanding(**changes) -> Heard[ControllerReport]:
    return Heard(replace(CONTROLLER, **changes), NOW_S - 0.01)


def row(seen: Snapshot, label: str):
    return next(one for one in judge(seen).rows if one.label == label)


def test_a_system_that_drives_is_on_one_screen():
    """Every line, word by word; nothing is even a warning."""
    screen = judge(well())
    assert [line for line, _ in lines(screen, 78)] == [
        'robot    enabled, TRACKING, in motion',
        'driver   planner_node; 12 steps of its plan are left, made of a frame 0.10 s',
        '         ago',
        'planner  PLANNING',
        "goal     'mug', a picture, by BANK",
        'distance 1.25, reached below 0.5; the plan gets from 3 to 0.75',
        'latency  81 ms from camera to plan (encode 6, plan 40); torch-tuned:fp32',
        'surprise 1.10 of 4.00, 1 is ordinary',
        'camera   newest frame 0.05 s old',
        'limits   3 commands cut to their range, 5 to their rate; 0 control steps',
        '         missed; speed 100%; 20.0 commands/s',
        'guard    WATCHING',
        'nodes    5 are well']
    assert screen.level is Level.OK and screen.healthy


@pytest.mark.parametrize(('changes', 'label', 'text', 'healthy'), [
    # the robot
    ({'controller': None, 'nodes': NODES - {'command_node'}}, 'robot',
     'nothing is heard of command_node, it is not there; the robot is not commanded', False),
    ({'controller': None, 'lifecycle': {'command_node': 'unconfigured'}}, 'robot',
     'nothing is heard of command_node, it is unconfigured; the robot is not commanded', False),
    ({'controller': Heard(CONTROLLER, NOW_S - 2.5)}, 'robot',
     'command_node is silent for 2.5 s; it was TRACKING', False),
    ({'controller': commanding(state=CommandState.DISABLED, at_rest=True, session=0, reason=Reason(
        Code.NOT_ENABLED, 'call ~/enable'))}, 'robot', 'not enabled, DISABLED: call ~/enable',
     True),
    ({'controller': commanding(state=CommandState.DISABLED, at_rest=True, e_stop=True,
                               reason=Reason(Code.E_STOP, 'e-stop is pressed'))},
     'robot', 'not enabled, DISABLED, E-STOP: e-stop is pressed', False),
    ({'controller': commanding(state=CommandState.STOPPED, at_rest=True, reason=Reason(
        Code.PLANNER_SILENT, 'no plan_status for 0.3 s'))}, 'robot',
     'enabled, STOPPED: no plan_status for 0.3 s', True),
    ({'controller': commanding(state=CommandState.FAULT, reason=Reason(
        Code.CHUNK_MALFORMED, 'actions must be finite'))}, 'robot',
     'enabled, FAULT, in motion: actions must be finite', False),
    # who drives
    ({'controller': commanding(session=0)}, 'driver', 'nobody is followed; planner_node is there',
     True),
    ({'drivers': (), 'controller': commanding(session=0xab)}, 'driver',
     'session ab; 12 steps of its plan are left, made of a frame 0.10 s ago', False),
    ({'drivers': (*planning(), Driver('teleop_node', Heard(replace(PLAN, session=9), NOW_S),
                                      NOW_S))}, 'driver',
     'planner_node and teleop_node speak at once; stop all but one', False),
    # the planner
    ({'drivers': (), 'nodes': NODES - {'planner_node'}}, 'planner',
     'nothing is heard of planner_node, it is not there', False),
    ({'drivers': (), 'lifecycle': {'planner_node': 'inactive'}}, 'planner',
     'nothing is heard of planner_node, it is inactive', False),
    ({'drivers': (Driver('planner_node', Heard(PLAN, NOW_S - 4), NOW_S - 4.1),)}, 'planner',
     'planner_node is silent for 4.0 s', False),
    ({'drivers': planning(state=PlanState.STALLED, reason=Reason(
        Code.NO_PROGRESS, 'no progress for 5 s'))}, 'planner', 'STALLED: no progress for 5 s',
     True),
    ({'drivers': planning(state=PlanState.NO_OBS, reason=Reason(
        Code.NO_FRAME, 'no camera frames'))}, 'planner', 'NO_OBS: no camera frames', False),
    ({'drivers': planning(speed_scale=0.3, reason=Reason(Code.SURPRISED, 'surprised'))},
     'planner', 'PLANNING: surprised; it asks for 30% speed', True),
    # the goal
    ({'goal': None, 'drivers': planning(goal_id='')}, 'goal',
     'none; ask for one with ~/set_goal', True),
    ({'drivers': planning(goal_id='')}, 'goal',
     "'mug', a picture, by BANK; the planner has not taken it", True),
    ({'goal': GoalRequest(GoalKind.PROBE, 5, 'mug', GoalSource.POSE, names=('x', 'y'))}, 'goal',
     "'mug', quantities of x, y, by POSE", True),
    ({'drivers': planning(goal_distance=math.nan)}, 'distance', 'not known', True),
    ({'goal': GoalRequest(GoalKind.PROBE, 5, 'mug', names=('x', 'angle')),
      'drivers': planning(goal_errors=(0.01234567, 0.5))}, 'errors', 'x 0.01235, angle 0.5',
     True),
    ({'goal': None, 'drivers': planning(goal_errors=(0.5,))}, 'errors', 'quantity 0 0.5', True),
    # numbers
    ({'drivers': planning(deadline_misses=2)}, 'latency',
     '81 ms from camera to plan (encode 6, plan 40), 2 plans too late; torch-tuned:fp32', True),
    ({'drivers': planning(surprise=9.0)}, 'surprise',
     '9.00 of 4.00, 1 is ordinary; above the limit, no alarm', True),
    ({'drivers': planning(surprise_limit=math.nan)}, 'surprise',
     '1.10, 1 is ordinary; no limit was calibrated', True),
    ({'drivers': planning(surprise=math.nan)}, 'surprise', 'not known', True),
    ({'drivers': (Driver('planner_node', Heard(PLAN, NOW_S - 0.02), NOW_S - 3.0),)}, 'camera',
     'newest frame 3.00 s old', False),
    ({'drivers': (Driver('planner_node', Heard(PLAN, NOW_S), None),)}, 'camera',
     'no frame is known', True),
    # the others
    ({'guard': None, 'nodes': NODES - {'guard_node'}}, 'guard',
     'nothing is heard of guard_node, it is not there; nobody stops the robot if command_node '
     'dies', False),
    ({'guard': Heard(GuardReport(5, GuardPhase.SPOKEN, 1, 'command_node is silent'), NOW_S)},
     'guard', 'SPOKEN, it stopped the robot 1 times: command_node is silent', False),
    ({'episode': 'episode_7'}, 'records', 'episode episode_7', True),
    ({'refused': 'message on plan_status: session 0'}, 'messages',
     'one cannot be read: message on plan_status: session 0', True)])
def test_what_is_wrong_is_said_and_judged(changes, label, text, healthy):
    """Each fault has its sentence; only what keeps a system from working is unhealthy."""
    seen = well(**changes)
    assert row(seen, label).text == text
    assert judge(seen).healthy is healthy


@pytest.mark.parametrize(('surprise', 'limit', 'text'), [
    (9.0, 4.0, '9.00 of 4.00, 1 is ordinary, ALARM'),
    (0.5, 4.0, '0.50 of 4.00, 1 is ordinary, ALARM'),      # not calm for long enough
    (math.nan, 4.0, 'not known, ALARM')])                  # it stands still
def test_only_the_alarm_of_the_guard_is_coloured(surprise, limit, text):
    """As in film and curve: how surprising one frame is neither raises the alarm nor ends it."""
    plain = well(drivers=planning(surprise=surprise, surprise_limit=limit))
    assert 'ALARM' not in row(plain, 'surprise').text
    assert row(plain, 'surprise').level is Level.OK
    assert judge(plain).level is Level.OK
    alarm = well(drivers=planning(surprise=surprise, surprise_limit=limit, speed_scale=0.3,
                                  reason=Reason(Code.SURPRISED, 'surprised')))
    assert row(alarm, 'surprise').text == text
    assert row(alarm, 'surprise').level is Level.WARN
    assert judge(alarm).healthy


def test_nodes_that_are_missing_silent_or_complain_are_named():
    """And those that a system need not have count once they are there, or were heard."""
    health = dict(well().health)
    health['recorder_node'] = Heard(Health(2, 'disk full'), NOW_S)
    health['sim_node'] = Heard(Health(0, 'running'), NOW_S - 9)
    health['planner_node'] = Heard(Health(1, 'slow'), NOW_S)
    del health['goal_node']
    seen = well(health=health, nodes=NODES - {'goal_node'} | {'recorder_node'})
    assert row(seen, 'nodes').text == (
        '2 are well; goal_node is not there; planner_node: slow; recorder_node: disk full; '
        'sim_node is silent for 9 s')
    assert row(seen, 'nodes').level is Level.ERROR


@pytest.mark.parametrize('late', ['sim_node', 'recorder_node', 'imagination_node', 'guard_node'])
def test_a_system_is_healthy_only_when_all_that_is_there_was_heard(late):
    """So one screen, printed as soon as it is healthy, does not leave out who speaks last."""
    nodes = NODES | {'recorder_node', 'imagination_node'}
    health = {name: Heard(Health(0, 'running'), NOW_S) for name in nodes - {late}}
    seen = well(began_s=NOW_S - 1, nodes=nodes, health=health)
    assert row(seen, 'nodes').text == f'6 are well; {late} was not heard yet'
    assert not judge(seen).healthy
    health[late] = Heard(Health(0, 'running'), NOW_S)
    assert judge(well(began_s=NOW_S - 1, nodes=nodes, health=health)).healthy


def test_a_planner_is_not_missed_where_somebody_else_drives():
    """With teleop_node in the graph, it is what a system needs."""
    assert expected(NODES) == ('command_node', 'guard_node', 'planner_node', 'goal_node',
                               'sim_node')
    nodes = frozenset({'command_node', 'guard_node', 'teleop_node'})
    assert expected(nodes) == ('command_node', 'guard_node', 'teleop_node')
    health = {name: Heard(Health(0, 'running'), NOW_S) for name in nodes}
    report = PlanReport(stamp_ns=5, session=7, epoch=0, state=PlanState.IDLE)
    seen = well(nodes=nodes, health=health, lifecycle={}, drivers=(
        Driver('teleop_node', Heard(report, NOW_S), NOW_S),))
    assert judge(seen).healthy, judge(seen)


def test_with_nothing_heard_every_part_says_so():
    """A screen of an empty network names what is missing, and is unhealthy."""
    seen = Snapshot(now_s=NOW_S, began_s=NOW_S - 5)
    screen = judge(seen)
    assert not screen.healthy
    text = ' '.join(one.text for one in screen.rows)
    for name in ('command_node', 'guard_node', 'planner_node', 'goal_node'):
        assert f'{name} is not there' in text


@pytest.mark.parametrize('width', [20, 30, 40, 60, 80, 200])
@pytest.mark.parametrize('seen', [well(), Snapshot(now_s=1.0, began_s=0.0)])
def test_no_line_is_wider_than_the_terminal(width, seen):
    """And no word is lost, whatever the width."""
    shown = list(lines(judge(seen), width))
    assert max(len(line) for line, _ in shown) <= width
    words = {word for one in judge(seen).rows for word in one.text.split()
             if len(word) < width / 2}
    assert words <= set(' '.join(line for line, _ in shown).split())


def test_a_usual_terminal_holds_it():
    """80 columns and 24 lines, healthy or with nothing there."""
    for seen in (well(), Snapshot(now_s=9.0, began_s=0.0)):
        assert len(list(lines(judge(seen), 80))) <= 23


def test_texts_of_peers_cannot_command_the_terminal():
    """Escape sequences and line ends of a reason are blanks, and it ends somewhere."""
    evil = 'all is well\x1b[2J\x1b]0;title\x07\nrobot    enabled' + 'x' * 10_000
    seen = well(controller=commanding(reason=Reason(Code.NOT_ENABLED, evil)))
    text = row(seen, 'robot').text
    assert '\x1b' not in text and '\n' not in text and len(text) < 450
    assert printable('short') == 'short'


def test_a_frame_ages_from_its_first_report():
    """Reports without a new frame do not make the camera look alive."""
    first = Driver('planner_node', Heard(PLAN, 10.0), captured_s(PLAN, 10.0))
    assert first.frame_s == pytest.approx(9.97)
    again = first.heard(replace(PLAN, obs_age_s=0.0), 12.0, '')
    assert again.frame_s == first.frame_s and again.node == 'planner_node'
    newer = again.heard(replace(PLAN, stamp_ns=6), 13.0, 'planner_node')
    assert newer.frame_s == pytest.approx(12.97)
    assert captured_s(replace(PLAN, stamp_ns=0), 1.0) is None


def test_the_followed_planner_is_shown_not_the_loudest():
    """Without a followed one, who spoke last."""
    other = Driver('explore_node', Heard(replace(PLAN, session=9), NOW_S), NOW_S)
    assert well(drivers=(*planning(), other)).followed.node == 'planner_node'
    assert well(drivers=(*planning(), other), controller=None).followed.node == 'explore_node'
    assert well(drivers=()).followed is None


def test_the_command_names_what_it_needs(monkeypatch):
    """Without ROS it is an error with the way out, and nothing is started."""
    monkeypatch.setattr(command, '_is_there', lambda name: name != 'rclpy')
    args = build_parser('watch').parse_args(['watch', '--once'])
    with pytest.raises(ConfigError, match='source install/setup.bash'):
        command.run(args)


def test_the_command_passes_its_options_on(monkeypatch):
    """The program gets the words after `watch`, in this interpreter."""
    calls = []
    monkeypatch.setattr(command, '_is_there', lambda name: True)
    monkeypatch.setattr(command.os, 'execv', lambda path, words: calls.append(words))
    args = build_parser('watch').parse_args(['watch', '--once', '--namespace', 'left'])
    args.command_line = 'lewm watch --once --namespace left'
    command.run(args)
    assert calls[0][1:] == ['-m', 'lewm_ros.watch.program', '--once', '--namespace', 'left']
