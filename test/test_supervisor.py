"""The process that brings lifecycle nodes up, and back; real nodes without torch."""

import os
import signal

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.startup import supervisor as supervising  # noqa: E402
from lewm_ros.startup.lifecycle import LifecycleError  # noqa: E402
from lewm_ros.startup.supervisor import Supervisor, SupervisorNode  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402


class Supervised:
    """One supervisor over fake nodes, as processes of one graph."""

    def __init__(self, graph: Graph, folder, names: str, respawned: str = '') -> None:
        self.graph = graph
        self.log = folder / 'supervisor'
        self.process = graph.spawn('lewm_ros.startup.supervisor', output=self.log, parameters={
            'nodes': names, 'respawned': respawned})

    def wait_for(self, *texts: str) -> None:
        """Wait until the log holds these texts, in this order."""
        def found():
            text, place = self.log.read_text(), 0
            return all((place := text.find(each, place)) >= 0 for each in texts)
        self.graph.wait_for(found, f'{texts} in\n{self.log}', 60.0)

    def state(self, name: str) -> str:
        """Return the state of a node."""
        return self.graph.lifecycle_state(name)


def start_fake(graph: Graph, name: str = 'fake', **parameters):
    """Start a fake node under a name of its own."""
    return graph.spawn('fake_managed_node', '--ros-args', '-r', f'__node:={name}',
                       parameters=parameters)


def test_nodes_come_up_in_order(tmp_path):
    """The second is not touched before the first is active, and Ctrl-C ends it cleanly."""
    with Graph() as graph:
        start_fake(graph, 'first', configure_s=1.0)
        start_fake(graph, 'second')
        supervised = Supervised(graph, tmp_path, '/first /second')
        supervised.wait_for('/first is active', '/second is active', '2 nodes are active')
        assert [supervised.state(name) for name in ('first', 'second')] == ['active'] * 2
        assert graph.interrupt(supervised.process) == 0


def test_a_refusal_ends_it_with_the_reason_from_the_nodes_log(tmp_path):
    """Status 1, and the one line says what is wrong."""
    with Graph() as graph:
        start_fake(graph, refuse='no such bundle')
        supervised = Supervised(graph, tmp_path, '/fake')
        assert graph.wait_for_exit(supervised.process, 60.0) == 1
    assert '/fake refused to configure: cannot configure: no such bundle' in (
        supervised.log.read_text())


@pytest.mark.slow
def test_what_left_by_itself_or_died_is_brought_back(tmp_path):
    """What somebody deactivated is not."""
    with Graph() as graph:
        process = start_fake(graph)
        supervised = Supervised(graph, tmp_path, '/fake', respawned='/fake')
        supervised.wait_for('1 nodes are active')
        graph.call(Trigger, 'fake/leave', Trigger.Request())
        supervised.wait_for('bringing it back, attempt 1 of 3', '/fake is active again')
        process.kill()
        graph.wait_for_exit(process)
        start_fake(graph)
        supervised.wait_for('attempt 1 of 3', 'attempt 2 of 3', '/fake is active again')
        graph.transition('fake', 'deactivate')
        supervised.wait_for('attempt 2 of 3', 'somebody took it out of the active state')
        graph.transition('fake', 'cleanup')
        graph.spin(3.0)
        assert supervised.state('fake') == 'unconfigured'
        assert graph.interrupt(supervised.process) == 0


def test_without_respawn_a_node_that_leaves_is_reported(tmp_path):
    """It stays where it went, and the supervisor goes on."""
    with Graph() as graph:
        start_fake(graph)
        supervised = Supervised(graph, tmp_path, '/fake')
        supervised.wait_for('1 nodes are active')
        graph.call(Trigger, 'fake/leave', Trigger.Request())
        supervised.wait_for('/fake is unconfigured and is left alone')
        assert supervised.state('fake') == 'unconfigured'
        assert supervised.process.poll() is None


class Never:
    """An interrupt that does not come."""

    def is_set(self) -> bool:
        return False


@pytest.fixture
def in_process(monkeypatch):
    """Return a function that makes a supervisor in this process, in a graph."""
    monkeypatch.setattr(supervising, '_PROGRESS_S', 0.3)
    monkeypatch.setattr(supervising, '_APPEAR_S', 20.0)
    made = []

    def make(graph: Graph, **settings) -> tuple[Supervisor, SupervisorNode]:
        node = SupervisorNode(context=graph.node.context, parameter_overrides=[
            Parameter(name, value=value) for name, value in settings.items()])
        executor = SingleThreadedExecutor(context=graph.node.context)
        executor.add_node(node)
        made.append((executor, node))
        return Supervisor(node, executor, Never()), node
    yield make


def test_a_long_configure_is_waited_for_with_progress(in_process, caplog, capfd):
    """As long as configure_timeout allows; every so often a line says how it goes."""
    with Graph() as graph:
        start_fake(graph, configure_s=2.0)
        supervisor, _ = in_process(graph, nodes='/fake', configure_timeout_s=60.0)
        supervisor.bring_up('/fake')
        assert graph.lifecycle_state('fake') == 'active'
    lines = [line for line in capfd.readouterr().err.splitlines() if 'to configure:' in line]
    assert len(lines) >= 3
    assert 'of at most 60 s' in lines[0]


def test_a_configure_that_takes_too_long_is_given_up(in_process):
    """The message names the node and what it was asked."""
    with Graph() as graph:
        process = start_fake(graph, configure_s=30.0)
        supervisor, _ = in_process(graph, nodes='/fake', configure_timeout_s=2.0)
        with pytest.raises(LifecycleError, match=r'/fake did not answer in time \(configure\)'):
            supervisor.bring_up('/fake')
        process.kill()    # it would not hear anything else


def test_a_node_that_ends_meanwhile_is_not_waited_for(in_process, monkeypatch):
    """Unless it is started again."""
    monkeypatch.setattr(supervising, '_GONE_S', 1.0)
    with Graph() as graph:
        process = start_fake(graph, configure_s=1.0)
        supervisor, _ = in_process(graph, nodes='/fake', configure_timeout_s=60.0)
        wait_for = supervisor._wait_for

        def interrupted(target: str, what: str, patience_s: float) -> None:
            wait_for(target, what, patience_s)
            if what == 'configure':    # it withdraws its services, at once or when that is done
                os.kill(process.pid, signal.SIGINT)

        monkeypatch.setattr(supervisor, '_wait_for', interrupted)
        with pytest.raises(LifecycleError, match='/fake has ended before it could'):
            supervisor.bring_up('/fake')
