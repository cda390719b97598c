"""The executor of our processes goes on when a callback raises."""

import time

import pytest

rclpy = pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.node.executor import SurvivingExecutor  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_helpers import Graph  # noqa: E402


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('subject', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


class Notes:
    """As much of a guard as the executor needs."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def note(self, source: str, error: Exception) -> None:
        self.errors.append(error)


def test_one_that_raises_does_not_keep_others_from_running(node):
    """Two timers, one with a bug: both are called again and again, the guard is told."""
    calls = []
    node.guard = Notes()

    def bug() -> None:
        calls.append('bug')
        raise RuntimeError('a bug')

    node.create_timer(0.005, bug)
    node.create_timer(0.005, lambda: calls.append('good'))
    executor = SurvivingExecutor(node)
    deadline_s = time.monotonic() + 30
    while min(calls.count('bug'), calls.count('good')) < 3 and time.monotonic() < deadline_s:
        executor.spin_once(timeout_sec=0.1)
    assert min(calls.count('bug'), calls.count('good')) >= 3
    assert len(node.guard.errors) == calls.count('bug')


def test_a_node_in_which_everything_fails_ends(node):
    """A thousand faults in a row are not survived: something restarts the process instead."""
    node.guard = Notes()
    executor = SurvivingExecutor(node)

    def bug() -> None:
        raise RuntimeError('a bug')

    for _ in range(999):
        executor.create_task(bug)
        executor.spin_once(timeout_sec=1.0)
    executor.create_task(bug)
    with pytest.raises(RuntimeError, match='a bug'):
        executor.spin_once(timeout_sec=1.0)


@pytest.mark.parametrize(('module', 'parameter'), [
    ('lewm_ros.goals.goal_node', 'goal_root'), ('lewm_ros.startup.supervisor', 'nodes')])
def test_a_parameter_of_a_type_that_does_not_exist_ends_no_node(tmp_path, module, parameter):
    """Rclpy raises in its own service; the node says so and answers the next request.

    With the supervisor the whole system would end.
    """
    service = f'/{module.rpartition(".")[2]}/set_parameters'
    with Graph() as graph:
        process = graph.spawn(module, output=tmp_path / 'log')
        client = graph.node.create_client(SetParameters, service)
        graph.wait_for(client.service_is_ready, 'the service')

        graph.send_until(
            lambda: client.call_async(SetParameters.Request(parameters=[
                Parameter(name=parameter, value=ParameterValue(type=127))])),
            lambda: '127 is not a valid Parameter.Type' in (tmp_path / 'log').read_text(),
            'the reason in the log')
        answer = graph.call(SetParameters, service, SetParameters.Request(
            parameters=[Parameter(name=parameter, value=ParameterValue(type=1))]))
        assert not answer.results[0].successful
        assert process.poll() is None
