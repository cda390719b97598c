"""What tests of running nodes stand on: times that are measured again, messages that are kept."""

import inspect
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.wire import qos  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from std_msgs.msg import Int64  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from timed import in_time, LateError, timed, TRIES, undisturbed  # noqa: E402


@pytest.mark.parametrize(('late', 'taken'), [(0, 1), (2, 3)])
def test_a_test_that_was_late_is_taken_again_with_a_graph_and_a_folder_of_its_own(
        tmp_path, late, taken):
    """Until it is in time once; no second look at the first one's graph."""
    seen = []

    @timed
    def example(graph, tmp_path):
        seen.append((graph, tmp_path, list(tmp_path.iterdir())))
        (tmp_path / 'trace').touch()
        in_time(0.5 if len(seen) <= late else 0.1, 0.3, 'the stop')

    example(tmp_path=tmp_path)
    assert len({id(graph) for graph, _, _ in seen}) == len(seen) == taken
    assert len({folder for _, folder, _ in seen}) == taken
    assert all(isinstance(graph, Graph) and not found for graph, _, found in seen)


def test_what_is_late_every_time_and_what_is_wrong_fails():
    """The first after three times with the seconds, the second at once."""
    seen = []

    @timed
    def always_late():
        seen.append('late')
        in_time(0.51, 0.5, 'the stop')

    @timed
    def wrong():
        seen.append('wrong')
        undisturbed(True, 'nothing')
        raise AssertionError('it moves')

    with pytest.raises(LateError, match='the stop took 0.510 s, allowed are 0.5 s'):
        always_late()
    with pytest.raises(AssertionError, match='it moves'):
        wrong()
    assert seen == ['late'] * TRIES + ['wrong']


def test_pytest_hands_a_timed_test_its_other_fixtures_only():
    """The graph is made anew each time; what a fixture holds would be of the first one."""
    @timed
    def example(graph, tmp_path, kills):
        pass

    assert list(inspect.signature(example).parameters) == ['tmp_path', 'kills']


def test_a_state_that_passes_at_once_is_seen(graph):
    """Two messages come together each time; the condition is asked after each of them."""
    publisher = graph.node.create_publisher(Int64, 'number', qos.RECORD)
    numbers = graph.collect(Int64, 'number', qos.RECORD)

    def send() -> None:
        for number in (1, 2):
            publisher.publish(Int64(data=number))

    graph.send_until(send, lambda: numbers and numbers[-1][1].data == 1, 'the first', 5.0)


def test_what_arrives_while_the_test_does_something_else_is_kept(graph):
    """Fifty messages, five times what the profile holds."""
    numbers = graph.collect(Int64, 'number', qos.RECORD)
    publisher = graph.node.create_publisher(Int64, 'number', qos.RECORD)
    graph.send_until(lambda: publisher.publish(Int64(data=-1)), lambda: numbers, 'the match')
    for number in range(50):
        publisher.publish(Int64(data=number))
        time.sleep(0.002)    # the writer holds ten, until they are acknowledged
    graph.wait_for(lambda: numbers[-1][1].data == 49, 'the last')
    assert [message.data for _, message in numbers if message.data >= 0] == list(range(50))


def test_one_client_of_a_service_is_kept(graph):
    """Each new one would have to be discovered."""
    graph.node.create_service(Trigger, 'ask', lambda request, response: response)
    assert graph.client(Trigger, 'ask') is graph.client(Trigger, 'ask')
    assert not graph.call(Trigger, 'ask', Trigger.Request()).success
