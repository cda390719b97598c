"""Bringing up the table of nodes without ros2 launch; real processes, real DDS."""

import os
import socket

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros.startup import bringup  # noqa: E402
from lewm_ros.startup.bringup import Bringup, isolate, SystemDown  # noqa: E402
from lewm_ros.startup.lifecycle import LifecycleClient, LifecycleError  # noqa: E402
from lewm_ros.startup.system import NodeSpec, system, SystemOptions  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402


@pytest.fixture
def client(monkeypatch):
    """A node in a domain of its own, in which the children will be too."""
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(bringup.free_domain()))
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


def ended(running: Bringup) -> bool:
    return all(child.exit_status() is not None for child in running.children.values())


def test_the_whole_table_comes_up_and_goes_down(client, tmp_path):
    """Both lifecycle nodes are active in the end, and leaving the block ends every process."""
    tiny_bundle().save(tmp_path / 'tiny')
    nodes = system(SystemOptions(sim=True, bundle=str(tmp_path / 'tiny'), namespace='cell_1'))
    with Bringup(nodes, tmp_path / 'log') as running:
        node, executor = client()
        running.activate(node, executor, timeout_s=60.0)
        for name in ('command_node', 'planner_node'):
            lifecycle = LifecycleClient(node, executor, f'/cell_1/{name}')
            assert lifecycle.state(10.0) == 'active'
        with pytest.raises(LifecycleError, match='/cell_1/planner_node refused to activate'):
            lifecycle.activate(10.0)
        running.check()
    assert ended(running)
    assert [child.exit_status() for child in running.children.values()] == [0, 0, 0, 0]


def test_a_node_that_refuses_ends_the_system_with_its_reason(client, tmp_path):
    """A missing bundle is named in the error, and no process is left."""
    nodes = system(SystemOptions(sim=True, bundle=str(tmp_path / 'missing')))
    with (pytest.raises(SystemDown, match=r'(?s)planner_node refused to configure.*missing'),
          Bringup(nodes, tmp_path / 'log') as running):
        node, executor = client()
        running.activate(node, executor, timeout_s=60.0)
    assert ended(running)


def test_a_node_that_cannot_start_is_noticed_while_waiting(client, tmp_path):
    """A process that ends is reported at once, not after the time limit of the transition."""
    broken = NodeSpec('startup', 'no_such_node', '/', {}, lifecycle=True)
    with (pytest.raises(SystemDown, match=r'(?s)no_such_node ended \(exit status 1\).*No module'),
          Bringup([broken], tmp_path / 'log') as running):
        node, executor = client()
        running.activate(node, executor, timeout_s=60.0)
    assert ended(running)


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
