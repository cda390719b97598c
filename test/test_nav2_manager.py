"""Our lifecycle nodes under what nav2's lifecycle manager does, bond off."""

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.slow]

from nano import tiny_bundle  # noqa: E402
from nav2_manager import Nav2Manager  # noqa: E402
from ros_helpers import Graph  # noqa: E402

NODES = ['command_node', 'planner_node']


def test_nav2_takes_our_nodes_up_and_down(tmp_path):
    """Startup, pause, resume, reset, startup again, shutdown: every command works."""
    tiny_bundle().save(tmp_path / 'tiny')
    with Graph() as graph:
        processes = [
            graph.spawn('lewm_ros.command.command_node', parameters={'robot': 'sim_reacher'}),
            graph.spawn('lewm_ros.planner.planner_node', parameters={
                'robot': 'sim_reacher', 'bundle': str(tmp_path / 'tiny')})]
        manager = Nav2Manager(graph, NODES)
        graph.spin(1.0)   # answers are lost while its readers are unknown, and nav2 waits for ever
        for command, states in ((manager.startup, 'active'), (manager.pause, 'inactive'),
                                (manager.resume, 'active'), (manager.reset, 'unconfigured'),
                                (manager.startup, 'active'), (manager.reset, 'unconfigured'),
                                (manager.startup, 'active')):
            assert command(), command.__name__
            assert manager.states() == [states] * 2
        manager.shutdown()
        assert manager.states() == ['finalized'] * 2
        assert [graph.interrupt(process) for process in processes] == [0, 0]


def test_nav2_sees_a_node_that_cannot_be_configured(tmp_path):
    """Startup fails and leaves the node unconfigured, from where the next startup succeeds.

    The command node is inactive by then: it refuses to be configured again, and nav2, which only
    looks at the state, goes on.
    """
    with Graph() as graph:
        graph.spawn('lewm_ros.command.command_node', parameters={'robot': 'sim_reacher'})
        graph.spawn('lewm_ros.planner.planner_node', parameters={
            'robot': 'sim_reacher', 'bundle': str(tmp_path / 'tiny')})
        manager = Nav2Manager(graph, NODES)
        graph.spin(1.0)
        assert not manager.startup()
        assert manager.states() == ['inactive', 'unconfigured']
        tiny_bundle().save(tmp_path / 'tiny')
        assert manager.startup()
        assert manager.states() == ['active'] * 2
