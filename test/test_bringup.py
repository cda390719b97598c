"""Bringing up the table of nodes without ros2 launch; real processes, real DDS."""

import os
from pathlib import Path
import re
import signal
import socket
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros.msg import ControllerState  # noqa: E402
from lewm_ros.startup import bringup  # noqa: E402
from lewm_ros.startup.bringup import Bringup, isolate, SystemDown  # noqa: E402
from lewm_ros.startup.lifecycle import (  # noqa: E402
    LifecycleClient,
    LifecycleError,
    TRANSITION_S,
)
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import NodeSpec, system  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.stamps import stamp_to_ns  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_helpers import free_domain, Graph  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402


@pytest.fixture
def client(monkeypatch):
    """A node in a domain of its own, in which the children will be too."""
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(free_domain()))
    context = rclpy.Context()

    def start() -> tuple[Node, SingleThreadedExecutor]:
        rclpy.init(context=context)
        node = Node('test_node', context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        return node, executor

    yield start
    if context.ok():
        rclpy.shutdown(context=context)


def wait_for(executor: SingleThreadedExecutor, condition, what: str) -> None:
    """Spin until something is so."""
    deadline_s = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline_s, f'waited in vain for {what}'
        executor.spin_once(timeout_sec=0.05)


def ended(running: Bringup) -> bool:
    return all(child.exit_status() is not None for child in running.children.values())


def test_the_whole_table_comes_up_and_goes_down(client, tmp_path):
    """Both lifecycle nodes are active in the end, and leaving the block ends every process."""
    tiny_bundle().save(tmp_path / 'tiny')
    nodes = system(SystemOptions(sim=True, bundle=str(tmp_path / 'tiny'), namespace='cell_1'))
    with Bringup(nodes, tmp_path / 'log') as running:
        node, executor = client()
        running.activate(node, executor, timeout_s=TRANSITION_S)
        for name in ('command_node', 'planner_node'):
            lifecycle = LifecycleClient(node, executor, f'/cell_1/{name}')
            assert lifecycle.state(60.0) == 'active'
        with pytest.raises(LifecycleError, match='/cell_1/planner_node refused to activate'):
            lifecycle.activate(60.0)

        def found() -> set[tuple[str, str]]:
            return {(f'{space}/{name}', enclave) for name, space, enclave
                    in node.get_node_names_and_namespaces_with_enclaves()}

        # each has an enclave of its own, which counts as soon as SROS2 is on
        wait_for(executor, lambda: {(spec.path, spec.enclave) for spec in nodes} <= found(),
                 'all nodes with their enclaves')
        running.check()
    assert ended(running)
    assert {child.exit_status() for child in running.children.values()} == {0}


def test_a_node_that_refuses_ends_the_system_with_its_reason(client, tmp_path):
    """A missing bundle is named in the error, and no process is left."""
    nodes = system(SystemOptions(sim=True, bundle=str(tmp_path / 'missing')))
    with (pytest.raises(SystemDown, match=r'(?s)planner_node refused to configure.*missing'),
          Bringup(nodes, tmp_path / 'log') as running):
        node, executor = client()
        running.activate(node, executor, timeout_s=TRANSITION_S)
    assert ended(running)


def test_a_node_that_cannot_start_is_noticed_while_waiting(client, tmp_path):
    """A process that ends is reported at once, not after the time limit of the transition."""
    broken = NodeSpec('startup', 'no_such_node', '/', {}, lifecycle=True)
    with (pytest.raises(SystemDown, match=r'(?s)no_such_node ended \(exit status 1\).*No module'),
          Bringup([broken], tmp_path / 'log') as running):
        node, executor = client()
        running.activate(node, executor, timeout_s=TRANSITION_S)
    assert ended(running)


def test_a_node_that_the_system_can_do_without_ends_with_its_reason(client, tmp_path, capsys):
    """A module that is missing is named once, and the others go on."""
    broken = NodeSpec('startup', 'no_such_node', '/', {})
    with Bringup([broken], tmp_path / 'log') as running:
        deadline_s = time.monotonic() + 90
        while not running._ended_s and time.monotonic() < deadline_s:
            assert not running.tend()
            time.sleep(0.01)
        running.tend()
    told = capsys.readouterr().err
    assert told.count('no_such_node ended (exit status 1)') == 1
    assert 'No module named' in told
    assert 'no_such_node: the system goes on without it' in told


def test_a_node_that_never_answers_is_given_up(client):
    """The time limit names the node and what was asked of it."""
    node, executor = client()
    with pytest.raises(LifecycleError, match=r'/nobody is not there in time \(configure\)'):
        LifecycleClient(node, executor, '/nobody').configure(0.3)


def test_a_domain_in_use_is_not_chosen(monkeypatch):
    """Two systems on one machine do not hear each other; a chosen domain is kept."""
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    used = free = bringup.free_domain()
    while free == used:
        free = bringup.free_domain()
    monkeypatch.setattr(bringup.random, 'sample', lambda population, k: [used, free])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(('', 7410 + 250 * used))
        assert isolate() == free
    assert os.environ['ROS_DOMAIN_ID'] == str(free)
    assert os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    monkeypatch.setenv('ROS_DOMAIN_ID', '42')
    assert isolate() == 42


def bringup_in(graph: Graph, folder: Path, *arguments: str):
    """Start `python -m lewm_ros.startup.bringup`; its output goes to `folder/out`."""
    folder.mkdir(exist_ok=True)
    return graph.spawn('lewm_ros.startup.bringup', *arguments, '--log-folder', str(folder / 'log'),
                       output=folder / 'out')


def child_of(parent: int, node: str) -> int:
    """Return the process id of a node that a bringup started."""
    children = Path(f'/proc/{parent}/task/{parent}/children').read_text().split()
    pid, = (int(child) for child in children
            if f'.{node}' in Path(f'/proc/{child}/cmdline').read_text())
    return pid


@pytest.mark.slow
def test_a_planner_that_dies_is_started_and_activated_again(tmp_path):
    """With use_respawn; its settings come from the params file both times."""
    tiny_bundle().save(tmp_path / 'tiny')
    file = tmp_path / 'p.yaml'
    file.write_text(f'/**/planner_node:\n  ros__parameters: {{bundle: {tmp_path / "tiny"}, '
                    f'stall_s: 7.5, plan: nothing}}\n')
    with Graph() as graph:
        process = bringup_in(graph, tmp_path, '--sim', '--use-respawn', '--respawn-delay', '0.5',
                             '--plan', '', '--params-file', str(file))
        graph.wait_until_active('/planner_node')
        log = (tmp_path / 'log' / 'planner_node.log')
        os.kill(child_of(process.pid, 'planner_node'), signal.SIGKILL)
        second = log.with_name('planner_node_2.log')
        graph.wait_for(lambda: second.exists() and 'tiny' in second.read_text(),
                       'the second planner', 60.0)
        graph.wait_until_active('/planner_node')
        assert graph.parameter('/planner_node', 'stall_s') == 7.5
        assert graph.parameter('/planner_node', 'bundle') == str(tmp_path / 'tiny')
        assert graph.parameter('/planner_node', 'plan') == ''
        assert graph.interrupt(process) == 130
    assert 'planner_node ended (signal 9)' in (tmp_path / 'out').read_text()


@pytest.mark.parametrize(('arguments', 'words'), [
    (('--bundle', 'missing'), r'planner_node refused to configure: .*missing'),
    (('--params-file', 'p.yaml'), r'planner_node ended \(exit status 2\)(?s:.*)stall_s'),
])
def test_what_cannot_start_ends_with_its_reason_and_a_status(tmp_path, arguments, words):
    """At configure, and before: neither leaves an inert system behind."""
    (tmp_path / 'p.yaml').write_text('planner_node:\n  ros__parameters: {stall_s: soon}\n')
    arguments = [str(tmp_path / part) if part == 'p.yaml' else part for part in arguments]
    with Graph() as graph:
        process = bringup_in(graph, tmp_path, '--sim', *arguments)
        assert graph.wait_for_exit(process, 120.0) == 1
    assert re.search(words, (tmp_path / 'out').read_text())


@pytest.mark.slow
def test_two_simulated_robots_have_a_clock_each(tmp_path):
    """Side by side in one domain, beside a third that is not simulated: time never jumps back.

    Both hear one e-stop, as a fleet may want it.
    """
    common = ('--source', 'teleop', '--remap', 'e_stop:=/e_stop')   # without torch: three systems
    with Graph() as graph:
        clocks = {name: graph.collect(Clock, f'/{name}/clock', qos.SENSOR) for name in 'ab'}
        shared = graph.collect(Clock, '/clock', qos.SENSOR)
        states = {name: graph.collect(ControllerState, f'/{name}/controller_state', qos.RECORD)
                  for name in 'abc'}
        robots = [bringup_in(graph, tmp_path / name, '--sim', '--namespace', name, *common)
                  for name in 'ab']
        robots.append(bringup_in(graph, tmp_path / 'c', '--namespace', 'c', '--robot',
                                 'sim_reacher', *common))
        graph.wait_until_active(*(f'/{name}/command_node' for name in 'abc'))
        graph.wait_for(lambda: all(len(each) > 100 for each in clocks.values()), 'both clocks')
        for name, clock in clocks.items():
            seconds = [stamp_to_ns(message.clock) for _, message in clock]
            assert seconds == sorted(seconds)
            assert graph.parameter(f'/{name}/command_node', 'use_sim_time') is True
        assert graph.parameter('/c/command_node', 'use_sim_time') is False
        assert not shared
        button = graph.node.create_publisher(Bool, '/e_stop', qos.LATCHED)
        button.publish(Bool(data=True))
        graph.wait_for(lambda: all(each and each[-1][1].reason.code == Code.E_STOP
                                   for each in states.values()), 'all three in e-stop')
        assert [graph.interrupt(robot) for robot in robots] == [130, 130, 130]


@pytest.mark.slow
def test_two_robots_may_share_the_clock_of_one_simulator(tmp_path):
    """It is on /clock; both follow it in namespaces of their own, and nobody makes another."""
    with Graph() as graph:
        clock = graph.collect(Clock, '/clock', qos.SENSOR)
        states = {name: graph.collect(ControllerState, f'/{name}/controller_state', qos.RECORD)
                  for name in 'ab'}
        processes = [bringup_in(graph, tmp_path / 'world', '--sim', '--source', 'none')]
        processes += [bringup_in(graph, tmp_path / name, '--namespace', name, '--robot',
                                 'sim_reacher', '--source', 'teleop', '--use-sim-time')
                      for name in 'ab']    # without torch: three systems
        graph.wait_until_active(*(f'/{name}/command_node' for name in 'ab'))

        def apart_s(name: str) -> float:
            return abs(stamp_to_ns(states[name][-1][1].header.stamp)
                       - stamp_to_ns(clock[-1][1].clock)) / 1e9

        # its time began when it was started; that of the machine, in 1970
        graph.wait_for(lambda: clock and all(
            states[name] and apart_s(name) < 5.0 for name in 'ab'), 'one time for both')
        assert stamp_to_ns(clock[-1][1].clock) < 3600e9
        seconds = [stamp_to_ns(message.clock) for _, message in clock]
        assert seconds == sorted(seconds)
        assert [graph.node.count_publishers(topic) for topic in (
            '/clock', '/a/clock', '/b/clock')] == [1, 0, 0]
        assert [graph.interrupt(process) for process in processes] == [130, 130, 130]
