"""The Commander: what people hand it becomes goal specs, and the system behind it is steered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import math
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

import cv2  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from going_rig import Going, spec  # noqa: E402
from import_rules import loaded_by  # noqa: E402
from lewm_model.errors import ConfigError, ImageError, LewmError  # noqa: E402
from lewm_ros import Code, Commander, CommanderError  # noqa: E402
from lewm_ros.commander import specs  # noqa: E402
from lewm_ros.msg import GoalSpec  # noqa: E402
from lewm_ros.srv import StartEpisode, StopEpisode  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goal_specs import msg_to_wish  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reaching import Ending  # noqa: E402
from lewm_ros.wire.reports import GoalSource  # noqa: E402
from lewm_ros.wire.status import CALIBRATION, diagnostics_to_msg  # noqa: E402
import rclpy  # noqa: E402
from ros_helpers import free_domain  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from timed import in_time, timed  # noqa: E402

RED = np.zeros((6, 7, 3), np.uint8) + np.array([250, 10, 20], np.uint8)


def wish(*goal, **way):
    """Return what the goal node reads of one goal that is given so."""
    one, = specs.specs_of(*goal or (None,), **way)
    return msg_to_wish(one)


# Specs ---------------------------------------------------------------------------------------

def test_everything_that_can_be_a_goal_becomes_one(tmp_path):
    """Pictures, files of this machine, quantities, poses and specs, by themselves or listed."""
    cv2.imwrite(str(tmp_path / 'red.png'), RED[:, :, ::-1])
    for goal in (RED, tmp_path / 'red.png', str(tmp_path / 'red.png')):
        np.testing.assert_array_equal(wish(goal).rgb, RED)
    assert wish({'block x': 0.5}).names == ('block x',)
    assert wish(numbers={'x': 1, 'y': -2.5}).values == (1.0, -2.5)
    assert (wish(file='a.png').source, wish(file='a.png').uri) == (GoalSource.FILE, 'a.png')
    assert (wish(entry='07').source, wish(entry='07').uri) == (GoalSource.BANK, '07')
    assert wish(capture=True).source is GoalSource.CAPTURE
    assert wish(pixel=(0.25, 1)).point == (0.25, 1.0)
    placed = wish(pose=(1, -2, np.pi / 2), frame='map')
    assert placed.frame_id == 'map' and placed.position.tolist() == [1, -2, 0]
    np.testing.assert_allclose(placed.orientation, [0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    assert wish(pose=(1, -2)).orientation is None
    np.testing.assert_allclose(wish(pose=(1, -2, 0)).orientation, [0, 0, 0, 1])
    stamped = PoseStamped()
    stamped.pose.orientation.w = 1.0
    assert wish(stamped).source is GoalSource.POSE
    assert [one.source for one in specs.specs_of([RED, {'x': 1.0}, GoalSpec(uri='a')])] == [
        GoalSpec.MESSAGE, GoalSpec.QUANTITIES, GoalSpec.FILE]


@pytest.mark.parametrize(('goal', 'way', 'words'), [
    (None, {}, 'reach takes one of a goal, file, .*; got none'),
    (RED, {'entry': 'x'}, 'got a goal and entry'),
    (3.5, {}, 'a goal is a picture .*; got float'),
    (RED.astype(float), {}, 'an RGB picture is uint8'),
    (None, {'pose': (1,)}, r'pose is x, y \[m\] and perhaps yaw \[rad\]; got \(1,\)'),
    (None, {'pixel': 'ab'}, "pixel is u, v in .*; got 'ab'"),
    ('nowhere.png', {}, "no picture 'nowhere.png' on this machine; .*file='nowhere.png'")])
def test_what_cannot_be_a_goal_is_refused_with_what_can(goal, way, words):
    """Before anything is sent."""
    with pytest.raises(LewmError, match=words):
        specs.specs_of(goal, **way)


def test_what_counts_is_said_by_name_or_in_order():
    """Of a picture only these quantities; of numbers a tolerance each."""
    def count(goal, **options):
        defaults = {'only': (), 'weights': (), 'tolerances': (), 'tolerance': 0.0, 'task': ''}
        one, = specs.count(specs.specs_of(goal), **{**defaults, **options})
        return msg_to_wish(one)

    some = count(RED, only='wrist', tolerances=[0.1], task='t', goal_id='g')
    assert (some.names, some.tolerances, some.task, some.goal_id) == (('wrist',), (0.1,), 't', 'g')
    both = count({'x': 1.0, 'y': 2.0}, tolerances={'y': 0.2, 'x': 0.1}, weights={'x': 1, 'y': 3})
    assert (both.tolerances, both.weights) == ((0.1, 0.2), (1.0, 3.0))
    for options, words in (({'tolerances': {'x': 0.1}}, "what counts is 'x', 'y'"),
                           ({'weights': [1.0]}, 'weights must have 2'),
                           ({'tolerance': -1.0}, 'tolerance must be in'),
                           ({'only': ['x']}, 'values must have 1')):
        with pytest.raises(LewmError, match=words):
            count({'x': 1.0, 'y': 2.0}, **options)
    with pytest.raises(ConfigError, match='cannot be that of 2 goals'):
        specs.count(specs.specs_of([RED, RED]), only=(), weights=(), tolerances=(), tolerance=0,
                    task='', goal_id='g')
    with pytest.raises(ImageError, match='uint8'):
        specs.spec_of(RED[:, :, 0])


def test_a_slip_in_an_option_is_no_quantity():
    """The option that was meant is named."""
    for wrong, words in (({'timeout': 5}, 'did you mean timeout_s'),
                         ({'dryrun': True}, 'did you mean dry_run'),
                         ({'dwell': 1.0}, 'did you mean dwell_s'),
                         ({'shoulder': 'left'}, "quantity 'shoulder' must be a number")):
        with pytest.raises(ConfigError, match=words):
            specs.refuse_options(wrong, ['timeout_s', 'dry_run', 'only', 'dwell_s'])
    specs.refuse_options({'shoulder': 0.5, 'height': np.float32(1)}, ['weights', 'dry_run'])


def test_the_commander_is_there_on_demand_and_light():
    """`lewm_ros` alone brings no rclpy, the Commander no torch; other names are refused."""
    heavy = {'torch', 'mujoco', 'rclpy', 'h5py', 'matplotlib'}
    assert loaded_by('import lewm_ros', heavy) == set()
    assert loaded_by('from lewm_ros import Commander', heavy) == {'rclpy'}
    with pytest.raises(AssertionError, match='it has .*Commander'):
        loaded_by('import lewm_ros; lewm_ros.Comander', set())


# A system ------------------------------------------------------------------------------------

@contextmanager
def spun(graph) -> Iterator[None]:
    """Spin the graph in a thread; the test must not spin it meanwhile."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            graph.executor.spin_once(timeout_sec=0.02)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def until(condition, what: str, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f'waited in vain for {what}'
        time.sleep(0.02)


