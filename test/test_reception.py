"""Counting what is lost, whatever the middleware tells about its messages."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lewm_ros.recording.episode import Received  # noqa: E402
from lewm_ros.recording.health import level_and_summary  # noqa: E402
from lewm_ros.recording.reception import arrival_s, Reader, Reception  # noqa: E402
from lewm_ros.recording.topics import Depths  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from test_recorder import NUMBERS  # noqa: E402

SECOND = 10**9
NEVER_NUMBERED = 2**64 - 1   # as Cyclone DDS says it


class Node:
    """As much of a node as a reader needs."""

    def create_subscription(self, kind, topic, callback, profile, **_):
        self.callback = callback
        return SimpleNamespace()


def reader_of(numbers, publishers=None) -> tuple[Reader, list[Received]]:
    """Return a reader that got messages with these numbers, and what it passed on."""
    node, taken = Node(), []
    reader = Reader(node, NUMBERS, qos.LATCHED, taken.append)
    for place, number in enumerate(numbers):
        gid = publishers[place] if publishers else b'a'
        node.callback(b'data', {'publisher_gid': {'data': gid}, 'source_timestamp': 7,
                                'publication_sequence_number': number})
    return reader, taken


@pytest.mark.parametrize(('numbers', 'lost', 'uncounted'), [
    ([1, 2, 3], 0, 0), ([1, 4, 5], 2, 0), ([0, 1, 3], 1, 0),
    ([NEVER_NUMBERED] * 3, 0, 3), ([0, 0, 0], 0, 2), ([None, None], 0, 1)])
def test_a_gap_is_a_loss_and_no_number_is_no_proof(numbers, lost, uncounted):
    """What a middleware without numbers says is not counted as zero."""
    reader, taken = reader_of(numbers)
    assert (reader.lost, reader.uncounted) == (lost, uncounted)
    assert len(taken) == len(numbers)
    assert all(message.sequence < 2**32 for message in taken)


def test_two_publishers_are_counted_apart():
    """Their numbers have nothing to do with each other."""
    reader, _ = reader_of([1, 50, 2, 51, 54], [b'a', b'b', b'a', b'b', b'b'])
    assert reader.lost == 2


def test_unknown_is_said_where_a_number_would_be():
    """In the counts that go into bag, answer and diagnostics."""
    reception = Reception(SimpleNamespace(), (), Depths(), lambda _: None)
    reception.readers['/numbers'] = reader_of([NEVER_NUMBERED] * 2)[0]
    assert reception.told_lost == 'unknown'
    assert reception.uncounted == ['/numbers']
    reception.readers['/numbers'] = reader_of([1, 3])[0]
    assert reception.told_lost == 1
    level, summary = level_and_summary(SimpleNamespace(name='e'), reception, error='', missing=(),
                                       silent=())
    assert (level, summary) == (DiagnosticStatus.WARN, 'recording e, 1 messages lost')


def test_a_latched_message_goes_with_its_publisher():
    """GIDs are compared without padding; who cannot be told apart is kept."""
    reader, _ = reader_of([1, 1, 1], [b'a\0\0', b'b', b''])
    reader.forget_latched([b'a'])
    assert set(reader.latched) == {b'a\0\0', b''}


@pytest.mark.parametrize(('received_ns', 'expected_s'), [
    (1000 * SECOND, 50.0), (998 * SECOND, 48.0), (0, 50.0),
    (4600 * SECOND, 50.0),          # the clock was set back since: it has not waited
    (10 * SECOND, 45.0)])           # the clock was set forward: not before the message before it
def test_only_the_waiting_time_is_taken_from_the_system_clock(received_ns, expected_s):
    """Arrival on the steady clock, at 50 s of it and 1000 s of the system's."""
    assert arrival_s(received_ns, 1000 * SECOND, 50.0, 45.0) == expected_s


def test_a_topic_of_a_peer_never_ends_the_recorder():
    """A type that cannot be subscribed is a problem with a name, and said once."""
    said = []
    publisher = SimpleNamespace(
        topic_type='std_msgs/msg/UInt64', topic_type_hash='', endpoint_gid=b'',
        qos_profile=qos.RECORD)

    def refuse(*_, **__):
        raise RuntimeError('the middleware is out of order')

    node = SimpleNamespace(
        resolve_topic_name=lambda name: f'/{name}', create_subscription=refuse,
        get_publishers_info_by_topic=lambda _: [publisher],
        get_logger=lambda: SimpleNamespace(error=said.append))
    reception = Reception(node, ('numbers',), Depths(), lambda _: None)
    reception.discover()
    reception.discover()
    assert 'out of order' in reception.problems['/numbers']
    assert len(said) == 1 and not reception.readers
