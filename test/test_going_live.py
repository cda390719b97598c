"""Going somewhere with the whole system: the shipped model drives the simulated arm, real time."""

from __future__ import annotations

from collections.abc import Iterator
import re
import signal
import threading
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros import Commander  # noqa: E402
from lewm_ros.action import ReachGoal  # noqa: E402
from lewm_ros.msg import ControllerState, Goal  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reach_msgs import msg_to_order  # noqa: E402
from lewm_ros.wire.reaching import Ending  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from message_fuzz import _class, _slots  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph, ROOT  # noqa: E402
from rosidl_parser.definition import AbstractNestedType, NamespacedType  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from system_specs import start  # noqa: E402
from timed import timed, undisturbed  # noqa: E402
import yaml  # noqa: E402

GOALS = ROOT / 'models/reacher-nano/goals'
PAGES = ('README.md', 'docs/operator.md')
REST_RAD_S = 0.02    # the arm's joints, once their motors were told to stand still


class Live:
    """A running system, and what was heard of it; spun by a thread."""

    def __init__(self, graph: Graph, folder) -> None:
        self.graph = graph
        nodes = system(SystemOptions(sim=True, goal_root=str(GOALS)))
        self.processes = start(graph, nodes, folder)
        self.states = graph.collect(ControllerState, 'controller_state', qos.RECORD)
        self.joints = graph.collect(JointState, 'joint_states', qos.SENSOR)
        self.goals = graph.collect(Goal, 'goal', qos.LATCHED)
        graph.wait_for(lambda: self.states and self.joints, 'the system')
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._over.is_set():
            self.graph.executor.spin_once(timeout_sec=0.02)

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    @property
    def speed(self) -> float:
        """How fast the fastest joint turns [rad/s], by the newest joint_states."""
        return float(np.abs(self.joints[-1][1].velocity).max())

    def wait_for(self, condition, what: str, timeout_s: float = 60.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f'waited in vain for {what}'
            time.sleep(0.01)

    def wait_until_it_moves(self) -> None:
        self.wait_for(lambda: self.speed > 0.3, 'motion')

    def wait_for_no_goal(self) -> None:
        """Wait until the topic has it, which has no order with answers and results."""
        self.wait_for(lambda: self.goals and self.goals[-1][1].kind == Goal.NONE, 'no goal')


@pytest.fixture(scope='module')
def live(tmp_path_factory) -> Iterator[Live]:
    with Graph() as graph:
        running = Live(graph, tmp_path_factory.mktemp('logs'))
        yield running
        running.end()


def go(robot: Commander, number: int, **options) -> None:
    robot.reach(GOALS / f'goal_{number:02}.png', **options)


@pytest.mark.parametrize('page', PAGES)
def test_the_examples_of_the_documentation_do_what_they_say(live, page, monkeypatch):
    """Every block with a Commander, as it stands; each ends with its last goal reached."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(live.graph.domain))
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text(encoding='utf-8')
    blocks = [block for block in re.findall(r'```python\n(.*?)```', text, re.S)
              if 'Commander' in block]
    assert blocks
    for block in blocks:
        scope: dict = {}
        exec(compile(block, page, 'exec'), scope)
        assert scope['robot'].result(), scope['robot'].result()


def stops_since(live: Live, since_s: float) -> set[tuple[str, str]]:
    """Return the states in which plans are not followed, with their reasons, after a time."""
    return {(CommandState(message.state).name, message.reason.text)
            for when_s, message in live.states if when_s > since_s
            and message.state not in (CommandState.TRACKING, CommandState.HOLD)}


@timed
def test_a_cancel_leaves_the_robot_at_rest(live):
    """When it is told that the robot stands, it does, and stays so."""
    with Commander(domain_id=live.graph.domain) as robot:
        robot.enable()
        go(robot, 0)
        live.wait_until_it_moves()
        begun_s = time.monotonic()
        result = robot.cancel()
        took_s, speed = time.monotonic() - begun_s, live.speed
        assert result.ending is Ending.CANCELED, result
        live.wait_for_no_goal()
        time.sleep(1.0)
        assert live.speed < REST_RAD_S
        print(f'cancel to result {took_s:.2f} s, {speed:.3f} rad/s then')
        undisturbed(speed < REST_RAD_S, f'{speed:.3f} rad/s when the cancel was answered')


@timed
def test_a_newer_goal_takes_over_without_a_stop(live):
    """From the first motion to the second goal the command node never stops following plans."""
    with Commander(domain_id=live.graph.domain) as robot:
        go(robot, 1)
        live.wait_until_it_moves()
        since_s = live.states[-1][0]
        go(robot, 4, timeout_s=30)
        assert robot.result(timeout_s=60), robot.result()
        stops = stops_since(live, since_s)
    undisturbed(not stops, stops)


@timed
def test_way_points_are_passed_without_a_stop(live):
    """Each of three is reached, and plans are followed from the first motion to the last goal."""
    with Commander(domain_id=live.graph.domain) as robot:
        robot.reach([GOALS / f'goal_{number:02}.png' for number in (2, 5, 1)], timeout_s=60)
        live.wait_until_it_moves()
        since_s = live.states[-1][0]
        result = robot.result(timeout_s=90)
        assert result and result.goals_reached == 3, result
        stops = stops_since(live, since_s)
    undisturbed(not stops, stops)


def test_a_file_below_the_goal_root_is_reached(live):
    """Named, not sent: the goal node reads it on its own machine, or says that it is not there."""
    with Commander(domain_id=live.graph.domain) as robot:
        robot.reach(file='goal_03.png', timeout_s=30)
        assert robot.result(timeout_s=60), robot.result()
        robot.reach(file='goal_99.png')
        result = robot.result(timeout_s=60)
        assert result.ending is Ending.GOAL_REFUSED and 'goal_99.png' in result.text, result


def test_a_dry_run_tells_the_cost_and_moves_nothing(live):
    """The planner's own service; what the bundle cannot read is refused with what it can."""
    with Commander(domain_id=live.graph.domain) as robot:
        robot.clear()
        live.wait_for_no_goal()
        live.wait_for(lambda: live.speed < REST_RAD_S, 'standstill')
        published = len(live.goals)
        for _ in range(5):    # a machine that has too much to do leaves the planner no time
            go(robot, 6, dry_run=True)
            result = robot.result(timeout_s=60)
            if result:
                break
        assert result, result
        # the mean of the elites is the answer, which may cost a little more than the start
        assert 0.0 < result.final_cost < 1.1 * result.start_cost
        print(result)
        robot.reach(height=1.0, dry_run=True)
        assert robot.result(timeout_s=60).ending is Ending.GOAL_REFUSED
        assert len(live.goals) == published and live.speed < REST_RAD_S
        robot.reach(height=1.0)
        result = robot.result(timeout_s=60)
        assert result.ending is Ending.GOAL_REFUSED and 'shoulder' in result.text, result


def test_stop_and_disable_end_it_with_the_reason(live):
    """The text is the command node's; enabling it again moves nothing."""
    with Commander(domain_id=live.graph.domain) as robot:
        for stop, words in ((robot.stop, 'stopped by ~/stop'),
                            (robot.disable, 'disabled by ~/enable')):
            robot.enable()
            go(robot, 0)
            live.wait_until_it_moves()
            stop()
            result = robot.result(timeout_s=60)
            assert result.ending is Ending.NOT_ENABLED and words in result.text
            live.wait_for(lambda: live.speed < REST_RAD_S, 'standstill')
            robot.enable()
            time.sleep(0.7)
            assert live.speed < REST_RAD_S
            go(robot, 1)
            live.wait_until_it_moves()
            robot.cancel()


def test_the_command_of_the_readme_is_the_action():
    """Its name, its type and its fields are those that the goal node offers."""
    line, = re.findall(r'^ros2 action send_goal (.*)$', (ROOT / 'README.md').read_text(), re.M)
    words = re.fullmatch(r'--feedback (\S+) (\S+) "(.*)"', line)
    assert words[1] == '/goal_node/reach_goal' and words[2] == 'lewm_ros/action/ReachGoal'
    goal = filled(ReachGoal.Goal, yaml.safe_load(words[3]))
    order, goals = msg_to_order(goal)
    assert order.timeout_s == 20.0 and (GOALS / goals[0].uri).is_file()


def filled(kind: type, values: dict):
    """Return a message with the fields that a command line gives it, as `ros2 action` does."""
    slots, message = dict(_slots(kind)), kind()
    for name, value in values.items():
        slot = slots[name]
        if isinstance(slot, NamespacedType):
            value = filled(_class(slot), value)
        elif isinstance(slot, AbstractNestedType) and isinstance(slot.value_type, NamespacedType):
            value = [filled(_class(slot.value_type), one) for one in value]
        setattr(message, name, value)
    return message


def test_a_planner_that_is_killed_is_an_abort_and_the_robot_stands(live):
    """SIGKILL in motion; the goal node outlives it and says so. The last test: it is dead then."""
    with Commander(domain_id=live.graph.domain) as robot:
        go(robot, 3)
        live.wait_until_it_moves()
        begun_s = time.monotonic()
        live.processes['planner_node'].send_signal(signal.SIGKILL)
        live.wait_for(lambda: live.speed < REST_RAD_S, 'standstill')
        stood_s = time.monotonic() - begun_s
        result = robot.result(timeout_s=60)
        print(f'stood after {stood_s:.2f} s, result after {time.monotonic() - begun_s:.2f} s')
        assert result.ending is Ending.PLANNER_GONE, result
        assert 'is the planner running' in result.text
        live.wait_for_no_goal()
        assert live.speed < REST_RAD_S