def test_going_somewhere_and_back(graph, tmp_path):
    """Feedback while it moves, a result that is true, an addition, a newer goal, a cancel."""
    going = Going(graph, tmp_path)
    with spun(graph), Commander(domain_id=graph.domain) as robot:
        assert robot.done() and robot.feedback() is None
        with pytest.raises(CommanderError, match='call reach first'):
            robot.result()
        robot.reach(spec(10), timeout_s=300)
        until(lambda: robot.feedback().moving, 'feedback')
        assert robot.feedback().goal_id == 'grey 10' and not robot.done()
        assert robot.add(spec(20)) == 'grey 20'
        with pytest.raises(CommanderError, match='still on its way after 0.2 s'):
            robot.result(timeout_s=0.2)
        going.distance = 0.05
        assert robot.result(timeout_s=60), robot.result()
        assert robot.result().goals_reached == 2 and robot.done()
        assert robot.cancel() is not None    # it is over: the result is told again
        with pytest.raises(CommanderError, match='no ReachGoal is under way') as refusal:
            robot.add(spec(30))
        assert refusal.value.code is Code.NOTHING_UNDER_WAY

        going.distance = 1.0
        robot.reach([spec(40), RED])
        robot.reach({'wrist': 0.5}, dwell_s=0.5)     # takes over
        until(lambda: robot.feedback().moving, 'feedback')
        assert robot.feedback().goal_id not in ('', 'grey 40')
        result = robot.cancel()
        assert result.ending is Ending.CANCELED and not result
        until(lambda: going.in_force() == '', 'no goal')    # topics have no order with results
        robot.reach(file='nothing.png')
        assert robot.result(60).ending is Ending.GOAL_REFUSED
        robot.reach(shoulder=0.5, dry_run=True)
        assert robot.result(60).ending is Ending.PLANNER_GONE


def test_leaving_the_block_on_the_way_stops_the_robot(graph, tmp_path):
    """Also by an error in the block."""
    going = Going(graph, tmp_path)
    with spun(graph):
        with (pytest.raises(KeyError), Commander(domain_id=graph.domain) as robot):
            robot.reach(spec(10))
            until(lambda: going.in_force() == 'grey 10', 'the goal')
            raise KeyError
        until(lambda: going.in_force() == '', 'no goal')
        with pytest.raises(CommanderError, match='was shut down'):
            robot.stop()
        until(lambda: 'CANCELED' in going.log.read_text(), 'the log')


def test_a_goal_node_that_was_killed_is_told(graph, tmp_path, monkeypatch):
    """Nobody watches the robot any more, and the text says what to do."""
    monkeypatch.setattr('lewm_ros.commander.under_way._SILENT_S', 1.0)
    going = Going(graph, tmp_path)
    with spun(graph), Commander(domain_id=graph.domain) as robot:
        robot.reach(spec(10))
        until(lambda: robot.feedback().moving, 'feedback')
        going.process.kill()
        result = robot.result(timeout_s=60)
        assert result.ending is Ending.UNKNOWN and 'stop() stops the robot' in result.text


@timed
def test_the_rest_of_the_buttons(graph, tmp_path):
    """Each does its one thing, and says why not in the node's own words."""
    asked = []

    def answer(name, success=True, **values):
        def callback(request, response):
            asked.append((name, request))
            response.success = success
            for key, value in values.items():
                setattr(response, key, value)
            return response
        return callback

    serve = graph.node.create_service
    serve(SetBool, 'command_node/enable', lambda request, response: answer(
        'enable', not request.data, message='the e-stop is pressed')(request, response))
    serve(Trigger, 'command_node/stop', answer('stop'))
    serve(StartEpisode, 'recorder_node/start_episode', answer('start', bag_uri='/bags/7'))
    serve(StopEpisode, 'recorder_node/stop_episode', answer('end', bag_uri='/bags/7'))
    camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
    graph.node.create_timer(0.05, lambda: camera.publish(
        rgb_to_image(RED, graph.node.get_clock().now().nanoseconds)))
    going = Going(graph, tmp_path)
    with spun(graph), Commander(domain_id=graph.domain, timeout_s=20.0) as robot:
        with pytest.raises(CommanderError, match='enable: the e-stop is pressed') as refusal:
            robot.enable()
        assert refusal.value.code is None      # std_srvs have none
        robot.disable()
        begun_s = time.monotonic()
        robot.stop()
        in_time(time.monotonic() - begun_s, 0.4, 'a stop')    # it is not held up
        name, picture = robot.capture('here')
        assert name == 'here'
        np.testing.assert_array_equal(picture, RED)
        until(lambda: going.in_force() == 'here', 'the goal')
        robot.clear()
        until(lambda: going.in_force() == '', 'no goal')
        with pytest.raises(CommanderError, match='list_goals: .*goal_bank') as refusal:
            robot.entries()
        assert refusal.value.code is Code.NOT_SET_UP
        assert robot.record('tidy', metadata={'who': 'me'}) == '/bags/7'
        assert robot.stop_recording(success=False, note='fell') == '/bags/7'
    told = dict(asked)
    assert told['start'].metadata_json == '{"who": "me"}' and told['start'].task == 'tidy'
    assert told['end'].outcome == StopEpisode.Request.FAILURE and told['end'].note == 'fell'


def test_calibrating_waits_for_what_came_of_it(graph, monkeypatch):
    """What was earlier, and may still be on its way, does not count; nor does another robot's."""
    watching, done = 'watching for 60 s', 'surprise limit 3, written to a file'
    script, begun_s = [], [math.inf]      # what is told from when on, after it was asked [s]
    publisher = graph.node.create_publisher(DiagnosticArray, '/diagnostics', qos.RECORD)
    other = rclpy.create_node('other', namespace='left', context=graph.node.context)
    elsewhere = other.create_publisher(DiagnosticArray, '/diagnostics', qos.RECORD)

    def ask(request, response):
        begun_s[0] = time.monotonic()
        response.success, response.message = bool(script), watching if script else 'no file'
        return response

    def tell() -> None:
        now_s = time.monotonic() - begun_s[0]
        said = [text for since_s, text in script if now_s >= since_s]
        for who, text in ((publisher, said[-1] if said else 'an older one'), (elsewhere, 'wrong')):
            if text is not None:
                who.publish(diagnostics_to_msg(1, 'planner_node: planner', summary='',
                                               level=DiagnosticStatus.OK,
                                               values={CALIBRATION: text}))

    graph.node.create_service(Trigger, 'planner_node/calibrate_surprise', ask)
    graph.node.create_timer(0.05, tell)
    with spun(graph), Commander(domain_id=graph.domain, timeout_s=20.0) as robot:
        with pytest.raises(CommanderError, match='calibrate_surprise: no file'):
            robot.calibrate()
        script[:] = [(0.3, watching), (0.9, done)]
        assert robot.calibrate() == done
        script[:] = [(0.3, watching), (0.9, '')]
        with pytest.raises(CommanderError, match='configured anew'):
            robot.calibrate()
        script[:] = [(0.0, watching)]
        with pytest.raises(CommanderError, match='is still watching'):
            robot.calibrate(timeout_s=0.5)
        monkeypatch.setattr('lewm_ros.commander.calibration._SILENT_S', 1.0)
        script[:] = [(0.3, None)]
        with pytest.raises(CommanderError, match='has said nothing in /diagnostics for 1 s'):
            robot.calibrate()
    other.destroy_node()


def test_without_a_system_the_error_says_where_it_was_looked_for(monkeypatch):
    """The service, the namespace, the domain."""
    domain = free_domain()
    with Commander('left', domain_id=domain, timeout_s=0.3) as robot:
        for call in (robot.enable, lambda: robot.reach({'x': 1.0})):
            with pytest.raises(CommanderError, match=f'nobody offers .* \\(/left\\).*{domain}'
                               ) as refusal:
                call()
            assert refusal.value.code is Code.NO_ANSWER
